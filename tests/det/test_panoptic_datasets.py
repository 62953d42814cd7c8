"""Panoptic data sets: order of classes, files, configs."""
import copy
import json
import pickle

import numpy as np
import pytest
from calls import count_calls

pytest.importorskip('mmdet')

import mmdet.datasets  # noqa: E402,F401  registers the host's transforms
from mmdet.registry import DATASETS  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from PIL import Image  # noqa: E402

import mmpixsort.det.datasets  # noqa: E402,F401  registers what is tested
from mmpixsort.datasets.synthetic import (CLASSES, THING_CLASSES, StreetScenes)  # noqa
from mmpixsort.datasets.panoptic_maps import (  # noqa: E402
    id_to_rgb, read_panoptic_map)

LOAD = dict(type='mmpixsort.LoadPanopticMap', missing='error')
FROM_FILE = [dict(type='LoadImageFromFile'), LOAD]
FROM_ARRAY = [dict(type='LoadImageFromNDArray'), LOAD]
NUM_THINGS = dict(cwfid=2, street_scenes=6, cityscapes=8, coco=80, voc=20)
NUM_CLASSES = dict(cwfid=3, street_scenes=11, cityscapes=19, coco=133, voc=21)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


def build(kind='', **options):
    return DATASETS.build(
        dict({'type': f'mmpixsort.{kind}PanopticDataset'}, **options))


