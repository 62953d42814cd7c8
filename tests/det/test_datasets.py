"""Sticks, CVPPP and DSB2018 as MMDetection datasets, and their configs."""
import json
import pickle

import numpy as np
import pytest
import tiny_instances
import torch
from calls import count_calls

pytest.importorskip('mmdet')

import mmdet.datasets  # noqa: E402,F401  registers the host's transforms
from mmdet.registry import DATASETS  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from PIL import Image  # noqa: E402

import mmpixsort.det.datasets  # noqa: E402,F401  registers what is tested
from mmpixsort.datasets.instance_maps import read_instance_map  # noqa: E402
from mmpixsort.datasets.synthetic.sticks import ScatteredSticks  # noqa: E402
import mmpixsort.det.transforms  # noqa: E402,F401

LOAD = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
FROM_ARRAY = [dict(type='LoadImageFromNDArray'), LOAD]
FROM_FILE = [dict(type='LoadImageFromFile'), LOAD]
NUM_IMAGES = dict(train=532, val=66, test=66)
NUM_NUCLEI = dict(train=23291, val=2687, test=3008)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


def painted(results):
    """Paint the masks one after the other, as ids from 1."""
    ids = np.zeros(results['gt_masks'].masks.shape[1:], np.int32)
    for ident, mask in enumerate(results['gt_masks'].masks, 1):
        ids[mask > 0] = ident
    return ids


def sticks(pipeline, **options):
    return DATASETS.build(
        dict({'type': 'mmpixsort.ScatteredSticksDataset', 'num_images': 4,
              'size': (65, 97), 'pipeline': pipeline}, **options))


@pytest.mark.parametrize('serialize', [True, False])
def test_sticks_dataset__equals_generator(serialize):
    dataset = sticks(FROM_ARRAY, split='test', seed=4, num_sticks=(3, 5),
                     serialize_data=serialize)
    scenes = ScatteredSticks(4, 'test', 4, size=(65, 97), num_sticks=(3, 5))
    assert len(dataset) == 4
    assert dataset.metainfo['classes'] == ('stick', )
    for index in (2, 0, 3):
        results, scene = dataset[index], scenes[index]
        assert np.array_equal(results['img'][..., ::-1], scene.image)
        assert np.array_equal(painted(results), scene.instances)
        assert results['ori_shape'] == (65, 97)
        assert results['img_id'] == index
        assert not results['gt_ignore_flags'].any()
        assert not results['gt_bboxes_labels'].any()
        for ident, box in enumerate(results['gt_bboxes'].tensor, 1):
            rows, columns = np.nonzero(scene.instances == ident)
            assert box.tolist() == [
                columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            ]
        assert dataset.get_cat_ids(index) == [0] * scene.instances.max()


def test_sticks_dataset__host_pipeline():
    dataset = sticks(FROM_ARRAY + [
        dict(type='RandomResize', scale=(97, 65), ratio_range=(1., 1.5),
             keep_ratio=True),
        dict(type='RandomCrop', crop_size=(65, 65)),
        dict(type='RandomFlip', prob=1., direction='horizontal'),
    ])
    for index in (0, 1, 2, 0):
        results = dataset[index]
        assert results['img'].shape == (65, 65, 3)
        shape = results['gt_masks'].masks.shape
        assert shape == (len(results['gt_bboxes_labels']), 65, 65)


@pytest.mark.parametrize('cache_size', [0, 1, 9])
def test_sticks_dataset__cache_is_small_and_not_spoilt(
        cache_size, monkeypatch):
    made = count_calls(ScatteredSticks, '__getitem__', monkeypatch.setattr)
    dataset = sticks([], cache_size=cache_size)
    first = dataset[0]
    kept = pickle.dumps((first['img'], first['instances']))
    first['img'][:] = 0
    first['instances'].clear()
    again = dataset[0]
    assert pickle.dumps((again['img'], again['instances'])) == kept
    for index in (0, 1, 2, 3):
        dataset[index]
    made.clear()
    for index in (3, 2, 1, 0):  # the last ones are kept
        dataset[index]
    assert len(made) == 4 - min(cache_size, 4)
    assert len(pickle.loads(pickle.dumps(dataset))) == 4


def test_sticks_dataset__subset():
    dataset = sticks([], indices=[3, 1])
    assert [item['img_id'] for item in dataset] == [3, 1]
    assert np.array_equal(dataset[0]['img'], sticks([])[3]['img'])


