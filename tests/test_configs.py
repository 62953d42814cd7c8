"""Every shipped config parses, builds, and follows the conventions."""
import re
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import yaml
from apis.hosts import shrink
from apis.training import build, train_step
from mmdet.registry import DATASETS as DET_DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner

from mmpixsort.apis import attach
from mmpixsort.apis.attach.attachment import load_config
from mmpixsort.apis.attach.host_probe import without_weights
from mmpixsort.apis.study import read_study
from mmpixsort.apis.study.plan import config_of_test, run_config, scoring_hash
from mmpixsort.registry import HOOKS, MODELS

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted(
    path for path in (ROOT / 'configs').rglob('*.py')
    if path.parent.name != 'studies' and '_base_' not in path.parts)
STUDIES = sorted((ROOT / 'configs' / 'studies').glob('*.py'))
# Methods, as configs are named after them
METHODS = ('pixel-contrast', 'segsort', 'discriminative', 'panoptic-segsort',
           'textgroup', 'plain')
# where the name of the folder is longer
FOLDERS = dict(textgroup='text_grouping')
DETECTION = ('discriminative', 'panoptic_segsort')
# The names that were promised before there was the convention
PROMISED = ('configs/segsort/deeplabv3_r101_cityscapes.py', )


def each(paths):
    return pytest.mark.parametrize(
        'path', paths, ids=[path.stem for path in paths])


each_config = each(CONFIGS)
each_segmentor = each([
    path for path in CONFIGS if path.parent.name not in (
        *DETECTION, *FOLDERS.values(), 'plain')])
each_plain = each([path for path in CONFIGS if path.parent.name == 'plain'])
each_detector = each([
    path for path in CONFIGS if path.parent.name in DETECTION])


@lru_cache(maxsize=None)
def read(path: Path) -> Config:
    return Config.fromfile(path)


def build_small(path: Path):
    """Build the model of a config, shallower and with a small bank."""
    cfg = shrink(read(path))
    for head in metric_heads(cfg):
        if head.get('bank'):
            head.bank.capacity = min(head.bank.capacity, 8)
    return build(cfg)


def metric_heads(cfg: Config) -> list:
    """Return the configs of the metric heads, of which there may be many."""
    heads = cfg.model.metric_head
    return heads if isinstance(heads, list) else [heads]


@each_segmentor
def test_config__builds(path):
    model = build_small(path)
    assert type(model).__module__.startswith('mmpixsort.')
    head = model.metric_heads[0]
    assert head.num_classes == model.num_classes


@each_plain
def test_plain_config__is_the_host_itself(path):
    model = build(read(path))
    assert type(model).__module__.startswith('mmseg.')


@each(STUDIES)
def test_study__arms_build_and_share_what_they_train_on(path):
    study = read_study(path)
    assert study.title
    for arm in study.arms.values():
        cfg = run_config(study, arm, seed=0)
        init_default_scope(cfg.default_scope)
        model = MODELS.build(without_weights(cfg.model))
        assert any(p.requires_grad for p in model.parameters())
        for options in arm.tests.values():
            scoring_hash(config_of_test(cfg, options, study.split))


@each_segmentor
def test_config__prefixes_its_types(path):
    cfg = read(path)
    assert cfg.model.type.startswith('mmpixsort.')
    assert cfg.default_scope == 'mmseg'
    for part in [p for head in metric_heads(cfg) for p in parts(head)]:
        assert part['type'].startswith('mmpixsort.'), part
        assert MODELS.get(part['type']) is not None, part


@each_detector
def test_detector_config__builds_and_prefixes_its_types(path):
    cfg = read(path)
    assert cfg.default_scope == 'mmdet'
    for part in parts(cfg.model.head):
        assert part['type'].startswith('mmpixsort.'), part
    init_default_scope('mmdet')
    cfg = cfg.copy()
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    assert type(model).__module__.startswith('mmpixsort.')
    classes = model.head.num_classes
    dataset = DET_DATASETS.get(cfg.train_dataloader.dataset.type)
    info = dataset.METAINFO
    assert classes == len(info.get('classes') or (
        *info['thing_classes'], *info['stuff_classes']))
    for pipeline in (cfg.train_dataloader, cfg.test_dataloader):
        steps = [step.type for step in pipeline.dataset.pipeline]
        assert steps[-2:] == ['mmpixsort.PaintInstanceMap',
                              'mmpixsort.PackInstanceInputs']


def test_sticks_config__trains_and_tests_by_its_runner(tmp_path):
    cfg = read(ROOT / 'configs/discriminative/'
               'discriminative_unet_1xb4-2000it_sticks.py').copy()
    cfg.work_dir = str(tmp_path)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.model.backbone.base_channels = 4
    cfg.model.head.in_channels = 4
    cfg.train_dataloader.batch_size = 2
    cfg.val_dataloader.dataset.num_images = 2
    cfg.default_hooks.checkpoint.interval = 2
    cfg.experiment_name = 'sticks_in_a_test'
    DefaultScope._instance_dict.pop('mmdet', None)
    runner = Runner.from_cfg(cfg)
    runner.train()
    scores = runner.val_loop.run()
    assert 0 <= scores['SBD'] <= 100 and scores['abs_DiC'] >= 0
    assert (tmp_path / 'iter_2.pth').exists()


def parts(config):
    """Yield a typed dict and those inside it."""
    if isinstance(config, dict):
        if 'type' in config and config['type'] != 'SyncBN':
            yield config
        for value in config.values():
            yield from parts(value)


