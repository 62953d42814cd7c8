import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/dataset_converters/sbd_masks.py'


def run(*words):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, words)], capture_output=True,
        text=True, check=False, env={**os.environ, 'PYTHONPATH': str(ROOT)})


@pytest.fixture
def release(tmp_path):
    """Write two files as the release has them."""
    scipy_io = pytest.importorskip('scipy.io')
    maps = {}
    for folder, struct in (('cls', 'GTcls'), ('inst', 'GTinst')):
        (tmp_path / 'dataset' / folder).mkdir(parents=True)
        for i, name in enumerate(('2008_000001', '2008_000002')):
            labels = np.arange(12, dtype=np.uint8).reshape(3, 4) % (3 + i)
            maps[folder, name] = labels
            scipy_io.savemat(
                tmp_path / 'dataset' / folder / f'{name}.mat',
                {struct: dict(Segmentation=labels, Boundaries=0)})
    return tmp_path / 'dataset', maps


def test_sbd_masks__writes_the_maps_and_resumes(release, tmp_path):
    dataset, maps = release
    done = run(dataset, tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    for (folder, name), labels in maps.items():
        target = dict(cls='SegmentationClass',
                      inst='SegmentationObject')[folder]
        found = cv2.imread(str(tmp_path / 'out' / target / f'{name}.png'),
                           cv2.IMREAD_UNCHANGED)
        assert np.array_equal(found, labels)
    (tmp_path / 'out/SegmentationClass/2008_000001.png').unlink()
    done = run(dataset, tmp_path / 'out')
    assert '1 maps written, 1 existed' in done.stdout
    assert '0 maps written, 2 existed' in done.stdout


def test_sbd_masks__bad_input(release, tmp_path):
    dataset, _ = release
    done = run(tmp_path, tmp_path / 'out')
    assert done.returncode == 1 and 'no .mat file' in done.stderr
    (dataset / 'cls/2008_000001.mat').write_bytes(
        (dataset / 'inst/2008_000001.mat').read_bytes())
    done = run(dataset, tmp_path / 'out')
    assert done.returncode == 1 and '`GTcls`' in done.stderr
