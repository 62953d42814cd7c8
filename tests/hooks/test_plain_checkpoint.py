"""Checkpoints hold plain types, and resume as if they did not."""
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmpixsort import compat
from mmpixsort.hooks.plain_checkpoint import (make_plain, pack, restore_plain,
                                              unpack)
from mmpixsort.utils.files import write_image

HIDE = """
import sys
for name in {hidden}:
    sys.modules[name] = None
"""
DOCUMENT = Path(__file__).resolve().parents[2] / 'docs/use.md'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run of a model with a bank, and its newest checkpoint."""
    folder = tmp_path_factory.mktemp('run')
    runner = tiny.runner(folder, tiny.attached(), iters=4, save=2)
    runner.train()
    return runner, folder


def by_itself(code, *hidden):
    # without this clone on the path, unless asked for
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c',
         HIDE.format(hidden=hidden) + code], capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stderr


def test_checkpoint__loads_by_torch_alone(run):
    _, folder = run
    by_itself(f"""
import torch
saved = torch.load({str(folder / 'iter_4.pth')!r}, weights_only=True)
assert saved['message_hub']['log_scalars']['train/loss']['values'].numel() == 4
assert saved['mmpixsort_rng']
""", 'mmpixsort', 'mmengine', 'mmcv', 'mmseg')


def test_checkpoint__holds_the_logs_to_the_last_bit(run, tmp_path):
    runner, folder = run
    resumed = tiny.runner(
        tmp_path, tiny.attached(), iters=4, save=2, resume=True,
        load_from=str(folder / 'iter_2.pth'))
    resumed.train()
    first = runner.message_hub.log_scalars
    second = resumed.message_hub.log_scalars
    # of the validation that comes after a save mmengine keeps nothing
    names = [name for name in first if name.startswith('train/')]
    assert 'train/loss_pixel_contrast' in names
    for name in names:
        log = first[name]
        assert isinstance(second[name], HistoryBuffer)
        for want, got in zip(log.data, second[name].data):
            assert want.dtype == got.dtype and want.shape == got.shape, name
            if 'time' not in name:
                assert (want == got).all(), name
    assert second['train/loss'].mean(4) == first['train/loss'].mean(4)


def test_checkpoint__resumes_without_the_hook(run, tmp_path, capfd):
    """mmengine says that it skips the logs, and goes on."""
    _, folder = run
    resumed = tiny.runner(
        tmp_path, tiny.attached(), iters=4, save=2, resume=True,
        load_from=str(folder / 'iter_2.pth'))
    resumed._hooks = [hook for hook in resumed.hooks
                      if type(hook).__name__ != 'MemoryBankHook']
    resumed.train()
    assert resumed.iter == 4
    assert 'train/loss in message_hub' in ''.join(capfd.readouterr())


@pytest.mark.parametrize('values', [[], [.1, float('nan'), 1e300], [1, 2]])
def test_pack__and_unpack_are_exact(values):
    log = HistoryBuffer(values, [1] * len(values), max_length=7)
    back = unpack(pack(log))
    assert back.max_length == 7
    for want, got in zip(log.data, back.data):
        assert want.dtype == got.dtype
        np.testing.assert_array_equal(want, got)


def test_make_plain__takes_numbers_of_numpy(tmp_path):
    checkpoint = dict(
        message_hub=dict(
            log_scalars={}, resumed_keys={},
            runtime_info=dict(best=np.float64(.1), epoch=3)),
        meta=dict(dataset_meta=dict(palette=np.eye(2, dtype=np.uint8))))
    make_plain(checkpoint)
    assert checkpoint['message_hub']['runtime_info'] == dict(best=.1, epoch=3)
    assert checkpoint['meta']['dataset_meta']['palette'] == [[1, 0], [0, 1]]
    bare = dict(state_dict={})
    make_plain(bare)
    restore_plain(bare)
    assert bare == dict(state_dict={})


@pytest.mark.parametrize('imported', [
    True,
    pytest.param(False, marks=pytest.mark.skipif(
        not compat.has_ops(), reason='without the compiled operators of mmcv '
        'its hosts need `import mmpixsort` first'))])
def test_document__inferencer_of_the_host(run, tmp_path, imported):
    _, folder = run
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    cfg = Config(dict(
        default_scope='mmseg', model=tiny.attached(),
        test_dataloader=dict(dataset=dict(pipeline=pipeline)),
        visualizer=dict(type='SegLocalVisualizer', vis_backends=[])))
    cfg.dump(tmp_path / 'config.py')
    write_image(tmp_path / 'image.png', np.zeros((32, 32, 3), np.uint8))
    code = re.findall(r'```python\n(.*?)```', DOCUMENT.read_text(), re.S)[0]
    for name, path in (('config.py', tmp_path / 'config.py'),
                       ('image.png', tmp_path / 'image.png'),
                       ('iter_40000.pth', folder / 'iter_4.pth')):
        assert f"'{name}'" in code
        code = code.replace(f"'{name}'", repr(str(path)))
    if not imported:
        code = "assert 'mmpixsort' not in sys.modules\n" + '\n'.join(
            code.splitlines()[1:])
    by_itself(code + '\nassert labels.shape == (32, 32)\n')
