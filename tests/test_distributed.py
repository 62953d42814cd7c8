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
        joint.enqueue(
            torch.cat([rows for both in zip(*(
                p.embeddings.split(p.sections) for p in parts))
                       for rows in both]),
            torch.cat([rows for both in zip(*(
                p.labels.split(p.sections) for p in parts))
                       for rows in both]),
            [sum(both) for both in zip(*(p.sections for p in parts))])
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


@pytest.mark.parametrize('how', rank_jobs.SHARES)
@pytest.mark.parametrize('name', rank_jobs.JOINT)
def test_two_ranks__equal_one_process(ranks, name, how):
    """Loss, gradient as DDP averages it, and bank of the joint batch.

    Void pixels, images without instance and numbers of images differ.
    """
    joint = rank_jobs.joint(name, slice(None))
    shares = [rank['joint'][name, how] for rank in ranks]
    for step, loss in enumerate(joint['losses']):
        mean = sum(share['losses'][step] for share in shares) / 2
        assert mean == pytest.approx(loss, rel=1e-5)
    for grad, *parts in zip(joint['grads'], *(s['grads'] for s in shares)):
        assert torch.allclose(sum(parts) / 2, grad, rtol=1e-4, atol=1e-6)
    assert max(grad.abs().max() for grad in joint['grads']) > 0
    if joint['bank'] is not None:
        whole = _entries(joint['bank'])
        for share in shares:
            assert torch.allclose(_entries(share['bank']), whole, atol=1e-6)


def test_text_grouping__weights_agree_beside_a_rank_without_captions(ranks):
    first, second = (rank['text'] for rank in ranks)
    for name, value in first['state'].items():
        if 'running' not in name:  # BN of each rank
            assert torch.equal(value, second['state'][name]), name
    # the loss of a rank is that of its nouns among the nouns of all, times
    # the ranks
    assert first['losses'][0] > 0 and second['losses'] == [0.] * 3


@pytest.mark.parametrize('name', rank_jobs.DETECTORS)
def test_detectors__weights_agree_beside_an_empty_rank(ranks, name):
    first, second = (rank['detectors'][name] for rank in ranks)
    for name, value in first['state'].items():
        if 'running' not in name:  # BN of each rank
            assert torch.equal(value, second['state'][name]), name
    assert min(first['losses']) > 0 and second['losses'] == [0.] * 3


def _entries(bank):
    """Keys beside labels, sorted."""
    used = bank['labels'] >= 0
    rows = torch.cat([bank['labels'][used, None], bank['keys'][used]], 1)
    assert len(rows) > 20
    return rows[rows[:, 1].argsort()]


@pytest.mark.skipif(
    family() != 'classic', reason='onedl does not replay the loader')
@pytest.mark.parametrize('scenario', rank_jobs.RESUMED)
def test_resume__two_ranks_equal_the_unbroken_run(ranks, scenario):
    for rank in ranks:
        whole, rest = rank['resume'][scenario]
        for name, value in whole.items():
            # a checkpoint of the host holds the BN statistics of rank 0
            if 'running' not in name:
                assert torch.equal(value, rest[name]), name
