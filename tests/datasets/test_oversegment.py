"""Over-segmentations: made, written, read, and through a pipeline."""
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS

from mmpixsort.datasets.synthetic import StreetScenes
from mmpixsort.datasets.oversegment import (contour_segments,
                                            felzenszwalb_segments,
                                            read_segments, slic_segments,
                                            write_segments)
from mmpixsort.seg.transforms.load_oversegmentation import (shift_ids,
                                                            unshift_ids)
from mmpixsort.seg.transforms.pack_segments import stack_oversegmentation

ROOT = Path(__file__).resolve().parents[2]
BSDS = ROOT.parent / 'shared/data/bsds500_mini'
TOOL = ROOT / 'tools/dataset_converters/oversegment.py'


def test_segments__round_trip_with_many_regions(tmp_path):
    ids = np.arange(300 * 200).reshape(300, 200)
    write_segments(tmp_path / 'a.png', ids)
    assert (read_segments(tmp_path / 'a.png') == ids).all()
    with pytest.raises(ValueError, match='use larger regions'):
        write_segments(tmp_path / 'b.png', ids + 6000)
    assert not (tmp_path / 'b.png').exists()


def test_read_segments__eight_bits_with_region_255(tmp_path):
    ids = np.array([[0, 254, 255]], np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), ids)
    assert read_segments(tmp_path / 'a.png').tolist() == [[0, 254, 255]]
    with pytest.raises(FileNotFoundError, match='oversegment.py'):
        read_segments(tmp_path / 'none.png')
    cv2.imwrite(str(tmp_path / 'b.png'), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match='one channel'):
        read_segments(tmp_path / 'b.png')


def test_shift_ids__leaves_255_to_padding():
    ids = np.arange(65534).reshape(2, -1)
    assert (unshift_ids(shift_ids(ids)) == ids).all()
    assert not (shift_ids(ids) == 255).any()
    assert unshift_ids(np.array([[255]], np.uint16)).tolist() == [[-1]]


def test_contour_segments__of_a_cross():
    contours = np.zeros((9, 9), np.uint8)
    contours[:, 4] = 50
    contours[4] = 100
    assert len(np.unique(contour_segments(contours, 60))) == 2
    regions = contour_segments(contours, 30)
    assert regions.shape == (4, 4) and len(np.unique(regions)) == 4
    plain = contour_segments(contours, 30, double=False)
    assert plain.shape == (9, 9) and len(np.unique(plain)) == 4


@pytest.mark.skipif(not BSDS.is_dir(), reason='needs bsds500_mini')
def test_contour_segments__of_real_contours():
    counts = [contour_segments(cv2.imread(str(path), -1), 32).max() + 1
              for path in sorted((BSDS / 'ucm2').rglob('*.png'))]
    assert 50 <= np.mean(counts) <= 60


@pytest.mark.parametrize('cut', [felzenszwalb_segments, slic_segments])
def test_segments__of_an_image(cut):
    pytest.importorskip('skimage')
    image = StreetScenes(num_images=1, size=(64, 96), seed=0)[0].image
    ids = cut(image)
    assert ids.shape == (64, 96) and ids.min() == 0
    assert 2 < len(np.unique(ids)) == ids.max() + 1


def test_tool__converts_and_goes_on(tmp_path):
    pytest.importorskip('skimage')
    (tmp_path / 'in/deep').mkdir(parents=True)
    scene = StreetScenes(num_images=1, size=(64, 96), seed=0)[0]
    for name in ('a.png', 'deep/b.png'):
        cv2.imwrite(str(tmp_path / 'in' / name), scene.image)
    words = [sys.executable, TOOL, tmp_path / 'in', tmp_path / 'out']
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert '2 images' in done.stdout
    first = (tmp_path / 'out/deep/b.png').stat().st_mtime_ns
    subprocess.run(words, capture_output=True, text=True, check=True)
    assert (tmp_path / 'out/deep/b.png').stat().st_mtime_ns == first


def test_tool__refuses_images_that_would_share_a_map(tmp_path):
    for name in ('a.png', 'a.jpg', 'b.png'):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    done = subprocess.run(
        [sys.executable, TOOL, tmp_path, tmp_path / 'out'],
        capture_output=True, text=True)
    assert done.returncode == 1 and not (tmp_path / 'out').exists()
    assert 'a.jpg' in done.stderr and 'a.png would share' in done.stderr


