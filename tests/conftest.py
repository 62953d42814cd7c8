"""What every test may use."""
import logging
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config):
    """Keep tests of several processes from fighting over the cores."""
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    # stands in for compiled operators of mmcv that are not here, which must
    # happen before a test imports a host, whatever test comes first
    import mmpixsort  # noqa: F401


def pytest_collection_modifyitems(config, items):
    """Skip what needs a GPU where there is none."""
    if not any(item.get_closest_marker('gpu') for item in items):
        return
    import torch
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason='no CUDA device')
    for item in items:
        if item.get_closest_marker('gpu'):
            item.add_marker(skip)


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Real data beside the checkout; its test is skipped where it is absent.

    MMPIXSORT_DATA names another folder.
    """
    named = os.environ.get('MMPIXSORT_DATA')
    folder = Path(named) if named else ROOT.parent / 'shared' / 'data'
    if not folder.is_dir():
        pytest.skip(f'no real data at {folder} (set MMPIXSORT_DATA)')
    return folder


@pytest.fixture(scope='session')
def shared_fixtures() -> Path:
    """Published numbers beside the checkout, else the test is skipped."""
    folder = ROOT.parent / 'shared' / 'fixtures'
    if not folder.is_dir():
        pytest.skip(f'no recorded numbers at {folder}')
    return folder


@pytest.fixture
def one_thread():
    """Sum in one order: bit-equality needs it."""
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def warnings_of_log():
    """Collect what the current logger of mmengine warns of."""
    from mmengine.logging import MMLogger
    said = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield said
    logger.removeHandler(handler)
