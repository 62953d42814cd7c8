"""Groups, nouns and captions through the transforms of the host."""
import numpy as np
import pytest
import torch

pytest.importorskip('mmseg')

import mmseg.datasets  # noqa: E402,F401  registers the host's transforms
from mmcv.transforms import Compose  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmseg.models import SegDataPreProcessor  # noqa: E402

from mmpixsort.datasets.group_maps import write_groups  # noqa: E402
from mmpixsort.seg.transforms.text_groups import (  # noqa: E402
    LoadGroups, PackTextInputs, SampleNouns, shift_groups, stack_groups)
from mmpixsort.seg.transforms.load_oversegmentation import (  # noqa: E402
    unshift_ids)

NUM_REGIONS = 300


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


@pytest.fixture
def folder(tmp_path):
    rows, columns = np.indices((20, 30))
    ids = (rows // 2) * 30 + columns - 1  # -1 and 255 occur
    ids[ids >= NUM_REGIONS] = 7
    write_groups(tmp_path / 'a.png', ids, NUM_REGIONS)
    return tmp_path


def _results(size=(40, 60), **extra):
    """Return an image whose colours tell the cell that a pixel is in."""
    rows, columns = np.indices(size) * 20 // size[0]
    image = np.stack([rows * 6, columns * 6, rows * 0], 2).astype(np.uint8)
    return dict(img=image, img_path='images/a.jpg', img_shape=size,
                ori_shape=size, caption='a dog', nouns=['dog'], **extra)


def _cells(image):
    """Return the row and column that the colour of a pixel tells."""
    image = np.asarray(image, float)
    return (image[..., 0] / 6).round(), (image[..., 1] / 6).round()


def test_shift_groups__round_trip():
    ids = np.array([[-1, 0, 254, 255, 256, 65533]])
    shifted = shift_groups(ids)
    assert shifted.dtype == np.uint16 and (shifted == 255).sum() == 1
    assert np.array_equal(unshift_ids(shifted), ids)


@pytest.mark.parametrize('size', [(20, 30), (40, 60), (100, 150)])
def test_load_groups__cells_cover_their_pixels(folder, size):
    results = LoadGroups(str(folder))(_results(size))
    assert results['seg_fields'] == ['gt_group_map']
    ids = unshift_ids(results['gt_group_map'])
    rows, columns = np.indices(size) * 20 // size[0]
    expected = (rows // 2) * 30 + columns - 1
    assert np.array_equal(ids, np.where(expected >= NUM_REGIONS, 7, expected))


def test_load_groups__missing_file(folder):
    with pytest.raises(FileNotFoundError, match='precompute_groups'):
        LoadGroups(str(folder / 'none'))(_results())


@pytest.mark.parametrize('steps', [
    [dict(type='RandomFlip', prob=1., direction='horizontal')],
    [dict(type='RandomFlip', prob=1., direction='vertical')],
    [dict(type='RandomCrop', crop_size=(24, 24))],
    [dict(type='Resize', scale=(120, 80), keep_ratio=True,
          interpolation='nearest')],
    [dict(type='Resize', scale=(30, 20), keep_ratio=False,
          interpolation='nearest')],
    [dict(type='RandomResize', scale=(60, 40), ratio_range=(.5, 2.),
          keep_ratio=True, interpolation='nearest'),
     dict(type='RandomCrop', crop_size=(18, 18)),
     dict(type='RandomFlip', prob=.5)],
])
def test_groups__stay_aligned_with_the_image(folder, steps):
    np.random.seed(0)
    pipeline = Compose([LoadGroups(str(folder)), *steps])
    for _ in range(5):
        results = pipeline(_results())
        ids = unshift_ids(results['gt_group_map'])
        rows, columns = _cells(results['img'])
        expected = (rows // 2) * 30 + columns - 1
        expected[expected >= NUM_REGIONS] = 7
        assert ids.shape == results['img'].shape[:2]
        assert np.array_equal(ids, expected)


def test_pack_text_inputs__carries_text_and_groups(folder):
    pipeline = Compose([
        LoadGroups(str(folder)), SampleNouns(1), PackTextInputs()])
    packed = pipeline(_results(reduce_zero_label=False))
    sample = packed['data_samples']
    assert sample.caption == 'a dog'
    assert sample.nouns == sample.caption_nouns == ['dog']
    assert sample.img_path == 'images/a.jpg' and 'gt_sem_seg' not in sample
    groups = sample.gt_groups.data
    assert groups.shape == (1, 40, 60) and groups.dtype == torch.int64
    assert groups.min() == -1 and groups.max() == NUM_REGIONS - 2


def test_pack_text_inputs__without_groups():
    sample = PackTextInputs()(_results())['data_samples']
    assert 'gt_groups' not in sample and sample.nouns == ['dog']
    with pytest.raises(ValueError, match='mmpixsort.LoadGroups'):
        stack_groups([sample])


def test_pack_text_inputs__padding_of_the_host_is_no_group(folder):
    pipeline = Compose([
        LoadGroups(str(folder)), dict(type='Pad', size=(64, 48)),
        PackTextInputs()])
    groups = pipeline(_results())['data_samples'].gt_groups.data[0]
    assert groups.shape == (48, 64)
    assert (groups[40:] == -1).all() and (groups[:, 60:] == -1).all()


@pytest.mark.parametrize('training', [True, False])
def test_stack_groups__follows_the_preprocessor(folder, training):
    samples = []
    for size in ((40, 60), (20, 30)):
        packed = Compose([LoadGroups(str(folder)), PackTextInputs()])(
            _results(size))
        samples.append(packed)
    preprocessor = SegDataPreProcessor(
        size=(48, 64), test_cfg=dict(size=(48, 64)))
    if not training:  # which takes images of one size
        samples = samples[1:] * 2
    data = preprocessor(dict(
        inputs=[s['inputs'] for s in samples],
        data_samples=[s['data_samples'].clone() for s in samples]),
        training)
    groups = stack_groups(data['data_samples'])
    assert groups.shape == (2, 48, 64) == (2, *data['inputs'].shape[2:])
    assert (groups[1, 20:] == -1).all() and (groups[1, :, 30:] == -1).all()
    assert data['data_samples'][0].nouns == ['dog']


NOUNS = ['dog', 'cat', 'ball', 'dog', 'tree', 'sky']


def _sample(seed, path='a.jpg', most=2):
    return SampleNouns(most, seed=seed)(dict(
        nouns=list(NOUNS), img_path=path, caption='c'))


def test_sample_nouns__keeps_order_and_the_whole_list():
    for seed in range(20):
        found = _sample(seed)
        assert found['caption_nouns'] == ['dog', 'cat', 'ball', 'tree', 'sky']
        places = [found['caption_nouns'].index(n) for n in found['nouns']]
        assert len(places) == 2 and places == sorted(set(places))
    assert _sample(0, most=5)['nouns'] == ['dog', 'cat', 'ball', 'tree', 'sky']


def test_sample_nouns__seeded_or_by_the_global_generator():
    assert _sample(3)['nouns'] == _sample(3)['nouns']
    # the folder has no part: the same data elsewhere gives the same nouns
    assert _sample(3, 'x/a.jpg')['nouns'] == _sample(3, 'y/a.jpg')['nouns']
    paths = [f'{i}.jpg' for i in range(40)]
    drawn = {tuple(_sample(3, path)['nouns']) for path in paths}
    assert len(drawn) > 5
    np.random.seed(1)
    first = [_sample(None)['nouns'] for _ in range(20)]
    np.random.seed(1)
    assert first == [_sample(None)['nouns'] for _ in range(20)]
    assert len(set(map(tuple, first))) > 3


@pytest.mark.parametrize('nouns', [[], ['dog']])
def test_sample_nouns__few(nouns):
    results = SampleNouns(3)(dict(nouns=nouns, img_path='a', caption=''))
    assert results['nouns'] == results['caption_nouns'] == nouns


def test_sample_nouns__bad_arguments():
    with pytest.raises(ValueError, match='`max_nouns` must be at least 1'):
        SampleNouns(0)
    with pytest.raises(ValueError, match='`seed` must be at least 0'):
        SampleNouns(1, seed=-1)
