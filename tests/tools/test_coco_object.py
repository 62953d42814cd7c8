"""tools/dataset_converters/coco_object.py: labels from instances."""
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('pycocotools')
from pycocotools.coco import COCO  # noqa: E402

TOOL = Path(__file__).resolve().parents[2].joinpath(
    'tools', 'dataset_converters', 'coco_object.py')
# as in COCO, ids have gaps
CATEGORIES = [dict(id=ident) for ident in range(2, 162, 2)]


def _box(left, top, right, bottom):
    return [[left, top, right, top, right, bottom, left, bottom]]


def _entry(ident, category, outline, area, **extra):
    return dict(id=ident, image_id=5, category_id=category, area=area,
                segmentation=outline, **extra)


def _write(path, entries, categories=CATEGORIES):
    path.write_text(json.dumps(dict(
        images=[dict(id=5, file_name='a.jpg', height=20, width=30),
                dict(id=6, file_name='b.jpg', height=4, width=4)],
        annotations=entries, categories=categories)))
    return path


def _run(*words):
    return subprocess.run([sys.executable, TOOL, *map(str, words)],
                          capture_output=True, text=True, check=False)


def _labels(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_coco_object__small_on_top_and_crowds_lowest(tmp_path):
    # a crowd in plain runs of columns: all of the first five
    crowd = dict(size=[20, 30], counts=[0, 100, 500])
    source = _write(tmp_path / 'x.json', [
        _entry(1, 4, _box(2, 2, 6, 6), 16),
        _entry(2, 160, _box(0, 0, 20, 10), 200),
        _entry(3, 2, crowd, 100, iscrowd=1),
        _entry(4, 6, [], 0)])
    out = tmp_path / 'out'
    done = _run(source, out)
    assert done.returncode == 0, done.stderr
    expected = np.zeros((20, 30), np.uint8)
    expected[:, :5] = 1
    expected[:10, :20] = 80
    expected[2:6, 2:6] = 2
    found = _labels(out / 'a.png')
    assert found.dtype == np.uint8 and np.array_equal(found, expected)
    assert not _labels(out / 'b.png').any()
    assert '2 label maps written' in done.stdout


def test_coco_object__resumes(tmp_path):
    source = _write(tmp_path / 'x.json', [])
    out = tmp_path / 'out'
    _run(source, out)
    before = (out / 'a.png').stat().st_mtime_ns
    (out / 'b.png').unlink()
    done = _run(source, out)
    assert '1 label maps written, 1 existed' in done.stdout
    assert (out / 'a.png').stat().st_mtime_ns == before
    assert sorted(p.name for p in out.iterdir()) == ['a.png', 'b.png']


@pytest.mark.parametrize('content, text', [
    (json.dumps(dict(images=[])), '`annotations`'), ('{', 'error'),
    (json.dumps(dict(images=[], annotations=[], categories=[])),
     'the 80 categories of COCO, got 0'),
    (json.dumps(dict(images=[dict(id=0, file_name='a.jpg', width=4)],
                     annotations=[], categories=CATEGORIES)),
     'must have `height`, got'),
    (json.dumps(dict(images=[], categories=CATEGORIES,
                     annotations=[dict(id=7, image_id=0)])),
     'must have `category_id`, `area`, `segmentation`, got'),
    (json.dumps(dict(images=[], categories=CATEGORIES, annotations=[dict(
        id=7, image_id=0, category_id=999, area=1, segmentation=[])])),
     'annotation 7 of')])
def test_coco_object__names_what_is_wrong(tmp_path, content, text):
    source = tmp_path / 'x.json'
    source.write_text(content)
    done = _run(source, tmp_path / 'out')
    assert done.returncode != 0 and text in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('name', ['../touched.jpg', '/tmp/touched.jpg'])
def test_coco_object__writes_nothing_outside_its_folder(tmp_path, name):
    source = tmp_path / 'x.json'
    _write(source, [])
    content = json.loads(source.read_text())
    content['images'] = [dict(id=1, file_name=name, height=4, width=4)]
    source.write_text(json.dumps(content))
    done = _run(source, tmp_path / 'a' / 'out')
    assert done.returncode != 0 and 'stay inside' in done.stderr
    assert not list(tmp_path.rglob('touched*'))


def test_coco_object__equals_pycocotools(tmp_path, shared_data, capsys):
    source = shared_data.joinpath(
        'coco_mini', 'annotations', 'instances_val.json')
    if not source.is_file():
        pytest.skip(f'no {source}')
    done = _run(source, tmp_path)
    assert done.returncode == 0, done.stderr
    coco = COCO(str(source))
    ids = sorted(coco.cats)
    for image in coco.loadImgs(coco.getImgIds()):
        entries = coco.loadAnns(coco.getAnnIds(image['id']))
        labels = _labels(tmp_path / image['file_name'].replace('jpg', 'png'))
        covered = np.zeros(labels.shape, bool)
        for entry in entries:
            covered |= coco.annToMask(entry).astype(bool)
        assert np.array_equal(labels > 0, covered)
        shown = set(np.unique(labels)) - {0}
        assert shown <= {ids.index(e['category_id']) + 1 for e in entries}
