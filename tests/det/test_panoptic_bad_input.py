"""What is wrong or missing in panoptic data, from the file to the score."""
import json
import math

import numpy as np
import pytest

pytest.importorskip('mmdet')

import tiny_instances as tiny  # noqa: E402
import torch  # noqa: E402
from mmengine.structures import InstanceData, PixelData  # noqa: E402
from PIL import Image  # noqa: E402

from mmpixsort.datasets.panoptic_maps import (  # noqa: E402
    MAX_SEGMENTS, id_to_rgb, join_maps)
from mmpixsort.det.datasets import PanopticDataset  # noqa: E402
from mmpixsort.det.heads.panoptic_results import (  # noqa: E402
    PanopticRules, panoptic_of_image)
from mmpixsort.det.heads.panoptic_targets import panoptic_targets  # noqa: E402
from mmpixsort.det.transforms import (  # noqa: E402
    LoadPanopticMap, PackInstanceInputs, PaintInstanceMap)
from mmpixsort.functional.scores.panoptic_quality import (  # noqa: E402
    class_quality, panoptic_counts)
from mmpixsort.metrics import PanopticQualityMetric  # noqa: E402

META = dict(thing_classes=['car', 'person'], stuff_classes=['road', 'sky'])
CLASSES = META['thing_classes'] + META['stuff_classes']
TARGETS = dict(num_things=2, num_classes=4)


def pack(ids, segments, **options):
    """Run a map in memory through the pipeline."""
    results = LoadPanopticMap(**options)(dict(
        panoptic_map=np.asarray(ids), segments_info=segments, img_id=0,
        img_shape=np.shape(ids), ori_shape=np.shape(ids),
        img=np.zeros((*np.shape(ids), 3), np.uint8)))
    return PackInstanceInputs()(
        PaintInstanceMap(num_things=2)(results))['data_samples']


def segment(ident, category, iscrowd=False):
    return dict(id=ident, category=category, is_thing=category < 2,
                iscrowd=iscrowd)


def score(samples, classwise=True):
    metric = PanopticQualityMetric(classwise=classwise)
    metric.dataset_meta = dict(META, classes=CLASSES)
    metric.process({}, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(samples))


def predict_truth(sample, void=4):
    """Put what is annotated into the prediction."""
    semantic = sample.gt_sem_seg.sem_seg.int()
    ids = sample.gt_instance_map.data.clamp(min=0)
    sample.pred_panoptic_seg = PixelData(sem_seg=torch.where(
        semantic == 255, void, semantic + 1000 * ids).int())
    return sample


# Things and segments that are not there

def test_class_without_things__of_an_image_and_of_all():
    with_car = pack([[1, 1, 2, 2]], [segment(1, 0), segment(2, 2)])
    without = pack([[1, 1, 2, 2]], [segment(1, 3), segment(2, 2)])
    got = score([predict_truth(with_car), predict_truth(without)])
    assert got['PQ.car'] == got['PQ.road'] == got['PQ'] == 100
    assert math.isnan(got['PQ.person'])
    got = score([without])
    assert math.isnan(got['PQ_th']) and got['PQ_st'] == got['PQ'] == 100


def test_class_without_things__is_trained_and_measured():
    model = tiny.build_config(tiny.panoptic()).train()
    inputs, samples = tiny.batch((32, 32), (24, 40), model=model)
    for sample in tiny.with_stuff(samples):
        ids = sample.gt_instance_map.data
        ids[ids > 0] = 0
        sample.gt_sem_seg.sem_seg[sample.gt_sem_seg.sem_seg < 2] = 2
        sample.gt_instances = sample.gt_instances[:0]
    losses = model(inputs, samples, mode='loss')
    assert losses['loss_panoptic_segsort'] > 0
    sums = model.head.pair_statistics(model.extract_feat(inputs), samples)
    assert sums.tolist() == [[0, 0], [0, 0]]


def test_image_of_void__is_no_thing_and_no_class():
    sample = pack(np.zeros((4, 6), int), [])
    assert (sample.gt_sem_seg.sem_seg == 255).all()
    assert (sample.gt_instance_map.data == -1).all()
    assert len(sample.gt_instances.labels) == 0
    found = panoptic_targets([sample], (4, 6), **TARGETS)
    assert (found.regions == -1).all() and found.num_regions == 2
    sample.pred_panoptic_seg = PixelData(
        sem_seg=torch.full((1, 4, 6), 1000).int())
    # what is predicted in void is neither right nor wrong
    assert all(math.isnan(value) for value in score([sample]).values())


