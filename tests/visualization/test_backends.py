"""TensorBoard and Weights & Biases receive our scalars and pictures."""
import sys
import types

import numpy as np
import pytest
import tiny
from mmengine.visualization import Visualizer

NAMES = ('loss_pixel_contrast', 'pixel_contrast_anchors', 'mIoU')
KINDS = ('prediction', 'embedding', 'panel')


def train(tmp_path, backends):
    """Train for four iterations with the backends and validate once."""
    runner = tiny.runner(
        tmp_path, tiny.attached(), hooks=[dict(
            type='mmpixsort.EmbeddingVisualizationHook', num_images=1,
            stages=('val', ))])
    runner.visualizer = Visualizer(
        name=f'of_{tmp_path.name}', vis_backends=backends,
        save_dir=str(tmp_path / 'log'))
    runner.train()
    runner.visualizer.close()


@pytest.fixture
def tensorboard(monkeypatch):
    """A stand-in that notes what it is given."""
    given = types.SimpleNamespace(scalars={}, images={})

    class Writer:

        def __init__(self, folder):
            pass

        def add_scalar(self, name, value, step):
            given.scalars.setdefault(name, []).append((step, float(value)))

        def add_image(self, name, image, step, dataformats):
            assert dataformats == 'HWC'
            given.images[name] = image

        def close(self):
            pass

    module = types.ModuleType('torch.utils.tensorboard')
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', module)
    return given


def check_images(images):
    for kind in KINDS:
        name, = [name for name in images if name.endswith(f'_{kind}')]
        assert images[name].dtype == np.uint8 and images[name].ndim == 3
    embedding, = [image for name, image in images.items()
                  if name.endswith('_embedding')]
    assert embedding.std() > 0


def test_tensorboard__receives_scalars_and_pictures(tmp_path, tensorboard):
    train(tmp_path, [dict(type='TensorboardVisBackend')])
    for name in NAMES:
        assert name in tensorboard.scalars
    steps = [step for step, _ in tensorboard.scalars['loss_pixel_contrast']]
    assert steps == [2, 4]
    values = [value for _, value in tensorboard.scalars['loss_pixel_contrast']]
    assert min(values) > 0
    check_images(tensorboard.images)


def test_wandb__receives_scalars_and_pictures(tmp_path, monkeypatch):
    logged = []
    run = types.SimpleNamespace(
        log=lambda entry, commit: logged.append(entry))
    module = types.ModuleType('wandb')
    module.run = run
    module.init = lambda **options: run
    module.Image = lambda image, **options: image
    module.log = run.log
    module.join = lambda: None
    monkeypatch.setitem(sys.modules, 'wandb', module)
    train(tmp_path, [dict(type='WandbVisBackend')])
    for name in NAMES:
        assert any(name in entry for entry in logged), name
    check_images({name: value for entry in logged
                  for name, value in entry.items()
                  if isinstance(value, np.ndarray) and value.ndim == 3})


def test_tensorboard_itself__can_read_the_log(tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator)
    train(tmp_path, [dict(type='TensorboardVisBackend')])
    file, = (tmp_path / 'log').rglob('events.out.tfevents.*')
    log = EventAccumulator(str(file), size_guidance=dict(images=0)).Reload()
    for name in NAMES:
        assert log.Scalars(name)
    for kind in KINDS:
        assert any(name.endswith(f'_{kind}') for name in log.Tags()['images'])


def test_wandb_itself__writes_a_run(tmp_path, monkeypatch):
    pytest.importorskip('wandb')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.setenv('WANDB_SILENT', 'true')
    train(tmp_path, [dict(type='WandbVisBackend')])
    assert list((tmp_path / 'log').rglob('*.wandb'))
    pictures = [path.name for path in (tmp_path / 'log').rglob('*.png')]
    for kind in KINDS:
        assert any(f'_{kind}_' in name for name in pictures), pictures
