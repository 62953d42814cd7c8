"""Street scenes and CamVid as MMSegmentation datasets."""
import numpy as np
import pytest

pytest.importorskip('mmseg')

import mmseg.datasets  # noqa: E402,F401  registers the host's transforms
from mmengine.registry import init_default_scope  # noqa: E402
from mmengine.utils import mkdir_or_exist  # noqa: E402
from mmseg.registry import DATASETS, METRICS  # noqa: E402
from PIL import Image  # noqa: E402

import mmpixsort.seg.metrics  # noqa: E402,F401
from mmpixsort.datasets.synthetic import (  # noqa: E402
    CLASSES, IGNORE, StreetScenes)
from mmpixsort.seg.datasets import CamVidDataset  # noqa: E402

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
VOIDS = dict(train=2503995, val=297271, test=1543383)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


def _scenes(pipeline, **options):
    return DATASETS.build(
        dict(type='mmpixsort.StreetScenesDataset', num_images=3,
             size=(97, 129), pipeline=pipeline, **options))


def test_street_scenes_dataset__equals_generator():
    dataset = _scenes([dict(type='mmpixsort.LoadStreetScene'),
                       dict(type='PackSegInputs')], split='test', seed=4)
    packed = dataset[2]
    scene = StreetScenes(3, size=(97, 129), split='test', seed=4)[2]
    image = packed['inputs'].permute(1, 2, 0).numpy()
    sample = packed['data_samples']
    assert np.array_equal(image[..., ::-1], scene.image)
    assert np.array_equal(sample.gt_sem_seg.data[0].numpy(), scene.semantic)
    assert sample.ori_shape == sample.img_shape == (97, 129)
    assert not sample.reduce_zero_label
    assert len(dataset) == 3
    assert dataset.metainfo['classes'] == CLASSES


def test_street_scenes_dataset__host_pipeline():
    dataset = _scenes([
        dict(type='mmpixsort.LoadStreetScene', with_instances=True,
             cache_size=2),
        dict(type='RandomResize', scale=(129, 97), ratio_range=(.8, 1.6)),
        dict(type='RandomCrop', crop_size=(65, 65), cat_max_ratio=.75),
        dict(type='RandomFlip', prob=.5),
        dict(type='PhotoMetricDistortion'),
    ])
    for index in (0, 1, 2, 0):
        results = dataset[index]
        assert results['img'].shape == (65, 65, 3)
        labels, ids = results['gt_seg_map'], results['gt_instance_map']
        assert labels.shape == ids.shape == (65, 65)
        assert set(np.unique(labels)) <= {*range(11), IGNORE}
        # instances moved together with their classes
        for ident in np.unique(ids[ids > 0]):
            assert len(np.unique(labels[ids == ident])) == 1


def test_load_street_scene__cache_is_not_spoilt():
    dataset = _scenes([dict(type='mmpixsort.LoadStreetScene', cache_size=1)])
    first = dataset[0]
    kept = first['img'].copy(), first['gt_seg_map'].copy()
    first['img'][:] = 0
    first['gt_seg_map'][:] = 7
    again = dataset[0]
    assert np.array_equal(again['img'], kept[0])
    assert np.array_equal(again['gt_seg_map'], kept[1])


def test_load_street_scene__objects_and_caption():
    dataset = _scenes([dict(type='mmpixsort.LoadStreetScene',
                            with_objects=True)])
    results = dataset[1]
    scene = StreetScenes(3, size=(97, 129))[1]
    assert results['objects'] == scene.objects
    assert results['caption'] == scene.caption()


def test_street_scenes_dataset__fewer_classes():
    dataset = _scenes([dict(type='mmpixsort.LoadStreetScene')],
                      metainfo=dict(classes=('road', 'car')))
    labels = dataset[0]['gt_seg_map']
    truth = StreetScenes(3, size=(97, 129))[0].semantic
    assert np.array_equal(labels == 0, truth == CLASSES.index('road'))
    assert set(np.unique(labels)) <= {0, 1, 255}


@pytest.mark.parametrize('options, text', [
    (dict(num_images=0), '`num_images`'), (dict(size=(9, 9)), '`size'),
    (dict(split='dev'), '`split`')
])
def test_street_scenes_dataset__bad_arguments(options, text):
    with pytest.raises(ValueError, match=text):
        DATASETS.build(
            dict({'type': 'mmpixsort.StreetScenesDataset', 'num_images': 2},
                 **options))


