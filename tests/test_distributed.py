"""Two gloo processes: equal banks, empty ranks, no unused parameter."""
import pytest
import rank_jobs
import torch
from distributed import run_ranks

from mmpixsort.compat import family

pytestmark = pytest.mark.ddp


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """Results of all jobs on each of two ranks."""
    work_dir = tmp_path_factory.mktemp('ranks') / 'run'
    return run_ranks(rank_jobs.everything, work_dir=str(work_dir))


def test_bank__of_two_ranks_is_that_of_one_on_the_joint_batch(ranks):
    joint = rank_jobs.queue()
    for step in range(4):
        parts = [rank_jobs.rows(rank, step) for rank in range(2)]
        pixels, regions = parts[0].sections
        split = [slice(0, pixels), slice(pixels, None)]
        joint.enqueue(
            torch.cat([p.embeddings[s] for s in split for p in parts]),
            torch.cat([p.labels[s] for s in split for p in parts]),
            (2 * pixels, 2 * regions))
    assert joint.written.max() > 5  # the rings have wrapped
    for name, value in joint.state_dict().items():
        for rank in ranks:
            assert torch.equal(rank['fill'][name], value), name


@pytest.mark.parametrize('scenario', rank_jobs.SCENARIOS)
def test_training__banks_and_weights_agree(ranks, scenario):
    first, second = (rank['steps'][scenario] for rank in ranks)
    for name, value in first['state'].items():
        if 'running' not in name:  # BN of each rank
            assert torch.equal(value, second['state'][name]), name
    assert first['losses'][-1] > 0
    if 'empty' in scenario:
        assert second['losses'] == [0.] * 4


def test_nan_on_one_rank__raises_on_all(ranks):
    assert all('since iteration 3' in rank['nan'] for rank in ranks)


@pytest.mark.skipif(
    family() != 'classic', reason='onedl does not replay the loader')
def test_resume__two_ranks_equal_the_unbroken_run(ranks):
    for rank in ranks:
        whole, rest = rank['resume']
        for name, value in whole.items():
            # a checkpoint of the host holds the BN statistics of rank 0
            if 'running' not in name:
                assert torch.equal(value, rest[name]), name