@each_config
def test_config__is_named_after_its_method(path):
    if path.relative_to(ROOT).as_posix() in PROMISED:
        return
    assert path.stem.startswith(tuple(f'{name}_' for name in METHODS))
    method = path.stem.split('_')[0].replace('-', '_')
    assert path.parent.name == FOLDERS.get(method, method)
    # mmengine cuts a base at the first dot
    assert '.' not in path.stem


def test_configs__have_names_of_their_own():
    names = [path.stem for path in CONFIGS]
    assert len(set(names)) == len(names)


@each_segmentor
def test_config__warms_up_for_a_fifth_at_most(path):
    cfg = read(path)
    iterations = cfg.train_cfg.max_iters
    for head in metric_heads(cfg):
        # segment sorting starts at once, as its release does
        warmup = head.get('warmup_iters', 0)
        assert 0 <= warmup <= iterations / 5
        assert 'warmup_iters' in head or head.type.endswith('SegSortHead')


@each_segmentor
def test_config__has_the_hook_beside_inherited_ones(path):
    types = [hook.type for hook in read(path).custom_hooks]
    assert types.count('mmpixsort.MemoryBankHook') == 1
    for kind in inherited_hooks(path):
        assert kind in types
    for kind in types:
        assert HOOKS.get(kind) is not None, kind


def inherited_hooks(path):
    """Return the types of custom hooks in the bases of a config file."""
    found = []
    for base in Config._get_base_files(str(path)):
        base = base if '::' in base else path.parent / base
        hooks = load_config(base).get('custom_hooks') or []
        found += [hook['type'] for hook in hooks]
    return found


def test_metafiles__name_configs_and_claim_nothing():
    for metafile in (ROOT / 'configs').rglob('metafile.yml'):
        rows = yaml.safe_load(metafile.read_text())['Models']
        assert rows
        for row in rows:
            assert Path(row['Config']).stem == row['Name']
            assert ROOT / row['Config'] in CONFIGS
            # a score needs a checkpoint that shows it
            assert 'Weights' in row or 'Results' not in row


def test_readmes__link_to_files_that_exist():
    for readme in (ROOT / 'configs').rglob('README.md'):
        for link in re.findall(r'\]\(([^)#:]+)\)', readme.read_text()):
            assert (readme.parent / link).exists(), link


@each_config
def test_config__says_what_it_is(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith('# ')


@pytest.mark.parametrize('model', [
    'deeplabv3-r101-d8_4xb2-40k_cityscapes-512x1024',
    'fcn-hr48_4xb2-40k_cityscapes-512x1024',
    'ocrnet-hr48_4xb2-40k_cityscapes-512x1024'
])
def test_configs__take_the_place_that_attach_finds(model):
    path = ROOT / f'configs/pixel_contrast/pixel-contrast_{model}.py'
    cfg = shrink(read(path))
    shipped = cfg.model.pop('metric_head')
    cfg.model.type = cfg.model.type.removeprefix('mmpixsort.Metric')
    found = attach(cfg).model.metric_head
    for name in ('in_channels', 'source', 'num_classes', 'warmup_iters'):
        assert shipped[name] == found[name], name


@pytest.mark.parametrize('pattern', [
    'pixel-contrast_fcn-mnv2*street-scenes', '*fcn-hr48-memory_*',
    '*ocrnet-hr48*coco*'
])
def test_configs__train_two_iterations(pattern):
    path, = (ROOT / 'configs').rglob(pattern + '.py')
    torch.manual_seed(0)
    model = build_small(path)
    model.metric_head.warmup_iters = 1
    first = train_step(model, 96)
    second = train_step(model, 96)
    assert first['loss_pixel_contrast'] == 0
    assert second['loss_pixel_contrast'] > 0


@pytest.mark.parametrize('name', [
    'deeplabv3_r101_cityscapes', 'segsort_fcn-hr48_4xb2-40k_*',
    'segsort_ocrnet-hr48_*', 'segsort_pspnet-r101-d8_4xb4-100k_*',
    'segsort_fcn-mnv2-classifier_*', 'segsort_fcn-mnv2_*camvid'
])
def test_segsort_configs__train_two_iterations(name):
    path, = (ROOT / 'configs' / 'segsort').glob(name + '.py')
    torch.manual_seed(0)
    model = build_small(path)
    for _ in range(2):
        losses = train_step(model, 96)
        found = [v for k, v in losses.items() if k.endswith('loss_segsort')]
        assert len(found) == 1 and found[0] > 0


def test_promised_config__is_that_of_the_thread():
    cfg = read(ROOT / PROMISED[0])
    assert cfg.train_cfg.max_iters == 150000
    assert cfg.train_dataloader.batch_size == 1  # of 8 devices
    crop = [part for part in cfg.train_dataloader.dataset.pipeline
            if part.type == 'RandomCrop'][0]
    assert tuple(crop.crop_size) == (720, 720)
    assert tuple(cfg.model.data_preprocessor.size) == (720, 720)
    assert cfg.optim_wrapper.optimizer.lr == 3e-3
    head, test = cfg.model.metric_head, cfg.model.test_cfg
    assert (head.segmenter.grid, head.segmenter.num_iters) == (8, 15)
    assert tuple(test.stride) == (480, 480)
    assert tuple(test.retrieval.grid) == (16, 16)
    assert cfg.model.classifier == 'none'
