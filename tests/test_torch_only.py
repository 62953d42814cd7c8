"""Losses, banks and samplers where neither mmengine nor a host is."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# an environment without these, simulated by a finder that hides them
HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in (
                'mmengine', 'mmcv', 'mmseg', 'mmdet', 'cv2'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Hidden())
"""
RANKS = """
import sys
import torch
from mmpixsort.banks import ClassQueue
from mmpixsort.losses import PixelContrastLoss
from mmpixsort.utils.gather import gather_rows, largest_sizes

rank, store = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group(
    'gloo', init_method=f'file://{store}', rank=rank, world_size=2)
rows = torch.nn.functional.one_hot(torch.arange(rank + 1), 4).float()
bank = ClassQueue(num_classes=2, capacity=5, embed_dims=4)
bank.enqueue(rows, torch.full((rank + 1, ), rank))
assert bank.read().labels.tolist() == [[0] + [-1] * 4, [1, 1, -1, -1, -1]]
assert largest_sizes(rank, 3 - rank) == [1, 3]
leaf = torch.full((1, ), float(rank), requires_grad=True)
gathered = gather_rows(leaf)
assert gathered.tolist() == [0., 1.]
(gathered * torch.tensor([1., 10.]) * (rank + 1)).sum().backward()
assert leaf.grad.tolist() == [3. * 10 ** rank], leaf.grad
# one valid anchor on rank 1 alone: ranks share the mean over all of them
labels = torch.tensor([0, 0, 1]) if rank else torch.tensor([-1, -1, -1])
anchors = torch.eye(3)[[0, 0, 1]]
loss = PixelContrastLoss()(anchors, labels, anchors, labels, own_key=0)
assert (loss > 0) == bool(rank)
"""


def run(code, *args, wait=True):
    process = subprocess.Popen(
        [sys.executable, '-W', 'error', '-c', HIDE + code, *args], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return finish(process) if wait else process


def finish(process):
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out


def test_document__training_loop_of_torch_alone():
    text = (ROOT / 'docs/torch_only.md').read_text()
    code, = re.findall(r'```python\n(.*?)```', text, re.S)
    out = run('import torch\ntorch.manual_seed(0)\n' + code + """
assert loss.shape == () and loss.isfinite()
assert (bank.written > 0).all()
def score(net):
    anchors = sampler(
        torch.nn.functional.normalize(net(images), dim=1), labels)
    return contrast(*anchors, *anchors, own_key=0).item()
print(score(torch.nn.Conv2d(3, 16, 3, padding=1)), score(net))
print(sorted(m for m in sys.modules if m.startswith('mm')
             and not m.startswith('mmpixsort') and m != 'mmap'))
""")
    scores, modules = out.splitlines()
    before, after = map(float, scores.split())
    assert after < before - .1
    assert modules == '[]'


@pytest.mark.ddp
def test_ranks__gather_by_torch_alone(tmp_path):
    store = str(tmp_path / 'store')
    processes = [run(RANKS, str(rank), store, wait=False)
                 for rank in range(2)]
    for process in processes:
        finish(process)


def test_registry__builds_nothing_and_says_why():
    out = run("""
from mmpixsort.registry import MODELS
try:
    MODELS.build(dict(type='mmpixsort.ClassQueue'))
except ImportError as error:
    print(error)
""")
    assert 'needs `mmengine`' in out and 'Remedy' in out


@pytest.mark.parametrize('room', ['layers', 'hooks', 'metrics', 'retrieval',
                                  'visualization', 'apis'])
def test_rooms__that_need_the_engine_say_so(room):
    out = run(f"""
try:
    import mmpixsort.{room}
except ImportError as error:
    print(error)
""")
    assert 'needs `mmengine`' in out and 'Remedy' in out


def test_check__calls_torch_alone_in_order():
    out = run("""
import runpy
import sys
sys.argv = ['check', '--skip', 'text']  # torchvision may be missing
try:
    runpy.run_module('mmpixsort.check', run_name='__main__')
except SystemExit as error:
    assert error.code == 0, error.code
""")
    assert 'Everything is in order.\ntorch alone, a supported' in out
