"""Instance maps of files and the instances of mmdet that they hold."""
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mmpixsort.datasets.instance_maps import (instances_of_map,
                                              read_instance_map)

masks = pytest.importorskip('pycocotools.mask')


def random_ids(seed, largest, size=(11, 14), dtype=np.int64):
    ids = np.random.default_rng(seed).integers(0, largest + 1, size)
    ids[0, :2] = 0, largest
    return ids.astype(dtype)


def write(path, values):
    assert cv2.imwrite(str(path), values)
    return path


@pytest.mark.parametrize('dtype, largest', [(np.uint8, 255),
                                            (np.uint16, 256),
                                            (np.uint16, 65535)])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_read_instance_map__one_channel(tmp_path, dtype, largest, suffix):
    ids = random_ids(0, largest, dtype=dtype)
    read = read_instance_map(write(tmp_path / f'map{suffix}', ids))
    assert read.dtype == np.int32
    assert np.array_equal(read, ids)


@pytest.mark.parametrize('largest', [255, 65536, 70000, 2**24 - 1])
def test_read_instance_map__rgb(tmp_path, largest):
    ids = random_ids(1, largest)
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], 2)
    Image.fromarray(rgb.astype(np.uint8)).save(tmp_path / 'map.png')
    read = read_instance_map(str(tmp_path / 'map.png'))
    assert read.dtype == np.int32
    assert np.array_equal(read, ids)


def palette_file(path, ids):
    image = Image.fromarray(ids).convert('P')
    image.putdata(ids.ravel().tolist())
    colours = np.random.default_rng(0).integers(0, 256, 768)
    image.putpalette(colours.tolist())
    image.save(path)
    return path


def test_read_instance_map__palette_indices(tmp_path):
    ids = random_ids(2, 20, dtype=np.uint8)
    path = palette_file(tmp_path / 'map.png', ids)
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).ndim == 3
    assert np.array_equal(read_instance_map(path), ids)


def test_optional_packages__named_when_absent(tmp_path, monkeypatch):
    path = palette_file(tmp_path / 'map.png', random_ids(
        2, 20, dtype=np.uint8))
    monkeypatch.setitem(sys.modules, 'PIL', None)
    with pytest.raises(ImportError, match='needs Pillow: pip install'):
        read_instance_map(path)
    monkeypatch.setitem(sys.modules, 'pycocotools', None)
    with pytest.raises(ImportError, match=r'pip install mmpixsort\[det\]'):
        instances_of_map(np.ones((2, 3), int))


def test_read_instance_map__missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.png' not found"):
        read_instance_map(tmp_path / 'nothing.png')


@pytest.mark.parametrize('values, suffix, text', [
    (np.zeros((3, 4), np.float32), '.tif', 'got float32'),
    (np.zeros((3, 4, 4), np.uint8), '.png', 'without alpha'),
    (np.zeros((3, 4, 3), np.uint16), '.png', 'got uint16'),
])
def test_read_instance_map__other_images(tmp_path, values, suffix, text):
    path = write(tmp_path / f'map{suffix}', values)
    with pytest.raises(ValueError, match=text):
        read_instance_map(path)


@pytest.mark.parametrize('content', [b'', b'\x89PNG', b'no image'])
def test_read_instance_map__no_image(tmp_path, content):
    path = tmp_path / 'map.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='Pillow does not know its format'):
        read_instance_map(path)


def slow_instances(ids):
    """One mask after the other, boxes from the coordinates."""
    found = {}
    for ident in sorted(set(ids.ravel().tolist()) - {0}):
        mask = ids == ident
        rows, columns = np.nonzero(mask)
        found[ident] = mask, [
            float(columns.min()), float(rows.min()),
            float(columns.max() + 1), float(rows.max() + 1)
        ]
    return found


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize('size', [(11, 14), (1, 9), (9, 1), (1, 1)])
@pytest.mark.parametrize('largest', [0, 1, 3, 120])
def test_instances_of_map__equals_masks(dtype, size, largest):
    rng = np.random.default_rng(largest)
    ids = rng.integers(0, largest + 1, size).astype(dtype)
    want = slow_instances(ids)
    found = instances_of_map(ids, label=4)
    assert len(found) == len(want)
    for item, (mask, box) in zip(found, want.values()):
        assert item['bbox'] == box
        assert item['bbox_label'] == 4 and item['ignore_flag'] == 0
        assert np.array_equal(masks.decode(item['mask']), mask)
        # the very text that pycocotools makes of the mask
        encoded = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert item['mask']['counts'] == encoded['counts'].decode()
        assert list(item['mask']['size']) == list(size)


def test_instances_of_map__ids_above_16_bits():
    ids = np.array([[0, 70000], [2**24, 70000]], np.int32)
    assert [item['bbox'] for item in instances_of_map(ids)
            ] == [[1, 0, 2, 2], [0, 1, 1, 2]]


def test_instances_of_map__ignored():
    ids = np.array([[-1, 3, 3], [0, 255, 9]], np.int32)
    flags = [item['ignore_flag'] for item in instances_of_map(ids)]
    assert flags == [1, 0, 0, 0]
    flags = [
        item['ignore_flag'] for item in instances_of_map(ids, ignore_id=255)
    ]
    assert flags == [1, 0, 0, 1]


@pytest.mark.parametrize('size', [(3, 4), (0, 4), (0, 0)])
def test_instances_of_map__nothing(size):
    assert instances_of_map(np.zeros(size, int)) == []


@pytest.mark.parametrize('ids, text', [
    (np.zeros((3, 4)), 'float64 of shape'),
    (np.zeros((1, 3, 4), int), r'shape \(1, 3, 4\)'),
    ([[0, 1]], 'got list'),
    (np.array([[0, -2]]), 'got -2'),
])
def test_instances_of_map__bad_maps(ids, text):
    with pytest.raises(ValueError, match=text):
        instances_of_map(ids)