@pytest.fixture
def tiny_camvid(tmp_path):
    """Three images with every raw value 0..11."""
    for split in ('train', 'test'):
        mkdir_or_exist(tmp_path / 'img_dir' / split)
        mkdir_or_exist(tmp_path / 'ann_dir' / split)
        for name in 'abc':
            labels = np.arange(48).reshape(6, 8).astype(np.uint8) % 12
            Image.fromarray(labels).save(
                tmp_path / 'ann_dir' / split / f'{name}.png')
            Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(
                tmp_path / 'img_dir' / split / f'{name}.jpg')
    return tmp_path


def _camvid(root, split='train', **options):
    return DATASETS.build(
        dict(type='mmpixsort.CamVidDataset', data_root=str(root),
             data_prefix=dict(img_path=f'img_dir/{split}',
                              seg_map_path=f'ann_dir/{split}'),
             pipeline=PIPELINE, **options))


def test_camvid__void_and_nothing_else_changes(tiny_camvid):
    dataset = _camvid(tiny_camvid)
    assert len(dataset) == 3
    labels = dataset[1]['data_samples'].gt_sem_seg.data[0].numpy()
    raw = np.arange(48).reshape(6, 8) % 12
    assert np.array_equal(labels, np.where(raw == 11, 255, raw))
    assert dataset.metainfo['classes'] == CLASSES
    assert len(dataset.metainfo['palette']) == 11


def test_camvid__layout_of_the_source(tiny_camvid):
    for old, new in (('img_dir/train', 'train'),
                     ('ann_dir/train', 'trainannot')):
        (tiny_camvid / old).rename(tiny_camvid / new)
    for file in (tiny_camvid / 'train').iterdir():
        Image.open(file).save(file.with_suffix('.png'))
    dataset = DATASETS.build(
        dict(type='mmpixsort.CamVidDataset', data_root=str(tiny_camvid),
             img_suffix='.png',
             data_prefix=dict(img_path='train', seg_map_path='trainannot'),
             pipeline=PIPELINE))
    assert len(dataset) == 3
    assert dataset[0]['data_samples'].gt_sem_seg.data.max() == 255


def test_camvid__missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        _camvid(tmp_path / 'none')
    for text in ('none/img_dir/train', 'ann_dir/{train,val,test}',
                 '`data_root`', 'https://'):
        assert text in str(caught.value)


def test_camvid__missing_labels_and_empty_folder(tmp_path):
    (tmp_path / 'img_dir' / 'train').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='seg_map_path'):
        _camvid(tmp_path)
    (tmp_path / 'ann_dir' / 'train').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='img_suffix'):
        _camvid(tmp_path)


def test_camvid__missing_list(tiny_camvid):
    with pytest.raises(FileNotFoundError, match='ann_file'):
        _camvid(tiny_camvid, ann_file='train.txt')


@pytest.mark.parametrize('split, images', [('train', 367), ('val', 101),
                                           ('test', 233)])
def test_camvid__real_files(shared_data, split, images):
    root = shared_data / 'camvid'
    if not root.is_dir():
        pytest.skip(f'no CamVid at {root}')
    dataset = _camvid(root, split, ann_file=f'{split}.txt')
    assert len(dataset) == images
    void = 0
    for index in range(images):
        info = dataset.get_data_info(index)
        raw = np.array(Image.open(info['seg_map_path']))
        void += int((raw == 11).sum())
        if index % 20 == 0:
            labels = dataset[index]['data_samples'].gt_sem_seg.data[0].numpy()
            assert np.array_equal(labels, np.where(raw == 11, 255, raw))
    assert void == VOIDS[split]
    assert CamVidDataset.METAINFO['classes'][11] == 'void'


def test_per_class_iou__equals_hand_count():
    import torch
    from mmengine.structures import BaseDataElement, PixelData
    metric = METRICS.build(dict(type='mmpixsort.PerClassIoUMetric'))
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    truth = torch.tensor([[0, 0, 1, 1, 255]])
    guess = torch.tensor([[0, 1, 1, 1, 2]])
    sample = BaseDataElement(
        gt_sem_seg=PixelData(data=truth[None]),
        pred_sem_seg=PixelData(data=guess[None])).to_dict()
    metric.process({}, [sample])
    scores = metric.evaluate(1)
    assert scores['IoU.a'] == 50.0
    assert scores['IoU.b'] == pytest.approx(66.67)
    assert np.isnan(scores['IoU.c'])
    assert scores['mIoU'] == pytest.approx(58.33, abs=.01)
