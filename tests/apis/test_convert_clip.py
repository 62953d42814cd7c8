"""Checkpoints of CLIP, from the function and from the tool."""
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import load_checkpoint
from open_clip_shim import assert_same_clip, random_clip, tiny_settings
from torch import nn

from mmpixsort.apis.convert_clip import convert_clip, describe_clip
from mmpixsort.layers.clip_weights import read_clip
from mmpixsort.layers.open_clip_dual import OpenCLIPDual

TOOL = Path(__file__).resolve().parents[2] / 'tools' / (
    'model_converters/convert_clip.py')


@pytest.fixture(scope='module')
def model():
    return random_clip()


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_convert_clip__for_init_cfg(model, tmp_path, prefix):
    state = {f'{prefix}{k}': v for k, v in model.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'x.pt')
    weights = convert_clip(tmp_path / 'x.pt', tmp_path / 'x.pth')
    dual = OpenCLIPDual(model_name=tiny_settings(), init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'x.pth')))
    dual.init_weights()
    assert_same_clip(dual, model)
    assert not weights.unknown
    # what it writes, it reads
    assert set(read_clip(tmp_path / 'x.pth').state) == set(weights.state)


def test_convert_clip__half_becomes_float32(model, tmp_path):
    state = {k: v.half() for k, v in model.state_dict().items()}
    torch.save(state, tmp_path / 'x.pt')
    convert_clip(tmp_path / 'x.pt', tmp_path / 'x.pth')
    content = torch.load(tmp_path / 'x.pth', weights_only=True)
    assert {tensor.dtype for tensor in content['state_dict'].values()} == {
        torch.float32}


@pytest.mark.parametrize('is_openai', [False, True])
def test_describe_clip__says_what_is_left_out_and_which_activation(
        model, tmp_path, is_openai):
    state = {**model.state_dict(), 'logit_bias': torch.zeros(())}
    if is_openai:
        state.update(input_resolution=torch.tensor(32),
                     context_length=torch.tensor(77),
                     vocab_size=torch.tensor(49408))
    torch.save(state, tmp_path / 'x.pt')
    lines = describe_clip(read_clip(tmp_path / 'x.pt')).splitlines()
    assert lines[0] == ('image tower: 4 layers, width 32, patches of 8, '
                        'images of 32')
    assert 'left out: logit_bias' in lines
    assert lines[-1].startswith("OpenAI's" if is_openai else 'not marked')


def test_convert_clip__inside_a_model(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / 'x.pt')
    convert_clip(tmp_path / 'x.pt', tmp_path / 'sub' / 'x.pth',
                 target_prefix='dual.')
    whole = nn.Module()
    whole.dual = OpenCLIPDual(model_name=tiny_settings())
    checkpoint = load_checkpoint(
        whole, str(tmp_path / 'sub' / 'x.pth'), strict=True)
    assert_same_clip(whole.dual, model)
    assert checkpoint['meta']['clip_settings']['embed_dim'] == 24


def test_convert_clip__appears_whole_or_not_at_all(model, tmp_path,
                                                   monkeypatch):
    torch.save(model.state_dict(), tmp_path / 'x.pt')

    def half(content, path):
        Path(path).write_bytes(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', half)
    with pytest.raises(OSError, match='disk full'):
        convert_clip(tmp_path / 'x.pt', tmp_path / 'y.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['x.pt']


def test_convert_clip__bad_target(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / 'x.pt')
    with pytest.raises(ValueError, match='`target` must end in .pth'):
        convert_clip(tmp_path / 'x.pt', tmp_path / 'y.pt')


def _run(*words):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, words)], capture_output=True,
        text=True, check=False)


def test_convert_clip_tool__from_the_command_line(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / 'x.pt')
    done = _run(tmp_path / 'x.pt', tmp_path / 'y.pth')
    assert done.returncode == 0, done.stderr
    assert 'image tower: 4 layers, width 32, patches of 8' in done.stdout
    assert 'ViT-B-16.pt' in _run('--help').stdout
