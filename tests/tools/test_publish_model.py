"""A published checkpoint is the plain host's."""
import hashlib
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mmpixsort.utils import publish, publish_checkpoint

TOOL = Path(__file__).resolve().parents[2] / 'tools/misc/publish_model.py'
DAY = date(2024, 2, 3)
CONFIG = """
model = dict(
    type='mmpixsort.MetricEncoderDecoder',
    backbone=dict(type='ResNet', depth=18),
    metric_head=dict(type='mmpixsort.PixelContrastHead', bank=dict(
        type='mmpixsort.ClassQueue')))
custom_imports = dict(imports=['mmpixsort'], allow_failed_imports=False)
custom_hooks = [dict(type='mmpixsort.MemoryBankHook'), dict(type='EMAHook')]
work_dir = '/home/somebody/work_dirs/a'
load_from = '/home/somebody/b.pth'
"""


class Host(nn.Module):

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(3, 4)
        self.decode_head = nn.BatchNorm1d(4)


class Attached(Host):

    def __init__(self):
        super().__init__()
        self.metric_head = nn.ModuleList([nn.Linear(4, 2)])
        self.metric_head[0].register_buffer('bank', torch.zeros(9, 2))


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint as the Runner saves it, in the work dir of a config."""
    from mmengine.logging import HistoryBuffer
    folder = tmp_path / 'contrast_tiny'
    folder.mkdir()
    model = Attached()
    torch.save(
        {
            'meta': {
                'cfg': CONFIG,
                'iter': 4,
                'score': np.float64(0.5),
                'precision': torch.float16,
                'dataset_meta': {
                    'classes': ('a', 'b'),
                    'palette': np.zeros((2, 3), np.int64),
                },
            },
            'state_dict': model.state_dict(),
            'ema_state_dict': {'steps': torch.tensor(4)},
            'optimizer': {'state': torch.zeros(1000)},
            'message_hub': {'loss': HistoryBuffer()},
        }, folder / 'iter_4.pth')
    return folder / 'iter_4.pth', model


def test_publish__loads_strictly_in_the_host(checkpoint, tmp_path):
    source, model = checkpoint
    path = publish_checkpoint(source, tmp_path, day=DAY)
    read = torch.load(path, weights_only=True)
    assert set(read) == {'meta', 'state_dict'}
    host = Host()
    host.load_state_dict(read['state_dict'], strict=True)
    for name, tensor in host.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def test_publish__loads_without_this_package(checkpoint, tmp_path):
    path = publish_checkpoint(checkpoint[0], tmp_path, day=DAY)
    code = ('import sys, torch\n'
            'torch.load(sys.argv[1], weights_only=True)\n'
            "assert 'mmpixsort' not in sys.modules")
    subprocess.run([sys.executable, '-c', code, path], check=True)


def test_publish__name_holds_stem_date_and_hash(checkpoint, tmp_path):
    path = publish_checkpoint(checkpoint[0], tmp_path, day=DAY)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path.name == f'contrast_tiny_20240203-{digest}.pth'
    named = publish_checkpoint(checkpoint[0], tmp_path / 'n' / 'a.b.pth')
    assert named.name.startswith(f'a.b_{date.today():%Y%m%d}-')
    assert publish_checkpoint(checkpoint[0], tmp_path, day=DAY) == path


def test_publish__leaves_no_draft(checkpoint, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    out.mkdir()

    def fail(path):
        raise RuntimeError('disk full')

    monkeypatch.setattr(publish, 'sha256', fail)
    with pytest.raises(RuntimeError, match='disk full'):
        publish_checkpoint(checkpoint[0], out)
    assert list(out.iterdir()) == []


def test_publish__meta_is_plain_and_of_the_host(checkpoint, tmp_path):
    path = publish_checkpoint(checkpoint[0], tmp_path)
    meta = torch.load(path, weights_only=True)['meta']
    assert meta['iter'] == 4 and type(meta['score']) is float
    assert meta['dataset_meta'] == {
        'classes': ('a', 'b'), 'palette': [[0, 0, 0], [0, 0, 0]]}
    assert 'precision' not in meta
    assert "type='EncoderDecoder'" in meta['cfg']
    assert "type='EMAHook'" in meta['cfg']
    assert 'mmpixsort' not in meta['cfg'] and '/home' not in meta['cfg']


@pytest.mark.parametrize('text', [
    None,
    'model = dict(type="mmpixsort.Other")',
    'import os\na = 1',
    'a = open("x")',
    'a = (',
    'a = dict(*[1])',
    'a = dict(**x)',
    'a = 1\nb = a',
    'a += 1',
    'a.b = 1',
    'a = ' + '(' * 5000 + ')' * 5000,
    "_base_ = ['x.py']",
    "custom_imports = dict(imports=['mmpixsort', 'os'])",
    "custom_imports = dict(imports='os')",
    # mmengine replaces this before it looks at the text
    'a = "b{{$X:""}}" + str(open("touched", "w")) + "{{$X:""}}"',
    'a = \'"a"{{$X:""}}"+str(open("touched", "w"))+"\'',
])
def test_host_config__dropped_and_never_run(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert publish.host_config(text) is publish.DROPPED
    assert not list(tmp_path.iterdir())


def test_host_config__text_reads_as_what_it_said():
    from mmengine.config import Config
    text = ('a = dict(b=[1, (2., -3)], c={1: None, "d": "x\'y\\n{0}"})\n'
            'custom_imports = dict(imports=["mmpixsort"])\n')
    clean = publish.host_config(text)
    assert Config.fromstring(clean, '.py')._cfg_dict.to_dict() == dict(
        a=dict(b=[1, (2., -3)], c={1: None, 'd': "x'y\n{0}"}))


def test_publish__safetensors(checkpoint, tmp_path):
    safetensors = pytest.importorskip('safetensors')
    path = publish_checkpoint(checkpoint[0], tmp_path, safetensors=True)
    assert path.suffix == '.safetensors'
    with safetensors.safe_open(str(path), framework='pt') as file:
        assert set(file.keys()) == set(Host().state_dict())
        assert '"classes": ["a", "b"]' in file.metadata()['dataset_meta']


def test_strip_branch__unwraps_and_copies():
    large = torch.zeros(1000)
    kept = publish.strip_branch({
        'module.a': large[:2], 'module.metric_head.0.bank': large})
    assert list(kept) == ['a'] and kept['a'].untyped_storage().nbytes() == 8


@pytest.mark.parametrize('content, words', [
    ({'weights': {}}, 'must be a checkpoint with a `state_dict`'),
    ({'state_dict': {'metric_head.a': torch.zeros(1)}}, 'nothing outside'),
])
def test_publish__bad_checkpoint(content, words, tmp_path):
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=words):
        publish_checkpoint(tmp_path / 'x.pth', tmp_path)


def test_tool__prints_the_path(checkpoint, tmp_path):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', TOOL, checkpoint[0],
         f'{tmp_path}/new/', '--date', '20240203'],
        check=True, capture_output=True, text=True)
    path = Path(done.stdout.split(' (')[0])
    assert path.is_file() and path.parent == tmp_path / 'new'
    assert path.name.startswith('contrast_tiny_20240203-')
