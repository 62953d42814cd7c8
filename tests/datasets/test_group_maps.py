"""Groups on disk."""
import json

import cv2
import numpy as np
import pytest

from mmpixsort.datasets.group_maps import (SETTINGS, group_path,
                                           open_group_folder,
                                           read_group_settings, read_groups,
                                           write_groups)


@pytest.mark.parametrize('num_regions, dtype', [
    (1, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_write_groups__read_back(tmp_path, num_regions, dtype):
    ids = np.random.default_rng(0).integers(-1, num_regions, (7, 5))
    ids[0, :2] = -1, num_regions - 1
    path = group_path(tmp_path, 'a/b/cat.x.jpg')
    assert path == tmp_path / 'cat.x.png'
    write_groups(path, ids, num_regions)
    got = read_groups(path)
    assert (got == ids).all() and got.dtype == np.int64
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).dtype == dtype
    assert [p.name for p in tmp_path.iterdir()] == ['cat.x.png']


@pytest.mark.parametrize('ids, num_regions, error', [
    (np.zeros((2, 2, 1), int), 3, r'must be an integer array \(h, w\)'),
    (np.zeros((2, 2)), 3, 'must be an integer array'),
    (np.full((2, 2), 3), 3, r'must lie in \[-1, 3\), got 3 to 3'),
    (np.full((2, 2), -2), 3, r'must lie in \[-1, 3\), got -2'),
    (np.zeros((2, 2), int), 65536, '`num_regions` must be at most 65535'),
])
def test_write_groups__bad_input(tmp_path, ids, num_regions, error):
    with pytest.raises(ValueError, match=error):
        write_groups(tmp_path / 'x.png', ids, num_regions)
    assert not list(tmp_path.iterdir())


def test_read_groups__bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='precompute_groups.py'):
        read_groups(tmp_path / 'none.png')
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(ValueError, match='Pillow does not know its format'):
        read_groups(tmp_path / 'text.png')
    cv2.imwrite(str(tmp_path / 'rgb.png'), np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(ValueError, match=r'got uint8 of shape \(2, 3, 3\)'):
        read_groups(tmp_path / 'rgb.png')


def test_open_group_folder__same_settings_only(tmp_path):
    folder = tmp_path / 'new' / 'groups'
    settings = dict(grouper=dict(grid=4), num_regions=16)
    open_group_folder(folder, settings)
    write_groups(folder / 'a.png', np.zeros((2, 2), int), 16)
    open_group_folder(folder, dict(reversed(settings.items())))
    assert read_group_settings(folder)['settings'] == settings
    with pytest.raises(ValueError, match='different: grouper, weights'):
        open_group_folder(folder, dict(
            grouper=dict(grid=5), num_regions=16, weights=''))


def test_open_group_folder__unknown_or_damaged_settings(tmp_path):
    write_groups(tmp_path / 'a.png', np.zeros((2, 2), int), 16)
    with pytest.raises(ValueError, match='must be empty, or hold groups'):
        open_group_folder(tmp_path, dict(a=1))
    with pytest.raises(FileNotFoundError, match='settings of groups'):
        read_group_settings(tmp_path)
    (tmp_path / SETTINGS).write_text('{"version": 1, "ha')
    with pytest.raises(ValueError, match='cannot be read'):
        open_group_folder(tmp_path, dict(a=1))
    (tmp_path / SETTINGS).write_text(
        json.dumps(dict(version=1, hash='0', settings=dict(a=1))))
    with pytest.raises(ValueError, match='was changed'):
        open_group_folder(tmp_path, dict(a=1))
