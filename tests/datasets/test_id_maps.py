"""The one reader of ids, and all that read ids, labels or masks by it."""
import importlib.util
import struct
from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmpixsort.apis.exemplars import read_mask
from mmpixsort.datasets.group_maps import read_groups
from mmpixsort.datasets.id_maps import read_id_image, read_mask_image
from mmpixsort.datasets.instance_maps import read_instance_map
from mmpixsort.datasets.oversegment import read_segments
from mmpixsort.datasets.panoptic_maps import read_panoptic_map

SIZE = 6, 8
DRAWN = np.zeros(SIZE, bool)
DRAWN[1:3, 2:5] = True
ROOT = Path(__file__).parents[2]


def contours(path):
    """Read as the converter of over-segmentations does."""
    spec = importlib.util.spec_from_file_location(
        'oversegment', ROOT / 'tools/dataset_converters/oversegment.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool.read_input(path, Namespace(method='contours'))


READERS = dict(
    instances=read_instance_map, panoptic=read_panoptic_map,
    groups=read_groups, regions=read_segments, contours=contours,
    mask=lambda path: read_mask(path, SIZE))


def raw_tiff(path, values, sample_format):
    """Write 32 bits a pixel, without a writer that chooses their meaning."""
    height, width = values.shape
    fields = [(256, width), (257, height), (258, 32), (259, 1), (262, 1),
              (273, 8), (277, 1), (278, height), (279, values.nbytes),
              (339, sample_format)]
    content = b'II*\x00' + struct.pack('<I', 8 + values.nbytes)
    content += values.tobytes() + struct.pack('<H', len(fields))
    for tag, value in fields:
        content += struct.pack('<HHII', tag, 4, 1, value)
    path.write_bytes(content + struct.pack('<I', 0))
    return path


def colours(value, ground=(0, 0, 0)):
    return np.where(DRAWN[..., None], value, ground).astype(np.uint8)


def with_alpha(values, alpha):
    return np.dstack([values, np.broadcast_to(alpha, SIZE)]).astype(np.uint8)


@pytest.mark.parametrize('values', [
    with_alpha(colours(200), 255),  # a colour on opaque black
    with_alpha(colours((0, 9, 0)), DRAWN * 255),  # on a transparent ground
    with_alpha(colours(200, ground=255), DRAWN * 255),  # on hidden white
    with_alpha(DRAWN * 255, 255),  # grey with alpha
    with_alpha(np.full(SIZE, 255), DRAWN * 255),
    colours((0, 0, 1)), DRAWN.astype(np.uint8), DRAWN,
    DRAWN.astype(np.uint16) * 256])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_masks__what_is_drawn(tmp_path, values, suffix):
    path = tmp_path / f'mask{suffix}'
    Image.fromarray(values).save(path)
    assert np.array_equal(read_mask_image(path), DRAWN)
    assert np.array_equal(read_mask(path, SIZE) == 0, DRAWN)


def test_masks__deep_colours_keep_low_bits(tmp_path):
    deep = colours(1).astype(np.uint16)
    deep = np.dstack([deep, np.full(SIZE, 65535, np.uint16)])
    assert cv2.imwrite(str(tmp_path / 'mask.png'), deep)
    assert np.array_equal(read_mask_image(tmp_path / 'mask.png'), DRAWN)
    image = read_id_image(tmp_path / 'mask.png')
    assert image.values.dtype == np.uint16 and (image.alpha == 65535).all()


def test_masks__a_colour_that_is_left_out(tmp_path):
    path = tmp_path / 'mask.png'
    Image.fromarray(np.where(DRAWN, 3, 9).astype(np.uint8)).save(
        path, transparency=9)
    assert np.array_equal(read_mask_image(path), DRAWN)


@pytest.mark.parametrize('value, alpha', [(0, DRAWN * 255), (255, 0)])
def test_masks__nothing_to_see(tmp_path, value, alpha):
    Image.fromarray(with_alpha(colours(value), alpha)).save(
        tmp_path / 'mask.png')
    with pytest.raises(ValueError, match='transparent pixels are not mar'):
        read_mask(tmp_path / 'mask.png', SIZE)


def palette_image(table):
    image = Image.fromarray(DRAWN.astype(np.uint8)).convert('P')
    image.putdata(DRAWN.ravel().astype(int).tolist())
    image.putpalette(table)
    return image


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('table', [
    [0, 0, 0, 128, 0, 0], [1, 2, 3, 1, 2, 3], [0] * 6])
def test_palette__indices_in_every_reader(tmp_path, table, suffix):
    path = tmp_path / f'ids{suffix}'
    palette_image(table).save(path)
    for name in ('instances', 'groups', 'regions'):
        assert np.array_equal(READERS[name](path), DRAWN), name
    assert np.array_equal(read_mask_image(path), DRAWN)
    for name in ('panoptic', 'contours'):
        with pytest.raises(ValueError, match='got indices of a palette'):
            READERS[name](path)


def test_palette__colours_that_deny_the_indices(tmp_path):
    path = tmp_path / 'mask.png'
    palette_image([255, 255, 255, 0, 0, 0]).save(path)
    with pytest.raises(ValueError, match='index 0 is black or transparent'):
        read_mask_image(path)
    assert np.array_equal(read_instance_map(path), DRAWN)


@pytest.mark.parametrize('name', READERS)
def test_readers__refuse_pages_and_lossy_files(tmp_path, name):
    pages = [Image.fromarray(colours(k)) for k in (1, 2)]
    pages[0].save(
        tmp_path / 'ids.tif', save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match='ids.tif.*2 pages: save the page'):
        READERS[name](tmp_path / 'ids.tif')
    pages[0].save(tmp_path / 'ids.png')
    pages[0].save(tmp_path / 'ids.jpg')
    (tmp_path / 'ids.jpg').rename(tmp_path / 'jpeg.png')
    with pytest.raises(ValueError, match='jpeg.png.*a JPEG.*lossy'):
        READERS[name](tmp_path / 'jpeg.png')
    pages[0].save(tmp_path / 'ids.tif', compression='jpeg')
    with pytest.raises(ValueError, match='a TIFF of jpeg.*lossy'):
        READERS[name](tmp_path / 'ids.tif')
    pages[0].save(tmp_path / 'ids.webp')
    with pytest.raises(ValueError, match='ids.webp.*PNG; TIFF'):
        READERS[name](tmp_path / 'ids.webp')


@pytest.mark.parametrize('name', [n for n in READERS if n != 'mask'])
@pytest.mark.parametrize('values', [
    with_alpha(colours(1), 255), with_alpha(DRAWN, DRAWN * 255)])
def test_readers__ids_have_no_alpha(tmp_path, name, values):
    Image.fromarray(values).save(tmp_path / 'ids.png')
    with pytest.raises(ValueError, match='with alpha'):
        READERS[name](tmp_path / 'ids.png')


@pytest.mark.parametrize('dtype, sample_format', [
    ('<u4', 1), ('<i4', 2)])
def test_tiff__32_bits(tmp_path, dtype, sample_format):
    ids = np.arange(48).reshape(SIZE) * 70000
    path = raw_tiff(tmp_path / 'ids.tif', ids.astype(dtype), sample_format)
    assert np.array_equal(read_instance_map(path), ids)
    assert read_instance_map(path).dtype == np.int32
    assert np.array_equal(read_segments(path), ids)
    for name in ('groups', 'panoptic'):
        with pytest.raises(ValueError, match='got int32'):
            READERS[name](path)


def test_tiff__the_sign_counts(tmp_path):
    ids = np.where(DRAWN, -1, 5)
    path = raw_tiff(tmp_path / 'ids.tif', ids.astype('<i4'), 2)
    assert np.array_equal(read_instance_map(path), ids)
    with pytest.raises(ValueError, match='ids from 0'):
        read_segments(path)
    raw_tiff(path, ids.astype('<u4'), 1)
    with pytest.raises(ValueError, match=r'ids below 2\^31'):
        read_instance_map(path)


def test_tiff__of_another_writer(tmp_path):
    tifffile = pytest.importorskip('tifffile')
    for dtype in ('u1', 'i1', 'u2', 'i2', 'u4', 'i4'):
        ids = np.arange(48).reshape(SIZE).astype(dtype)
        ids[0, 0] = -1 if dtype[0] == 'i' else 100
        tifffile.imwrite(tmp_path / 'ids.tif', ids)
        assert np.array_equal(read_instance_map(tmp_path / 'ids.tif'), ids)