@pytest.mark.parametrize('options, text', [
    (dict(num_images=0), '`num_images`'), (dict(size=(9, 9)), '`size'),
    (dict(split='dev'), '`split`'), (dict(cache_size=-1), '`cache_size`')
])
def test_sticks_dataset__bad_arguments(options, text):
    with pytest.raises(ValueError, match=text):
        sticks([], **options)


@pytest.fixture
def tiny_cvppp(tmp_path):
    """Three plants with leaves 1, 2, 3 and -- one file -- a palette."""
    folder = tmp_path / 'A1'
    folder.mkdir()
    for number in (1, 2, 3):
        ids = np.arange(48).reshape(6, 8).astype(np.uint8) % (number + 1)
        stem = f'plant{number:03d}'
        Image.fromarray(np.full((6, 8, 4), 40 * number, np.uint8)).save(
            folder / f'{stem}_rgb.png')
        label = Image.fromarray(ids)
        if number == 2:
            label = Image.fromarray(ids, mode='P')
            label.putpalette([0, 0, 0, 9, 200, 30, 80, 80, 80])
        label.save(folder / f'{stem}_label.png')
        if number != 3:
            Image.fromarray((ids > 0).astype(np.uint8)).save(
                folder / f'{stem}_fg.png')
    return tmp_path


def cvppp(root, **options):
    return DATASETS.build(
        dict(type='mmpixsort.CVPPPDataset', data_root=str(root), **options))


def test_cvppp__official_layout(tiny_cvppp):
    dataset = cvppp(tiny_cvppp, pipeline=FROM_FILE)
    assert len(dataset) == 3
    assert dataset.metainfo['classes'] == ('leaf', )
    for index, results in enumerate(dataset):
        number = index + 1
        want = np.arange(48).reshape(6, 8) % (number + 1)
        assert np.array_equal(painted(results), want)
        # the fourth channel of the files is gone
        assert results['img'].shape == (6, 8, 3)
        assert (results['img'] == 40 * number).all()
        assert (results['height'], results['width']) == (6, 8)
        assert (results['fg_path'] is None) == (number == 3)
    assert dataset[0]['fg_path'].endswith('plant001_fg.png')


def test_cvppp__list_and_indices(tiny_cvppp):
    (tiny_cvppp / 'held_out.txt').write_text('plant003\nplant001\n')
    dataset = cvppp(tiny_cvppp, ann_file='held_out.txt')
    assert [len(item['instances']) for item in dataset] == [3, 1]
    assert len(cvppp(tiny_cvppp, indices=2)) == 2
    last = cvppp(tiny_cvppp, indices=-1)
    assert [len(item['instances']) for item in last] == [3]


def test_cvppp__images_without_labels(tiny_cvppp):
    for path in tiny_cvppp.glob('A1/*_label.png'):
        path.unlink()
    with pytest.raises(FileNotFoundError, match='plant001_label.png'):
        cvppp(tiny_cvppp)
    dataset = cvppp(tiny_cvppp, label_suffix=None, pipeline=FROM_FILE,
                    test_mode=True)
    assert dataset[1]['gt_masks'].masks.shape == (0, 6, 8)


PAINTED = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(16, 24), keep_ratio=False), LOAD,
    dict(type='mmpixsort.PaintInstanceMap'),
    dict(type='mmpixsort.PackInstanceInputs', meta_keys=(
        'img_path', 'img_shape', 'ori_shape'))]


def predict(dataset, index):
    """Predict where the annotation says that things are."""
    model = tiny_instances.build(dict(
        foreground='annotated', clusters=dict(
            type='mmpixsort.MeanShiftBackend', bandwidth=9., min_pixels=1,
            reassign='nearest')))
    item = dataset[index]
    found, = model.eval().test_step(dict(
        inputs=[item['inputs']], data_samples=[item['data_samples']]))
    return found


@pytest.mark.parametrize('alpha', [False, True])
def test_cvppp__challenge_images_are_predicted_on_the_plant(tiny_cvppp,
                                                            alpha):
    for path in tiny_cvppp.glob('A1/*_label.png'):
        path.unlink()
    inside = np.arange(48).reshape(6, 8) % 2 > 0
    if alpha:
        colours = np.where(inside[..., None], (9, 200, 30, 255), 0)
        Image.fromarray(colours.astype(np.uint8)).save(
            tiny_cvppp / 'A1/plant001_fg.png')
    dataset = cvppp(tiny_cvppp, label_suffix=None, pipeline=PAINTED,
                    test_mode=True)
    found = predict(dataset, 0)
    assert np.array_equal(found.gt_foreground.data[0].numpy(), inside)
    assert np.array_equal(
        found.gt_instance_map.data[0].numpy(), np.where(inside, -1, 0))
    masks = found.pred_instances.masks
    assert len(masks) and np.array_equal(masks.any(0).numpy(), inside)
    with pytest.raises(ValueError, match='plant003_rgb.png.*`_fg.png`'):
        predict(dataset, 2)  # which has no such file
    assert (dataset[2]['data_samples'].gt_instance_map.data == -1).all()


