"""Configs of panoptic segment sorting: numbers that fit, and training."""
import re

import pytest

pytest.importorskip('mmdet')

import torch  # noqa: E402
from mmdet.structures import DetDataSample  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.model import revert_sync_batchnorm  # noqa: E402
from mmengine.registry import DefaultScope, init_default_scope  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from mmengine.structures import InstanceData, PixelData  # noqa: E402

from mmpixsort.registry import DATASETS, MODELS  # noqa: E402

NAMES = ('fpn-mnv2_1xb4-600it_street-scenes', 'fpn-mnv2_1xb4-600it_cwfid',
         'fpn-r50_4xb4-40k_cityscapes-512x1024',
         'fpn-r101_4xb4-40k_cityscapes-512x1024',
         'hr48_4xb2-40k_cityscapes-512x1024', 'fpn-r50_4xb4-40k_coco-640x640',
         'fpn-r50_4xb4-40k_voc12-512x512')
COMMON = dict(type='mmpixsort.PanopticSegSortHead', embed_dims=32)
each = pytest.mark.parametrize('name', NAMES)


def read(repo_root, name):
    return Config.fromfile(
        repo_root / f'configs/panoptic_segsort/panoptic-segsort_{name}.py')


def test_configs__are_all_here(repo_root):
    found = (repo_root / 'configs/panoptic_segsort').glob('*.py')
    assert {path.stem.split('_', 1)[1] for path in found} >= set(NAMES)


@each
def test_config__classes_and_batch_agree(repo_root, name):
    cfg = read(repo_root, name)
    head = cfg.model.head
    assert {key: head[key] for key in COMMON} == COMMON
    assert cfg.train_dataloader.batch_size == int(
        re.search(r'xb(\d+)-', name)[1])
    if 'mnv2' not in name:
        # all ranks write, and the bank reads one iteration of theirs
        ranks, images = map(int, re.search(r'_(\d)xb(\d)-', name).groups())
        assert head.bank.capacity == ranks * images * 256
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        info = DATASETS.get(dataset.type).METAINFO
        assert head.num_things == len(info['thing_classes'])
        assert head.num_stuff == len(info['stuff_classes'])
        assert head.num_things == dataset.pipeline[-2].num_things


@each
def test_config__survives_its_dump(repo_root, name, tmp_path):
    """A runner writes the config down, and a test reads that."""
    cfg = read(repo_root, name)
    cfg.dump(tmp_path / 'copy.py')
    assert Config.fromfile(tmp_path / 'copy.py').model == cfg.model


def test_config__hr48_reads_all_branches(repo_root):
    model = read(repo_root, 'hr48_4xb2-40k_cityscapes-512x1024').model
    branches = model.backbone.extra.stage4.num_channels
    assert tuple(branches) == (48, 96, 192, 384)
    assert len(model.head.in_index) == 4
    assert model.head.in_channels == sum(branches) == 720


def small(cfg):
    """Build the model of a config, shallower, without weights."""
    init_default_scope('mmdet')
    backbone = cfg.model.backbone
    backbone.init_cfg = None
    if 'depth' in backbone:
        backbone.depth = 50
    for stage in backbone.get('extra', {}).values():
        stage.num_modules = 1
        stage.num_blocks = tuple(1 for _ in stage.num_blocks)
    cfg.model.head.cut = dict(cell_area=4., num_iters=2)
    torch.manual_seed(0)
    return revert_sync_batchnorm(MODELS.build(cfg.model)).train()


def make_batch(num_things, num_classes, sizes=((64, 96), (60, 64))):
    """Images of the first and the last thing and two kinds of stuff."""
    data = dict(inputs=[], data_samples=[])
    for height, width in sizes:
        ids = torch.zeros(1, height, width, dtype=torch.int32)
        ids[0, 8:32, 8:40], ids[0, 36:56, 10:50] = 1, 2
        labels = torch.tensor([0, num_things - 1])
        semantic = torch.full_like(ids, num_things)
        semantic[0, :, width // 2:] = num_classes - 1
        semantic[ids > 0] = labels[ids[ids > 0].long() - 1].int()
        ids[0, :4], semantic[0, :4] = -1, 255
        sample = DetDataSample(
            metainfo=dict(img_shape=(height, width),
                          ori_shape=(height, width)),
            gt_instance_map=PixelData(data=ids),
            gt_sem_seg=PixelData(sem_seg=semantic),
            gt_instances=InstanceData(labels=labels))
        data['inputs'].append(
            (20 * semantic + 40 * ids).float().expand(3, -1, -1))
        data['data_samples'].append(sample)
    return data


@pytest.mark.parametrize('name', [NAMES[2], *NAMES[4:]])
def test_config__trains_two_iterations(repo_root, name):
    cfg = read(repo_root, name)
    model = small(cfg)
    head = model.head
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    data = make_batch(head.num_things, head.num_classes)
    for _ in range(2):
        batch = model.data_preprocessor(data, True)
        total, log = model.parse_losses(model(**batch, mode='loss'))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        assert log['loss_panoptic_segsort'] > 0 and total.isfinite()
        assert log['panoptic_segments'] > 8
    unused = [key for key, part in model.named_parameters()
              if part.requires_grad and part.grad is None]
    # on several devices the reducer waits for every parameter, unless told
    assert bool(unused) == cfg.get('find_unused_parameters', False)
    assert all(part.isfinite().all() for part in model.parameters())
    assert head.bank.written > 0


def test_street_config__trains_and_tests_by_its_runner(repo_root, tmp_path):
    cfg = read(repo_root, NAMES[0])
    cfg.work_dir = str(tmp_path)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.update(num_images=2, size=(97, 129))
        loader.batch_size = min(2, loader.batch_size)
    crop = [step for step in cfg.train_dataloader.dataset.pipeline
            if step.type == 'RandomCrop'][0]
    crop.crop_size = (97, 97)
    cfg.default_hooks.checkpoint.interval = 2
    cfg.experiment_name = 'panoptic_street_in_a_test'
    DefaultScope._instance_dict.pop('mmdet', None)
    runner = Runner.from_cfg(cfg)
    runner.train()
    scores = runner.val_loop.run()
    assert set(scores) >= {'PQ', 'SQ', 'RQ', 'PQ_th', 'PQ_st'}
    assert 0 <= scores['PQ'] <= 100
    # measured, and in the checkpoint
    state = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    assert -1 <= runner.model.head.threshold <= 1
    assert 'head.threshold' in state['state_dict']
