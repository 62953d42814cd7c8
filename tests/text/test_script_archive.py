"""TorchScript archives are read, and nothing in them is run."""
import io
import zipfile

import pytest
import torch
from torch import nn

from mmpixsort.text.encoders.script_archive import is_script, script_tensors


class Part(nn.Module):

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4).half())
        self.register_buffer('steps', torch.tensor(7))
        self.sizes = [1, 2]

    def forward(self, x):
        return x


class Whole(nn.Module):

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Part(), Part()])
        self.head = nn.Linear(4, 2)
        self.head.weight = nn.Parameter(torch.randn(4, 2).T)

    def forward(self, x):
        return self.head(x)


class Writes(torch.nn.Module):
    """Overwrites a file when torch.jit.load restores it."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path
        self.weight = torch.ones(2)

    @torch.jit.export
    def __getstate__(self):
        return (self.path, self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]):
        self.path = state[0]
        self.training = state[2]
        target = torch.from_file(self.path, True, 4, dtype=torch.uint8)
        # kept, or the compiler leaves the write out
        self.weight = target.copy_(torch.zeros([4], dtype=torch.uint8))

    def forward(self, x):
        return x


@pytest.fixture
def archive(tmp_path):
    torch.manual_seed(0)
    model = Whole()
    path = tmp_path / 'x.pt'
    torch.jit.save(torch.jit.script(model), str(path))
    return path, model


def test_tensors__are_those_of_the_state_dict(archive):
    path, model = archive
    assert is_script(path)
    found = script_tensors(path)
    assert list(sorted(found)) == sorted(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(found[name], value), name
        assert found[name].dtype == value.dtype


def test_code__is_not_run(tmp_path):
    victim = tmp_path / 'victim'
    victim.write_bytes(b'keep')
    path = tmp_path / 'x.pt'
    torch.jit.save(torch.jit.script(Writes(str(victim))), str(path))
    script_tensors(path)
    assert victim.read_bytes() == b'keep'
    torch.jit.load(str(path))  # what would have happened
    assert victim.read_bytes() == bytes(4)


def rewrite(path, changes, compression=zipfile.ZIP_STORED):
    """Change entries of an archive by the end of their names."""
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    data = io.BytesIO()
    with zipfile.ZipFile(data, 'w', compression) as new:
        for name, content in entries.items():
            for end, change in changes.items():
                content = change(content) if name.endswith(end) else content
            new.writestr(name, content)
    path.write_bytes(data.getvalue())


@pytest.mark.parametrize('changes', [
    {'data.pkl': lambda c: b'\x80\x02cos\nsystem\n(X\x04\x00\x00\x00trueo.'},
    {'data.pkl': lambda c: c[:50]},
    {'data.pkl': lambda c: c.replace(b'_rebuild_tensor_v2', b'_rebuild_x')},
    {'data/0': lambda c: c[:-2]},
])
def test_damage__is_a_named_error(archive, changes):
    path, _ = archive
    rewrite(path, changes)
    with pytest.raises(ValueError, match='must be a TorchScript archive'):
        script_tensors(path)


def test_compressed__archives_are_refused(archive):
    path, _ = archive
    rewrite(path, {}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match='is compressed'):
        script_tensors(path)


@pytest.mark.parametrize('seed', range(40))
def test_mutated__bytes_end_in_tensors_or_a_named_error(archive, seed):
    path, _ = archive
    generator = torch.Generator().manual_seed(seed)

    def mutate(content):
        content = bytearray(content)
        for _ in range(3):
            place = torch.randint(len(content), (), generator=generator)
            content[place] = torch.randint(256, (), generator=generator)
        return bytes(content)

    rewrite(path, {'data.pkl': mutate})
    try:
        found = script_tensors(path)
    except ValueError:
        return
    assert all(isinstance(value, torch.Tensor) for value in found.values())