def test_cvppp__labels_are_the_foreground_where_they_are(tiny_cvppp):
    dataset = cvppp(tiny_cvppp, pipeline=PAINTED, test_mode=True)
    found = predict(dataset, 2)
    assert 'gt_foreground' not in found
    assert torch.equal(found.pred_instances.masks.any(0),
                       found.gt_instance_map.data[0] > 0)


@pytest.mark.parametrize('steps', [
    [LOAD, dict(type='Resize', scale=(16, 24), keep_ratio=False)],
    [LOAD, dict(type='RandomFlip', prob=1., direction='horizontal')]])
def test_cvppp__foreground_must_not_be_moved(tiny_cvppp, steps):
    dataset = cvppp(tiny_cvppp, label_suffix=None, pipeline=[
        dict(type='LoadImageFromFile'), *steps,
        dict(type='mmpixsort.PaintInstanceMap')])
    with pytest.raises(ValueError, match='`fg_path`.*after Resize'):
        dataset[0]


def test_cvppp__missing_says_where_to_get_it(tiny_cvppp, tmp_path):
    text = r'A2.*plant001_rgb.png.*may not be redistributed.*https://www\.'
    with pytest.raises(FileNotFoundError, match=text):
        cvppp(tmp_path, data_prefix=dict(img='A2'))
    (tmp_path / 'A3').mkdir()
    with pytest.raises(FileNotFoundError, match=r'A3.*\*_rgb.png'):
        cvppp(tmp_path, data_prefix=dict(img='A3'))
    with pytest.raises(FileNotFoundError, match='`ann_file`.*a line each'):
        cvppp(tiny_cvppp, ann_file='no.txt')
    (tiny_cvppp / 'list.txt').write_text('plant009')
    with pytest.raises(FileNotFoundError, match='plant009_rgb.png'):
        cvppp(tiny_cvppp, ann_file='list.txt')


def dsb2018(root, split, **options):
    return DATASETS.build(
        dict({'type': 'mmpixsort.DSB2018Dataset', 'data_root': str(root),
              'ann_file': f'annotations/instances_{split}.json',
              'data_prefix': dict(img=f'images/{split}')}, **options))


def test_dsb2018__missing_says_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError,
                       match=r'`ann_file`.*instances_val.*github.com'):
        dsb2018(tmp_path, 'val')
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/instances_val.json').write_text('{}')
    with pytest.raises(FileNotFoundError, match='`data_prefix.img`'):
        dsb2018(tmp_path, 'val')


def nuclei(root, categories, annotated=True):
    """Write images and, for each category, an annotation of its id."""
    (root / 'annotations').mkdir()
    (root / 'images/val').mkdir(parents=True)
    images = [dict(id=k, file_name=f'{k}.jpg', height=8, width=8)
              for k in range(2)]
    boxes = [dict(id=10 + k, image_id=k % 2, category_id=k, iscrowd=0,
                  bbox=[1, 1, 4, 4], area=16,
                  segmentation=[[1, 1, 5, 1, 5, 5, 1, 5]])
             for k in range(len(categories))] if annotated else []
    (root / 'annotations/instances_val.json').write_text(json.dumps(dict(
        images=images, annotations=boxes, categories=[
            dict(id=k, name=name) for k, name in enumerate(categories)])))
    return root


def test_dsb2018__category_of_another_name(tmp_path):
    nuclei(tmp_path, ['nuclei', 'cell'])
    with pytest.raises(ValueError, match=r"lacks \['nucleus'\]: the JSON has "
                       r"\['cell', 'nuclei'\]"):
        dsb2018(tmp_path, 'val')
    dataset = dsb2018(
        tmp_path, 'val', metainfo=dict(classes=('nuclei', 'cell')))
    assert [item['instances'][0]['bbox_label'] for item in (
        dataset.get_data_info(k) for k in range(2))] == [0, 1]


def test_dsb2018__list_of_images_needs_no_category(tmp_path):
    dataset = dsb2018(nuclei(tmp_path, [], annotated=False), 'val',
                      test_mode=True)
    assert [dataset.get_data_info(k)['instances'] for k in range(2)] == [
        [], []]