def test_image_without_pixels__counts_nothing():
    nothing = torch.zeros(0, 5, dtype=torch.long)
    counts = panoptic_counts(
        nothing, nothing, nothing, num_classes=4, num_things=2)
    assert all((part == 0).all() for part in counts)


def test_segment__listed_but_not_shown():
    segments = [segment(1, 0), segment(2, 2), segment(3, 1)]
    sample = pack([[1, 1, 2, 2]], segments)
    assert sample.gt_instances.labels.tolist() == [0]
    with pytest.raises(ValueError, match=r'\[3\] of image 0'):
        pack([[1, 1, 2, 2]], segments, missing='error')


def test_segment__shown_but_not_listed_is_void():
    sample = pack([[1, 1, 7, 2]], [segment(1, 0), segment(2, 2)])
    assert sample.gt_sem_seg.sem_seg[0].tolist() == [[0, 0, 255, 2]]
    assert sample.gt_instance_map.data[0].tolist() == [[1, 1, -1, 0]]


@pytest.mark.parametrize('ident', [0, -3])
def test_segment__void_is_no_id(ident):
    with pytest.raises(ValueError, match=f'above 0, .* void, got {ident}'):
        pack([[1, 1, 0, 0]], [segment(1, 0), segment(ident, 0)])


# Many

@pytest.mark.parametrize('count', [999, 1002, 1500])
def test_things_of_a_class__more_than_999(count):
    ids = np.arange(1, count + 1).repeat(4).reshape(-1, 12)
    sample = pack(ids, [segment(k, k % 2) for k in range(1, count + 1)])
    assert sample.gt_instance_map.data.max() == count
    got = score([predict_truth(sample)])
    assert got['PQ.car'] == got['PQ.person'] == 100
    # one that is merged with the next counts as two
    pred = sample.pred_panoptic_seg.sem_seg
    pred[pred == 1000 * count + count % 2] -= 2000
    assert got['PQ'] > score([sample])['PQ'] > 99.5


