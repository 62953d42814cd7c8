"""Maps of images of equal names are not taken for one another."""
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmpixsort.datasets.group_maps import write_groups
from mmpixsort.datasets.map_owners import (OWNERS, MapOwners, claim_maps,
                                           read_owners, same_image)
from mmpixsort.datasets.oversegment import write_segments

pytest.importorskip('mmseg')

from mmpixsort.seg.transforms.load_oversegmentation import (  # noqa: E402
    LoadOverSegmentation)
from mmpixsort.seg.transforms.text_groups import LoadGroups  # noqa: E402

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/oversegment.py'
IDS = np.zeros((6, 8), int)


@pytest.fixture
def images(tmp_path):
    """Two images of one name in two folders."""
    paths = []
    for number, folder in enumerate(('train', 'val')):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / '0001.png'
        cv2.imwrite(str(path), np.full((6, 8, 3), 90 * number, np.uint8))
        paths.append(str(path))
    return paths


def test_same_image__copies_and_moved_ones(tmp_path, images):
    copy = tmp_path / 'copy' / '0001.png'
    copy.parent.mkdir()
    copy.write_bytes(Path(images[0]).read_bytes())
    assert same_image(images[0], str(copy))
    assert not same_image(images[1], str(copy))
    assert same_image('/gone/val/0001.png', images[1])
    assert not same_image('/gone/train/0001.png', images[1])
    assert same_image('s3://a/val/0001.png', 's3://b/val/0001.png')


def test_claim_maps__of_other_and_unknown_images(tmp_path, images):
    out = tmp_path / 'out'
    path = out / 'a' / '0001.png'
    claim_maps(out, {path: images[0]})
    assert read_owners(out) == {'a/0001.png': images[0]}
    before = (out / OWNERS).stat().st_mtime_ns
    claim_maps(out, {path: images[0]})
    assert (out / OWNERS).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match='val/0001.*got that of .*train/00'):
        claim_maps(out, {path: images[1]})
    write_groups(out / '0002.png', IDS, 3)
    with pytest.raises(ValueError, match='does not tell which'):
        claim_maps(out, {out / '0002.png': images[1]})
    (out / OWNERS).write_text('[]')
    with pytest.raises(ValueError, match='must be an object of names'):
        MapOwners(out).check(path, images[0])


@pytest.mark.parametrize('noted', [True, False])
@pytest.mark.parametrize('kind', ['groups', 'regions'])
def test_loading__refuses_the_map_of_another_image(tmp_path, images, kind,
                                                   noted):
    path = tmp_path / 'maps' / '0001.png'
    if noted:
        claim_maps(tmp_path / 'maps', {path: images[0]})
    if kind == 'groups':
        write_groups(path, IDS, 3)
        load = LoadGroups(str(path.parent))
    else:
        write_segments(path, IDS)
        load = LoadOverSegmentation(str(path.parent))

    def results(image):
        return dict(img=np.zeros((6, 8, 3), np.uint8), img_path=image)

    if noted:  # not even the first one is taken
        with pytest.raises(ValueError, match='got that of .*train/0001'):
            load(results(images[1]))
    for _ in range(2):
        assert load(results(images[0]))['seg_fields']
    with pytest.raises(ValueError, match='in a separate folder'):
        load(results(images[1]))


def test_converter__refuses_images_of_an_earlier_run(tmp_path, images):
    pytest.importorskip('skimage')

    def run(folder):
        return subprocess.run(
            [sys.executable, TOOL, tmp_path / folder, tmp_path / 'out'],
            capture_output=True, text=True)

    assert run('train').returncode == 0
    assert json.loads((tmp_path / 'out' / OWNERS).read_text()) == {
        '0001.png': images[0]}
    assert run('train').returncode == 0
    done = run('val')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'got that of' in done.stderr