@pytest.fixture
def dsb_root(shared_data):
    folder = shared_data / 'dsb2018'
    if not folder.is_dir():
        pytest.skip(f'no {folder}')
    return folder


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_dsb2018__real_files(dsb_root, split):
    dataset = dsb2018(dsb_root, split, pipeline=FROM_FILE)
    assert dataset.metainfo['classes'] == ('nucleus', )
    assert len(dataset) == NUM_IMAGES[split]
    nuclei = sum(
        len(dataset.get_data_info(i)['instances'])
        for i in range(len(dataset)))
    assert nuclei == NUM_NUCLEI[split]
    for index in range(0, 60, 12):
        results = dataset[index]
        name = results['img_path'].rsplit('/', 1)[1][:-len('.jpg')]
        truth = read_instance_map(dsb_root / f'labels/{split}/{name}.png')
        assert results['img'].shape == truth.shape + (3, )
        # 9 pixels of the whole set belong to two nuclei
        assert (painted(results) != truth).sum() <= 9


NAMES = ('sticks_instances', 'dsb2018_instances', 'cvppp_a1',
         'cityscapes_instances')


@pytest.fixture(params=NAMES)
def base(request, repo_root):
    return Config.fromfile(
        repo_root / f'configs/_base_/datasets/{request.param}.py')


def test_base_config__parses_and_round_trips(base, tmp_path):
    base.dump(tmp_path / 'copy.py')
    again = Config.fromfile(tmp_path / 'copy.py')
    for split in ('train', 'val', 'test'):
        dataset = base[f'{split}_dataloader'].dataset
        assert DATASETS.get(dataset.type) is not None
        assert again[f'{split}_dataloader'] == base[f'{split}_dataloader']
        assert [step.type for step in dataset.pipeline[-2:]] == [
            'mmpixsort.PaintInstanceMap', 'mmpixsort.PackInstanceInputs'
        ]
        if split != 'train':
            assert dataset.test_mode
    for evaluators in (base.val_evaluator, base.test_evaluator):
        assert evaluators[0].type == 'mmpixsort.InstanceMapMetric'


def test_base_config__scores_at_the_original_size(base):
    types = [step.type for step in base.test_pipeline]
    if 'Resize' in types:
        assert types.index('Resize') < types.index(
            'mmpixsort.LoadInstanceMap')


def build_without_packing(dataset, **options):
    """Build the data set of a config, up to the transforms of this project.
    """
    pipeline = dataset.pipeline[:-2]
    return DATASETS.build(dict(dataset, **dict(options, pipeline=pipeline)))


def config(repo_root, name):
    return Config.fromfile(repo_root / f'configs/_base_/datasets/{name}.py')


def test_base_config__sticks_run(repo_root):
    cfg = config(repo_root, 'sticks_instances')
    for split, count in (('train', 1000), ('val', 32), ('test', 64)):
        dataset = build_without_packing(cfg[f'{split}_dataloader'].dataset)
        assert len(dataset) == count
        results = dataset[5]
        assert results['img'].shape == (129, 129, 3)
        scene = ScatteredSticks(count, split)[5]
        assert len(results['gt_masks']) == scene.instances.max()


def test_base_config__cvppp_runs(repo_root, tiny_cvppp):
    cfg = config(repo_root, 'cvppp_a1')
    root = dict(data_root=str(tiny_cvppp))
    for path in tiny_cvppp.glob('A1/*'):
        image = Image.open(path)
        image.resize((500, 530), Image.NEAREST).save(path)
    train = build_without_packing(cfg.train_dataloader.dataset, **root)
    assert all(item['img'].shape == (512, 512, 3) for item in train)
    val = build_without_packing(cfg.val_dataloader.dataset, **root)
    assert val[0]['img'].shape == (544, 512, 3)
    assert val[0]['gt_masks'].masks.shape[1:] == (530, 500)


def test_base_config__dsb2018_runs(repo_root, dsb_root):
    cfg = config(repo_root, 'dsb2018_instances')
    root = dict(data_root=str(dsb_root))
    train = build_without_packing(cfg.train_dataloader.dataset, **root)
    for index in range(0, 532, 60):
        results = train[index]
        assert results['img'].shape == (257, 257, 3)
        assert results['gt_masks'].masks.shape[1:] == (257, 257)
    val = build_without_packing(cfg.val_dataloader.dataset, **root)
    for index in range(0, 66, 16):
        results = val[index]
        assert max(results['img'].shape) == 257
        assert results['gt_masks'].masks.shape[1:] == (results['height'],
                                                       results['width'])