def test_counts__ids_of_any_size():
    """Instances of the truth may have what numbers they like."""
    truth = torch.tensor([[1, 70000, 2**31 - 1]]).int()
    semantic = torch.zeros(1, 3, dtype=torch.uint8)
    prediction = torch.tensor([[1000, 70000 * 1000, 2**31 // 1000 * 1000]])
    counts = panoptic_counts(
        prediction, semantic, truth, num_classes=2, num_things=1)
    assert class_quality(counts).pq[0] == 1


def test_segments__more_than_65535():
    assert MAX_SEGMENTS == 65535
    segments = [segment(k, 2) for k in range(1, MAX_SEGMENTS + 2)]
    assert pack([[1, 1]], segments[:-1]).gt_sem_seg.sem_seg.unique() == 2
    with pytest.raises(ValueError, match='at most 65535 segments, got 65536'):
        pack([[1, 1]], segments)


def test_targets__more_regions_than_a_code_holds():
    sample = pack([[1, 1, 2, 2]], [segment(1, 0), segment(2, 2)])
    sample.gt_instances = InstanceData(labels=torch.zeros(65534).long())
    found = panoptic_targets([sample], (1, 4), **TARGETS)
    assert found.num_regions == 65536
    sample.gt_instances = InstanceData(labels=torch.zeros(65535).long())
    with pytest.raises(ValueError, match='at most 65534, got 65535.*min_pix'):
        panoptic_targets([sample], (1, 4), **TARGETS)


def test_join_maps__most_instances_and_png():
    most = 2**31 // 256 - 2
    ids, segments = join_maps(
        np.array([[0, 254]]), np.array([[most, 0]]), num_things=1)
    assert ids.tolist() == [[most * 256 + 1, 255]]
    with pytest.raises(ValueError, match=f'in .0, {most}., got 0 .. {most+1}'):
        join_maps(np.array([[0, 2]]), np.array([[most + 1, 0]]), num_things=1)
    with pytest.raises(ValueError, match='`ids` must be in'):
        id_to_rgb(ids)


# Types and sizes

@pytest.mark.parametrize('dtype', [np.float32, bool])
def test_map_in_memory__is_of_integers(dtype):
    with pytest.raises(TypeError, match='of image 0 must be integers, got'):
        pack(np.ones((2, 3), dtype), [segment(1, 0)])


@pytest.mark.parametrize('name, key', [('gt_sem_seg', 'sem_seg'),
                                       ('gt_instance_map', 'data')])
def test_targets__types_and_sizes(name, key):
    def changed(change):
        sample = pack([[1, 1, 2, 2]] * 3, [segment(1, 0), segment(2, 2)])
        value = change(sample.get(name).get(key))
        sample.set_field(PixelData(**{key: value}), name)
        return [sample]

    with pytest.raises(TypeError, match=f'`{name}.{key}` must be integers'):
        panoptic_targets(changed(torch.Tensor.float), (3, 4), **TARGETS)
    for change in (lambda m: m[:, :2], lambda m: m.repeat(1, 2, 2)):
        with pytest.raises(ValueError, match=f'`{name}.{key}` must have the '
                           r'size of its image.*before `Resize`'):
            panoptic_targets(changed(change), (4, 5), **TARGETS)
    # the preprocessor may have padded a map
    grown = changed(lambda m: torch.nn.functional.pad(
        m, (0, 1, 0, 1), value=255 if key == 'sem_seg' else -1))
    found = panoptic_targets(grown, (4, 5), **TARGETS)
    assert (found.regions[0, 3] == -1).all()
    assert found.regions[0, 0].tolist() == [0, 0, 1, 1, -1]


@pytest.mark.parametrize('name, key', [
    ('gt_sem_seg', 'sem_seg'), ('gt_instance_map', 'data'),
    ('pred_panoptic_seg', 'sem_seg')])
def test_metric__types_and_shapes(name, key):
    sample = predict_truth(
        pack([[1, 1, 2, 2]], [segment(1, 0), segment(2, 2)])).to_dict()
    metric = PanopticQualityMetric(num_things=2)
    metric.dataset_meta = dict(classes=CLASSES)
    value = sample[name].get(key)
    with pytest.raises(TypeError, match='must be integers, got torch.float'):
        metric.process({}, [{**sample, name: {key: value.float()}}])
    with pytest.raises(ValueError, match=f'`{name}.{key}` must have shape '
                       r'\(1, H, W\), got \(1, 4\)'):
        metric.process({}, [{**sample, name: {key: value[0]}}])


# Classes

def test_targets__labels_that_are_no_class_are_void():
    sample = pack([[1, 1, 2, 2]], [segment(1, 0), segment(2, 2)])
    sample.gt_sem_seg = PixelData(sem_seg=torch.tensor([[[0, -1, 4, 3]]]))
    found = panoptic_targets([sample], (1, 4), **TARGETS)
    assert found.semantic.tolist() == [[[0, 255, 255, 3]]]
    assert found.regions.tolist() == [[[0, -1, -1, 2]]]


def test_targets__ids_without_a_label_are_no_stuff():
    sample = pack([[1, 1, 2, 2]], [segment(1, 0), segment(2, 1)])
    sample.gt_instances = sample.gt_instances[:1]
    found = panoptic_targets([sample], (1, 4), **TARGETS)
    assert found.regions.tolist() == [[[0, 0, -1, -1]]]


def test_metric__void_is_not_class_0():
    """Neither where a thing is class 0 nor where stuff is."""
    for num_things in (0, 2):
        semantic = torch.tensor([[0, 0, 255, 2]])
        counts = panoptic_counts(
            torch.tensor([[4, 4, 4, -1]]), semantic,
            torch.ones(1, 4).long(), num_classes=4, num_things=num_things)
        assert counts.tp.sum() == counts.fp.sum() == 0
        assert counts.fn.tolist() == [1, 0, 1, 0]


def test_prediction__void_is_c_and_not_class_0():
    logits = torch.zeros(4, 8, 8)
    logits[0, :, :4], logits[2, :, 4:] = 9., 9.
    found = panoptic_of_image(
        logits, torch.ones(8, 8, 8) / 8**.5, (8, 8), num_things=2,
        cut=dict(cell_area=16., max_clusters=4, num_iters=1,
                 location_weight=1.),
        rules=PanopticRules(threshold=.5, min_area=40, min_stuff_area=40))
    panoptic = found['pan_results'].sem_seg
    assert (panoptic == 4).all() and not len(found['ins_results'])
    sample = pack(np.ones((8, 8), int), [segment(1, 0)])
    sample.pred_panoptic_seg = found['pan_results']
    assert score([sample])['PQ.car'] == 0


# Files

SEGMENTS = [dict(id=1, category_id=5), dict(id=2, category_id=3)]
CATEGORIES = [dict(id=3, name='road', isthing=0),
              dict(id=9, name='sky', isthing=0),
              dict(id=5, name='car', isthing=1),
              dict(id=4, name='person', isthing=1),
              dict(id=6, name='tree', isthing=0)]


def build(root, segments=SEGMENTS, categories=CATEGORIES, meta=META,
          **changes):
    for folder in ('img', 'seg'):
        (root / folder).mkdir(exist_ok=True)
    Image.new('RGB', (4, 2)).save(root / 'img/a.png')
    Image.fromarray(id_to_rgb(np.array([[1, 1, 2, 2]] * 2))).save(
        root / 'seg/a.png')
    content = dict(
        images=[dict(id=0, file_name='a.png', height=2, width=4)],
        annotations=[dict(image_id=0, file_name='a.png',
                          segments_info=segments)], categories=categories)
    (root / 'pan.json').write_text(json.dumps({**content, **changes}))
    return PanopticDataset(
        data_root=str(root), ann_file='pan.json', metainfo=meta,
        data_prefix=dict(img='img', seg='seg'), lazy_init=False,
        pipeline=[LoadPanopticMap(missing='error')])


@pytest.mark.parametrize('order', [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0)])
def test_file__neither_order_nor_area_nor_crowd_is_needed(tmp_path, order):
    results = build(
        tmp_path, categories=[CATEGORIES[k] for k in order])[0]
    assert results['gt_seg_map'].tolist() == [[0, 0, 2, 2]] * 2
    assert results['gt_ignore_flags'].tolist() == [False]


@pytest.mark.parametrize('area', [0, -1, None])
def test_file__area_is_counted_not_read(tmp_path, area):
    results = build(tmp_path, [dict(s, area=area) for s in SEGMENTS])[0]
    assert results['gt_masks'].masks.sum() == 4


def test_file__class_that_is_not_in_metainfo_is_void(tmp_path):
    results = build(tmp_path, [*SEGMENTS[:1], dict(id=2, category_id=6)])[0]
    assert results['gt_seg_map'].tolist() == [[0, 0, 255, 255]] * 2


@pytest.mark.parametrize('changes, text', [
    (dict(images=[]), 'it has no images'),
    (dict(images=[], categories=[]), 'it has no images and categories'),
    (dict(annotations=[dict(image_id=0, bbox=[], category_id=5)]),
     r"`segments_info` in each annotation, got \['bbox', 'category_id'"),
    (dict(segments=[dict(id=1, category_id=77)]),
     r'image 0 in .*pan.json.* of its categories, got \[77\]'),
])
def test_file__is_no_panoptic_json(tmp_path, changes, text):
    with pytest.raises(ValueError, match=text):
        build(tmp_path, **changes)


IMAGE = dict(id=0, file_name='a.png', height=2, width=4)


def without(entry, *keys):
    return {key: value for key, value in entry.items() if key not in keys}


@pytest.mark.parametrize('changes, text', [
    *((dict(images=[without(IMAGE, key)]), f'images of .* must have `{key}`,')
      for key in IMAGE),
    (dict(images=[without(IMAGE, 'height', 'width')]),
     "must have `height`, `width`, got {'id': 0"),
    (dict(images=['a.png']), "must have `id`.*`width`, got 'a.png'"),
    (dict(annotations=[dict(file_name='a.png', segments_info=[])]),
     'annotations of .* must have `image_id`'),
    (dict(annotations=[dict(image_id=0, segments_info=[])]),
     'annotations of .* must have `file_name`'),
    (dict(categories=[without(CATEGORIES[0], 'name'), *CATEGORIES[1:]]),
     'categories of .* must have `name`'),
    (dict(segments=[dict(id=1)]), 'segment of .* must have `category_id`'),
])
def test_file__entry_that_lacks_something(tmp_path, changes, text):
    with pytest.raises(ValueError, match=text) as caught:
        build(tmp_path, **changes)
    assert 'pan.json' in str(caught.value) and 'truncated' not in str(
        caught.value)


def test_file__more_classes_than_a_byte_holds(tmp_path):
    names = [f'class {k}' for k in range(254)]
    meta = dict(thing_classes=names, stuff_classes=['road'])
    categories = [dict(id=k, name=name) for k, name in enumerate(
        names + ['road'])]
    assert len(build(tmp_path, categories=categories, meta=meta)) == 1
    meta['stuff_classes'] += ['sky']
    with pytest.raises(ValueError, match='at most 255 classes, got 256'):
        build(tmp_path, meta=meta)


def test_file__map_of_another_size(tmp_path):
    dataset = build(tmp_path)
    dataset.pipeline.transforms[0] = LoadPanopticMap()
    info = dict(dataset.get_data_info(0), ori_shape=(3, 4))
    with pytest.raises(ValueError, match=r'size \(3, 4\) of its image, got '):
        dataset.pipeline(info)