def _pipeline(*steps):
    init_default_scope('mmseg')
    built = [TRANSFORMS.build(step) for step in steps]

    def run(results):
        for step in built:
            results = step(results)
        return results

    return run


@pytest.mark.parametrize('step', [
    dict(type='Resize', scale=(50, 40), keep_ratio=False),
    dict(type='RandomFlip', prob=1.),
    dict(type='RandomCrop', crop_size=(20, 20)),
    dict(type='Pad', size=(60, 60)),
    dict(type='RandomRotate', prob=1., degree=(8., 10.)),
])
def test_pipeline__region_255_is_never_padding(tmp_path, step):
    # wide stripes of ids about 255, and a large one
    ids = np.repeat(np.array([253, 254, 255, 256, 60000]), 8)
    ids = np.broadcast_to(ids, (40, 40)).copy()
    write_segments(tmp_path / 'x.png', ids)
    run = _pipeline(
        dict(type='mmpixsort.LoadOverSegmentation', folder=str(tmp_path)),
        step, dict(type='mmpixsort.PackSegmentInputs', meta_keys=()))
    sample = run(dict(
        img=np.zeros((40, 40, 3), np.uint8), img_path='elsewhere/x.jpg',
        img_shape=(40, 40)))['data_samples']
    found = set(sample.gt_overseg.data.unique().tolist())
    padded = step['type'] in ('Pad', 'RandomRotate')
    assert found - {-1} <= {253, 254, 255, 256, 60000}
    assert 255 in found and (-1 in found) == padded
    assert 'gt_sem_seg' not in sample


def test_pipeline__size_must_fit(tmp_path):
    write_segments(tmp_path / 'x.png', np.zeros((4, 4), int))
    run = _pipeline(dict(
        type='mmpixsort.LoadOverSegmentation', folder=str(tmp_path)))
    with pytest.raises(ValueError, match='size of its image'):
        run(dict(img=np.zeros((5, 4, 3)), img_path='x.jpg'))


def _unlabelled(ids, padding=(0, 0, 0, 0)):
    sample = tiny.sample(torch.zeros(1, 1, 1))
    del sample.gt_sem_seg
    from mmengine.structures import PixelData
    sample.gt_overseg = PixelData(data=ids[None])
    sample.set_metainfo(dict(padding_size=padding))
    return sample


def test_stack_oversegmentation__pads_as_the_images():
    ids = torch.full((4, 5), 255)
    stacked = stack_oversegmentation(
        [_unlabelled(ids, (0, 3, 0, 2)), _unlabelled(torch.ones(6, 8))])
    assert stacked.shape == (2, 6, 8)
    assert (stacked[0, :4, :5] == 255).all()
    assert (stacked[0, 4:] == -1).all() and (stacked[0, :, 5:] == -1).all()


def test_training__from_regions_alone():
    """No labels at all; each region is a label of its own."""
    config = tiny.host()
    config.type = 'mmpixsort.MetricEncoderDecoder'
    config.classifier = 'none'
    config.metric_head = ConfigDict(
        type='mmpixsort.SegSortHead', in_channels=16, source=1,
        num_classes=tiny.CLASSES, embed_dims=8, segments='oversegmentation',
        segmenter=dict(type='mmpixsort.KMeansSegmenter', max_segments=100),
        projection=dict(
            type='mmpixsort.ProjectionHead', norm_cfg=dict(type='BN')))
    model = tiny.build(config).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=.05, momentum=.9)
    grid = torch.arange(16).view(4, 4) + 250  # region 255 among them
    ids = grid.repeat_interleave(8, 0).repeat_interleave(8, 1)
    losses = []
    for step in range(12):
        images, _ = tiny.batch(4, seed=step % 2)
        parts = model.loss(images, [_unlabelled(ids) for _ in range(4)])
        assert parts['segsort_segments'] == 64
        optimizer.zero_grad()
        parts['loss_segsort'].backward()
        optimizer.step()
        losses.append(parts['loss_segsort'].item())
    assert sum(losses[-2:]) < sum(losses[:2])


def test_training__says_when_regions_are_missing():
    with pytest.raises(ValueError, match='LoadOverSegmentation'):
        stack_oversegmentation([tiny.sample(torch.zeros(1, 4, 4))])