def save_image(path, size=(4, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(path)


def save_ids(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(id_to_rgb(np.array(ids))).save(path)


# In the order of Cityscapes: stuff first, ids with gaps
CATEGORIES = [
    dict(id=7, name='road', isthing=0), dict(id=8, name='sidewalk', isthing=0),
    dict(id=24, name='person', isthing=1), dict(id=26, name='car', isthing=1)
]
META = dict(thing_classes=['car', 'person'],
            stuff_classes=['sidewalk', 'road'])
IDS = [
    [7, 7, 7, 26001, 26001, 26001],
    [7, 7, 8, 26002, 26002, 26],
    [7, 8, 8, 24001, 0, 26],
    [7, 8, 8, 24001, 0, 0],
]
SEGMENTS = [
    dict(id=i, category_id=c, iscrowd=int(i == 26)) for i, c in (
        (7, 7), (8, 8), (24001, 24), (26, 26), (26001, 26), (26002, 26))
]


def content(categories=CATEGORIES, segments=SEGMENTS):
    return dict(
        images=[dict(id='a', file_name='a.jpg', height=4, width=6),
                dict(id='b', file_name='b.jpg', height=4, width=6)],
        annotations=[
            dict(image_id='b', file_name='b_pan.png',
                 segments_info=segments[:2]),
            dict(image_id='a', file_name='a_pan.png', segments_info=segments)
        ],
        categories=categories)


@pytest.fixture
def root(tmp_path):
    """Two images; the first has everything, the second only stuff."""
    for name in 'ab':
        save_image(tmp_path / f'img/{name}.jpg')
        save_ids(tmp_path / f'seg/{name}_pan.png', IDS)
    write(tmp_path, content())
    return tmp_path


def write(root, values):
    (root / 'pan.json').write_text(json.dumps(values))


def small(root, **options):
    return build(**dict(
        dict(data_root=str(root), ann_file='pan.json', metainfo=META,
             data_prefix=dict(img='img', seg='seg'), pipeline=FROM_FILE),
        **options))


@pytest.mark.parametrize('order', [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
@pytest.mark.parametrize('serialize', [True, False])
def test_panoptic__order_is_that_of_metainfo(root, order, serialize):
    write(root, content([CATEGORIES[k] for k in order]))
    dataset = small(root, serialize_data=serialize)
    classes = ('car', 'person', 'sidewalk', 'road')
    assert dataset.metainfo['classes'] == classes
    assert dataset.metainfo['thing_classes'] == classes[:2]
    assert dataset.metainfo['stuff_classes'] == classes[2:]
    assert len(dataset.metainfo['palette']) == 4
    results = dataset[0]
    assert results['gt_seg_map'].tolist() == [
        [3, 3, 3, 0, 0, 0], [3, 3, 2, 0, 0, 0], [3, 2, 2, 1, 255, 0],
        [3, 2, 2, 1, 255, 255]]
    assert results['gt_bboxes_labels'].tolist() == [1, 0, 0, 0]
    assert results['gt_ignore_flags'].tolist() == [0, 1, 0, 0]
    assert results['img_id'] == 'a'
    assert (results['height'], results['width']) == (4, 6)
    assert sorted(dataset.get_cat_ids(0)) == [0, 0, 1, 2, 3]
    assert dataset[1]['gt_masks'].masks.shape == (0, 4, 6)


def test_panoptic__metainfo_decides_what_is_a_thing(root):
    meta = dict(thing_classes=['person'],
                stuff_classes=['car', 'sidewalk', 'road'])
    results = small(root, metainfo=meta)[0]
    assert results['gt_bboxes_labels'].tolist() == [0]
    assert (results['gt_seg_map'] == 1).sum() == 7


def test_panoptic__classes_that_are_void(root, warnings_of_log):
    meta = dict(thing_classes=['car'], stuff_classes=['road'])
    results = small(root, metainfo=meta)[0]
    assert results['gt_seg_map'][3].tolist() == [1] + [255] * 5
    assert len(warnings_of_log) == 1
    assert "['sidewalk', 'person']" in warnings_of_log[0]


def test_panoptic__lacking_class_names_both_lists(root):
    meta = dict(thing_classes=['car', 'cow'], stuff_classes=['road'])
    with pytest.raises(ValueError, match=(
            r"lacks \['cow'\]: the JSON has \['road', 'sidewalk', 'person', "
            r"'car'\], metainfo has \['car', 'cow', 'road'\]")):
        small(root, metainfo=meta)


def test_panoptic__other_names(root):
    meta = dict(thing_classes=['mover'], stuff_classes=['ground'])
    names = dict(car='mover', person='mover', road='ground',
                 sidewalk='ground')
    results = small(root, metainfo=meta, category_names=names)[0]
    assert set(np.unique(results['gt_seg_map'])) == {0, 1, 255}
    assert len(results['gt_masks']) == 4
    for wrong in (dict(names, cow='mover'), dict(names, car='truck')):
        with pytest.raises(ValueError, match=r"got \['(cow|truck)'\].*has"):
            small(root, metainfo=meta, category_names=wrong)


@pytest.mark.parametrize('meta, text', [
    (dict(), 'sequence of names thing_classes, got None'),
    (dict(META, stuff_classes='road'), "stuff_classes, got 'road'"),
    (dict(META, thing_classes=['car', 'road']), 'each class once'),
    (dict(META, classes=['road', 'car']), 'thing_classes, then stuff'),
    (dict(META, palette=[(1, 2, 3)]), 'must have 4 colours.*got 1'),
])
def test_panoptic__bad_metainfo(root, meta, text):
    with pytest.raises(ValueError, match=f'`metainfo`.*{text}'):
        small(root, metainfo=meta)


def test_panoptic__missing_files(root):
    with pytest.raises(FileNotFoundError, match='`ann_file`.*no.json.*JSON'):
        small(root, ann_file='no.json')
    with pytest.raises(FileNotFoundError, match='`data_prefix.seg`.*lost'):
        small(root, data_prefix=dict(img='img', seg='lost'))
    with pytest.raises(FileNotFoundError, match='`data_prefix.seg` None'):
        small(root, data_prefix=dict(img='img'))
    with pytest.raises(FileNotFoundError, match='`data_prefix.img` None'):
        small(root, data_prefix=dict(seg='seg'))


def test_panoptic__image_without_annotation(root):
    values = content()
    values['annotations'].pop()
    write(root, values)
    with pytest.raises(ValueError, match=r"1 of 2 have none: \['a'\]"):
        small(root)
    del values['annotations']
    write(root, values)
    dataset = small(root, data_prefix=dict(img='img'), test_mode=True,
                    pipeline=FROM_FILE[:1])
    assert dataset[0]['seg_map_path'] is None
    assert dataset[0]['img'].shape == (4, 6, 3)


def test_panoptic__filter(root):
    def number(test_mode=False, **options):
        return len(small(root, filter_cfg=options, test_mode=test_mode))
    assert number() == 2
    assert number(filter_empty_gt=True) == 1
    assert number(min_size=4) == 2
    with pytest.raises(ValueError, match='`filter_cfg`.*none of 2'):
        number(min_size=5)
    assert number(test_mode=True, min_size=5) == 2
    assert len(small(root, indices=[1])) == 1


@pytest.mark.parametrize('use_train_id', [False, True])
def test_cityscapes__official_files(tmp_path, use_train_id):
    """The JSON names images that do not exist, classes as road first."""
    trained = ('road', 'sidewalk', 'building', 'wall', 'fence', 'pole',
               'traffic light', 'traffic sign', 'vegetation', 'terrain',
               'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
               'motorcycle', 'bicycle')
    official = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
                31, 32, 33)
    number = dict(zip(official, range(19) if use_train_id else official))
    name = 'bad-honnef_000000_000019'
    save_image(tmp_path / 'leftImg8bit/train/bad-honnef'
               / f'{name}_leftImg8bit.png')
    save_ids(tmp_path / 'gtFine/cityscapes_panoptic_train'
             / f'{name}_gtFine_panoptic.png', IDS)
    (tmp_path / 'gtFine/cityscapes_panoptic_train.json').write_text(
        json.dumps(dict(
            images=[dict(id=name, height=4, width=6,
                         file_name=f'{name}_gtFine_leftImg8bit.png')],
            annotations=[dict(
                image_id=name, file_name=f'{name}_gtFine_panoptic.png',
                segments_info=[
                    dict(s, category_id=number[s['category_id']])
                    for s in SEGMENTS])],
            categories=[dict(id=number[k], name=label, isthing=int(k > 23))
                        for k, label in zip(official, trained)])))
    dataset = build(
        'Cityscapes', data_root=str(tmp_path), pipeline=FROM_FILE,
        ann_file='gtFine/cityscapes_panoptic_train.json',
        data_prefix=dict(img='leftImg8bit/train',
                         seg='gtFine/cityscapes_panoptic_train'))
    assert dataset.metainfo['classes'] == (*trained[11:], *trained[:11])
    colours = dict(zip(dataset.metainfo['classes'],
                       dataset.metainfo['palette']))
    assert colours['road'] == (128, 64, 128)
    assert colours['car'] == (0, 0, 142) and colours['sky'] == (70, 130, 180)
    results = dataset[0]
    assert results['gt_seg_map'][:2].tolist() == [
        [8, 8, 8, 2, 2, 2], [8, 8, 9, 2, 2, 2]]
    assert results['gt_bboxes_labels'].tolist() == [0, 2, 2, 2]
    assert results['gt_ignore_flags'].tolist() == [0, 1, 0, 0]


def test_cityscapes__missing_says_who_makes_the_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='createPanopticImgs.py'):
        build('Cityscapes', data_root=str(tmp_path), ann_file='no.json')


def palette_png(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(values, np.uint8)).convert('P')
    image.putdata(np.ravel(values).tolist())
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    image.save(path)


SEMANTIC = [[0, 0, 15, 15, 255, 2], [0, 0, 15, 15, 255, 2],
            [0, 255, 7, 7, 255, 2], [0, 255, 7, 7, 0, 0]]
OBJECTS = [[0, 0, 1, 2, 255, 3], [0, 0, 1, 2, 255, 3],
           [0, 255, 0, 0, 255, 3], [0, 255, 0, 0, 0, 0]]


@pytest.fixture
def voc_root(tmp_path):
    save_image(tmp_path / 'JPEGImages/2007_1.jpg')
    palette_png(tmp_path / 'SegmentationClass/2007_1.png', SEMANTIC)
    palette_png(tmp_path / 'SegmentationObject/2007_1.png', OBJECTS)
    lists = tmp_path / 'ImageSets/Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('2007_1\n')
    return tmp_path


def voc(root, **options):
    return build('VOC', **dict(
        dict(data_root=str(root), pipeline=FROM_FILE,
             ann_file='ImageSets/Segmentation/train.txt'), **options))


def test_voc__official_folders(voc_root):
    dataset = voc(voc_root)
    classes = dataset.metainfo['classes']
    assert len(classes) == 21 and classes[20] == 'background'
    assert classes[0] == 'aeroplane' and classes[19] == 'tvmonitor'
    results = dataset[0]
    want = np.array(SEMANTIC) - 1
    want[np.array(SEMANTIC) == 0] = 20
    want[np.array(SEMANTIC) == 255] = 255
    assert np.array_equal(results['gt_seg_map'], want)
    # the cars (class 7) have no object: a crowd
    found = sorted(zip(results['gt_bboxes_labels'].tolist(),
                       results['gt_ignore_flags'].tolist(),
                       results['gt_masks'].masks.sum((1, 2)).tolist()))
    assert found == [(1, False, 3), (6, True, 4), (14, False, 2),
                     (14, False, 2)]
    assert sorted(dataset.get_cat_ids(0)) == [1, 14, 14, 20]
    assert (results['height'], results['width']) == (4, 6)
    assert results['img_id'] == '2007_1'


def test_voc__bad_files(voc_root):
    with pytest.raises(FileNotFoundError, match='`ann_file`.*VOC.*robots'):
        voc(voc_root, ann_file='val.txt')
    with pytest.raises(FileNotFoundError, match='`data_prefix.semantic`'):
        voc(voc_root, data_prefix=dict(semantic='Aug'))
    with pytest.raises(ValueError, match='21|hold numbers, not names'):
        voc(voc_root, metainfo=dict(stuff_classes=('sky', )))
    path = voc_root / 'SegmentationClass/2007_1.png'
    palette_png(path, np.array(SEMANTIC)[:3])
    with pytest.raises(ValueError, match=r'one size, got \(3, 6\) and \(4,'):
        voc(voc_root)[0]
    for value in (21, 254):
        palette_png(path, np.where(np.array(SEMANTIC) == 2, value, SEMANTIC))
        with pytest.raises(ValueError, match=f'must hold 0 .. 20.*{value}'):
            voc(voc_root)[0]
    Image.fromarray(np.full((4, 6, 3), 200, np.uint8)).save(path)
    with pytest.raises(ValueError, match='not of colours'):
        voc(voc_root)[0]


def streets(**options):
    return build('StreetScenes', **dict(
        dict(num_images=4, size=(65, 97), seed=3, pipeline=FROM_ARRAY),
        **options))


def test_street__is_the_generator():
    dataset = streets(split='val')
    scenes = StreetScenes(4, size=(65, 97), seed=3, split='val')
    classes = dataset.metainfo['classes']
    assert len(classes) == 11 and dataset.num_things == 6
    assert set(classes) == set(CLASSES)
    assert classes[:6] == tuple(CLASSES[k] for k in THING_CLASSES)
    for index in (2, 0, 3):
        results, scene = dataset[index], scenes[index]
        assert np.array_equal(results['img'][..., ::-1], scene.image)
        for label, name in enumerate(classes):
            assert np.array_equal(results['gt_seg_map'] == label,
                                  scene.semantic == CLASSES.index(name))
        assert np.array_equal(results['gt_seg_map'] == 255,
                              scene.semantic == 255)
        counted = ~results['gt_ignore_flags']
        masks = results['gt_masks'].masks[counted]
        names = [classes[k] for k in results['gt_bboxes_labels'][counted]]
        want = {(scene.instances == item['instance_id']).tobytes():
                CLASSES[item['class_id']] for item in scene.objects}
        assert dict(zip((m.astype(bool).tobytes() for m in masks),
                        names)) == want
        assert results['ori_shape'] == (65, 97)


@pytest.mark.parametrize('cache_size', [0, 1, 9])
def test_street__cache_is_small_and_not_spoilt(cache_size, monkeypatch):
    made = count_calls(StreetScenes, '__getitem__', monkeypatch.setattr)
    dataset = streets(cache_size=cache_size, pipeline=[])
    first = dataset[0]
    kept = pickle.dumps([copy.deepcopy(first[k]) for k in (
        'img', 'panoptic_map', 'segments_info')])
    first['img'][:] = 0
    first['panoptic_map'][:] = 0
    first['segments_info'].clear()
    again = dataset[0]
    assert pickle.dumps([again[k] for k in (
        'img', 'panoptic_map', 'segments_info')]) == kept
    for index in (0, 1, 2, 3):
        dataset[index]
    made.clear()
    for index in (3, 2, 1, 0):  # the last ones are kept
        dataset[index]
    assert len(made) == 4 - min(cache_size, 4)
    assert len(pickle.loads(pickle.dumps(dataset))) == 4


@pytest.mark.parametrize('options, text', [
    (dict(num_images=0), '`num_images`'), (dict(size=(9, 9)), '`size'),
    (dict(split='dev'), '`split`'), (dict(cache_size=-1), '`cache_size`'),
    (dict(metainfo=dict(thing_classes=('car', ))), '`metainfo`')
])
def test_street__bad_arguments(options, text):
    with pytest.raises(ValueError, match=text):
        streets(**options)


@pytest.fixture
def cwfid_root(shared_data):
    folder = shared_data / 'cwfid_panoptic'
    if not folder.is_dir():
        pytest.skip(f'no {folder}')
    return folder


@pytest.fixture
def coco_root(shared_data):
    folder = shared_data / 'coco_panoptic_sample'
    if not folder.is_dir():
        pytest.skip(f'no {folder}')
    return folder


def test_cwfid__real_files(cwfid_root):
    counts = np.zeros(3, int)
    for split, images in (('train', 39), ('val', 21)):
        dataset = build(
            'CWFID', data_root=str(cwfid_root), pipeline=FROM_FILE,
            ann_file=f'panoptic_{split}.json',
            data_prefix=dict(img=f'images/{split}', seg=f'panoptic/{split}'))
        assert len(dataset) == images
        assert dataset.metainfo['classes'] == ('crop', 'weed', 'soil')
        for index in range(images):
            labels = dataset.get_cat_ids(index)
            counts += np.bincount(labels, minlength=3)
        for index in range(0, images, 8):
            results = dataset[index]
            name = results['seg_map_path'].rsplit('/', 1)[1]
            truth = np.asarray(Image.open(
                cwfid_root / 'semantic' / split / name))
            assert np.array_equal(results['gt_seg_map'], truth)
            assert len(results['gt_masks']) == len(
                dataset.get_cat_ids(index)) - 1
    assert counts.tolist() == [162, 330, 60]


def test_coco__real_files(coco_root):
    dataset = build(
        'COCO', data_root=str(coco_root), pipeline=FROM_FILE,
        ann_file='annotations/panoptic.json',
        data_prefix=dict(img='images', seg='annotations/panoptic'))
    assert len(dataset.metainfo['classes']) == 133
    found = {
        results['img_id']: (len(results['segments_info']), sum(
            item['is_thing'] for item in results['segments_info']),
            len(results['gt_masks'])) for results in dataset
    }
    values = json.loads(
        (coco_root / 'annotations/panoptic.json').read_text())
    things = {item['id']: item['isthing'] for item in values['categories']}
    names = {item['id']: item['name'] for item in values['categories']}
    assert sorted(found.values()) == [
        (18, 15, 15), (28, 19, 19), (32, 28, 28)]
    by_id = {item['image_id']: item for item in values['annotations']}
    for results in dataset:
        annotation = by_id[results['img_id']]
        ids = read_panoptic_map(results['seg_map_path'])
        for item in annotation['segments_info']:
            mask = ids == item['id']
            assert mask.sum() == item['area']
            label = dataset.metainfo['classes'].index(
                names[item['category_id']])
            assert (results['gt_seg_map'][mask] == label).all()
            assert (label < 80) == bool(things[item['category_id']])
        assert results['gt_ignore_flags'].sum() == sum(
            item['iscrowd'] for item in annotation['segments_info'])


def config(repo_root, name):
    return Config.fromfile(
        repo_root / f'configs/_base_/datasets/{name}_panoptic.py')


@pytest.mark.parametrize('name', NUM_THINGS)
def test_base_config__parses_and_round_trips(repo_root, name, tmp_path):
    base = config(repo_root, name)
    base.dump(tmp_path / 'copy.py')
    again = Config.fromfile(tmp_path / 'copy.py')
    for split in ('train', 'val', 'test'):
        dataset = base[f'{split}_dataloader'].dataset
        meta = DATASETS.get(dataset.type).METAINFO
        assert again[f'{split}_dataloader'] == base[f'{split}_dataloader']
        types = [step.type for step in dataset.pipeline]
        assert types[-2:] == [
            'mmpixsort.PaintInstanceMap', 'mmpixsort.PackInstanceInputs']
        paint = dataset.pipeline[-2]
        assert paint.num_things == NUM_THINGS[name]
        assert len(meta['thing_classes']) == NUM_THINGS[name]
        assert len(meta['stuff_classes']) + NUM_THINGS[name] == (
            NUM_CLASSES[name]) == len(meta['palette'])
        load = types.index('mmpixsort.LoadPanopticMap')
        if split == 'train':
            assert load == 1
        else:
            assert dataset.test_mode
            assert 'Resize' not in types[load:]
    for evaluators in (base.val_evaluator, base.test_evaluator):
        assert evaluators[0].type == 'mmpixsort.PanopticQualityMetric'


def check_packed(packed, num_classes, num_things):
    """Check what a pipeline ends with."""
    sample = packed['data_samples']
    ids = sample.gt_instance_map.data[0].numpy()
    semantic = sample.gt_sem_seg.sem_seg[0].numpy()
    assert semantic.dtype == np.uint8 and ids.dtype == np.int32
    assert set(np.unique(semantic)) <= {*range(num_classes), 255}
    assert (ids[semantic == 255] == -1).all()
    stuff = (semantic >= num_things) & (semantic < num_classes)
    assert (ids[stuff] == 0).all()
    assert (ids[semantic < num_things] != 0).all()
    labels = sample.gt_instances.labels.numpy()
    assert len(labels) == max(ids.max(), 0)
    for ident, label in enumerate(labels, 1):
        assert (semantic[ids == ident] == label).all()
    return ids.shape


def check_runs(repo_root, name, indices, crop, **options):
    """Run the pipelines of a config; return shapes of test inputs."""
    cfg = config(repo_root, name)
    classes = NUM_CLASSES[name], NUM_THINGS[name]
    train = DATASETS.build(dict(cfg.train_dataloader.dataset, **options))
    for index in indices:
        packed = train[index]
        assert packed['inputs'].shape == (3, *crop)
        assert check_packed(packed, *classes) == crop
    options = {key: value for key, value in options.items()
               if key not in ('indices', )}
    found = []
    test = DATASETS.build(dict(cfg.test_dataloader.dataset, **options))
    for index in indices:
        packed = test[index]
        size = check_packed(packed, *classes)
        assert size == packed['data_samples'].ori_shape
        found.append(tuple(packed['inputs'].shape[1:]))
    return found


def test_base_config__street_runs(repo_root):
    found = check_runs(repo_root, 'street_scenes', (0, 3, 9), (193, 193))
    assert set(found) == {(193, 257)}


def test_base_config__cwfid_runs(repo_root, cwfid_root):
    found = check_runs(repo_root, 'cwfid', (0, 3, 9), (257, 257),
                       data_root=str(cwfid_root))
    assert set(found) == {(481, 641)}


def test_base_config__coco_runs(repo_root, coco_root):
    found = check_runs(
        repo_root, 'coco', (0, 1, 2), (640, 640), data_root=str(coco_root),
        ann_file='annotations/panoptic.json',
        data_prefix=dict(img='images', seg='annotations/panoptic'))
    assert {max(size) for size in found} == {640}


def test_base_config__voc_runs(repo_root, voc_root):
    found = check_runs(repo_root, 'voc', (0, 0), (512, 512),
                       data_root=str(voc_root),
                       ann_file='ImageSets/Segmentation/train.txt')
    assert found == [(512, 768)] * 2


def test_base_config__cityscapes_crops(repo_root, root):
    """The pipelines; the files of the set have a test of their own."""
    cfg = config(repo_root, 'cityscapes')
    write(root, dict(content(), images=[
        dict(id=name, file_name=f'{name}.jpg', height=1024, width=2048)
        for name in 'ab']))
    for name in 'ab':
        save_image(root / f'img/{name}.jpg', (1024, 2048))
        big = np.kron(np.array(IDS), np.ones((256, 342), int))[:, :2048]
        save_ids(root / f'seg/{name}_pan.png', big)
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[-2].num_things = 2
    packed = small(root, pipeline=pipeline)[0]
    assert packed['inputs'].shape == (3, 512, 1024)
    assert check_packed(packed, 4, 2) == (512, 1024)
