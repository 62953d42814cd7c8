"""Colours and numbers of panoptic maps, their files, and joined maps."""
import cv2
import numpy as np
import pytest
from PIL import Image

from mmpixsort.datasets.panoptic_maps import (id_to_rgb, join_maps,
                                              read_panoptic_map, rgb_to_id)


@pytest.mark.parametrize('ident, rgb', [
    (0, (0, 0, 0)), (255, (255, 0, 0)), (256, (0, 1, 0)),
    (65535, (255, 255, 0)), (65536, (0, 0, 1)), (70000, (112, 17, 1)),
    (8345037, (205, 85, 127)), (2**24 - 1, (255, 255, 255))
])
def test_rgb_to_id__by_hand(ident, rgb):
    assert rgb_to_id(np.array(rgb, np.uint8)) == ident
    assert tuple(id_to_rgb(np.array(ident))) == rgb


@pytest.mark.parametrize('dtype', [np.int32, np.int64, np.uint32])
@pytest.mark.parametrize('shape', [(), (7, ), (5, 6), (0, 4), (2, 3, 4)])
def test_rgb_to_id__undoes_id_to_rgb(dtype, shape):
    ids = np.random.default_rng(0).integers(0, 2**24, shape).astype(dtype)
    rgb = id_to_rgb(ids)
    assert rgb.shape == (*shape, 3) and rgb.dtype == np.uint8
    back = rgb_to_id(rgb)
    assert back.dtype == np.int32
    assert np.array_equal(back, ids)
    assert np.array_equal(rgb_to_id(rgb.astype(np.int16)), ids)


def test_id_to_rgb__equals_panopticapi():
    other = pytest.importorskip('panopticapi.utils')
    ids = np.random.default_rng(2).integers(0, 2**24, (9, 13))
    rgb = other.id2rgb(ids)
    assert np.array_equal(id_to_rgb(ids), rgb)
    assert np.array_equal(rgb_to_id(rgb), other.rgb2id(rgb))


@pytest.mark.parametrize('call, values, error, text', [
    (id_to_rgb, [2**24], ValueError, r'`ids` must be in \[0, 16777215\].*16'),
    (id_to_rgb, [-1, 3], ValueError, r'got -1 \.\. 3'),
    (id_to_rgb, [.5], TypeError, r'`ids` must be integers, got float64'),
    (rgb_to_id, [[256, 0, 0]], ValueError, r'`rgb` must be in \[0, 255\]'),
    (rgb_to_id, [[1, 2]], ValueError, r'must have shape \(\.\.\., 3\)'),
    (rgb_to_id, 5, ValueError, r'must have shape'),
    (rgb_to_id, [[True] * 3], TypeError, 'got bool'),
])
def test_conversions__bad_values(call, values, error, text):
    with pytest.raises(error, match=text):
        call(np.array(values))


def test_read_panoptic_map__round_trip(tmp_path):
    ids = np.random.default_rng(1).integers(0, 2**24, (9, 13))
    path = tmp_path / 'map.png'
    Image.fromarray(id_to_rgb(ids)).save(path)
    for given in (path, str(path)):
        read = read_panoptic_map(given)
        assert read.dtype == np.int32
        assert np.array_equal(read, ids)
    assert np.array_equal(
        read_panoptic_map(path, backend_args=dict(backend='local')), ids)


@pytest.mark.parametrize('values, text', [
    (np.zeros((4, 5), np.uint8), r'uint8 of shape \(4, 5\)'),
    (np.zeros((4, 5, 4), np.uint8), r'shape \(4, 5, 4\).*without palette'),
    (np.zeros((4, 5, 3), np.uint16), 'got uint16'),
])
def test_read_panoptic_map__other_images(tmp_path, values, text):
    assert cv2.imwrite(str(tmp_path / 'map.png'), values)
    with pytest.raises(ValueError, match=text):
        read_panoptic_map(tmp_path / 'map.png')


def test_read_panoptic_map__palette_is_no_number(tmp_path):
    image = Image.fromarray(np.zeros((4, 5), np.uint8)).convert('P')
    image.putpalette([200, 3, 9] * 256)
    image.save(tmp_path / 'map.png')
    with pytest.raises(ValueError, match='got indices of a palette'):
        read_panoptic_map(tmp_path / 'map.png')


@pytest.mark.parametrize('content', [b'', b'text', b'\x89PNG'])
def test_read_panoptic_map__no_image(tmp_path, content):
    (tmp_path / 'map.png').write_bytes(content)
    with pytest.raises(ValueError, match='Pillow does not know its format'):
        read_panoptic_map(tmp_path / 'map.png')


def test_read_panoptic_map__no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.png'):
        read_panoptic_map(tmp_path / 'none.png')


def joined_slowly(semantic, instances, num_things):
    """Return the set of pixels of each segment, by a loop."""
    found = {}
    for place, label in np.ndenumerate(semantic):
        if label == 255:
            continue
        thing = label < num_things
        key = int(label), int(instances[place]) if thing else 0
        found.setdefault(key, set()).add(place)
    return {key: (pixels, key[0] < num_things and key[1] == 0)
            for key, pixels in found.items()}


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('num_things', [0, 2, 4])
def test_join_maps__is_the_loop(seed, num_things):
    rng = np.random.default_rng(seed)
    semantic = rng.choice([0, 1, 2, 3, 254, 255], (12, 15)).astype(np.uint8)
    instances = rng.choice([0, 1, 2, 300, 70000], (12, 15))
    ids, segments = join_maps(semantic, instances, num_things=num_things)
    want = joined_slowly(semantic, instances, num_things)
    assert ids.dtype == np.int32
    assert len(segments) == len(want)
    assert set(np.unique(ids)) - {0} == {item['id'] for item in segments}
    assert np.array_equal(ids == 0, semantic == 255)
    for item in segments:
        pixels = set(zip(*np.nonzero(ids == item['id'])))
        assert item['is_thing'] == (item['category'] < num_things)
        matches = [key for key, (where, crowd) in want.items()
                   if key[0] == item['category'] and where == pixels
                   and crowd == item['iscrowd']]
        assert len(matches) == 1


def test_join_maps__bad_input():
    zeros = np.zeros((2, 3), int)
    with pytest.raises(ValueError, match=r'one shape, got \(2, 3\) and \(2'):
        join_maps(zeros, zeros[:, :2], num_things=1)
    with pytest.raises(ValueError, match='`semantic` must be in'):
        join_maps(zeros + 256, zeros, num_things=1)
    with pytest.raises(ValueError, match='`instances` must be in'):
        join_maps(zeros, zeros - 1, num_things=1)
    with pytest.raises(TypeError, match='`instances` must be integers'):
        join_maps(zeros, zeros * 1., num_things=1)
