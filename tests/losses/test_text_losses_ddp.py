"""Two gloo processes equal one on the joint batch (T20 of the reference)."""
import pytest
import torch
from distributed import run_ranks
from losses.text_jobs import OPTIONS, SIZES, job, joint, share, step

pytestmark = pytest.mark.ddp


@pytest.fixture(scope='module')
def ranks():
    """What both ranks got."""
    return run_ranks(job)


@pytest.mark.parametrize('name', [name for name in OPTIONS
                                  if name != 'apart'])
def test_text_losses__two_ranks_equal_one_process(ranks, name):
    options, sizes = OPTIONS[name]
    want = step(joint(sizes), options)
    first, second = (rank[name] for rank in ranks)
    mean = (first['sentence'] + second['sentence']) / 2
    assert mean == pytest.approx(want['sentence'], rel=1e-9)
    for key, value in want['noun'].items():
        got = (first['noun'][key] + second['noun'][key]) / 2
        assert got == pytest.approx(value, rel=1e-6), key
        if 'loss' not in key:
            assert first['noun'][key] == second['noun'][key]
    for grad, *parts in zip(want['grads'], first['grads'], second['grads']):
        assert grad.abs().max() > 1e-3
        assert torch.allclose(sum(parts) / 2, grad, rtol=1e-6, atol=1e-9)


def test_text_losses__rank_without_nouns_has_loss_zero(ranks):
    assert ranks[1]['no_nouns']['noun']['loss_n2r'] == 0


def test_text_losses__without_gathering_other_ranks_are_no_negatives(ranks):
    both = [rank['apart'] for rank in ranks]
    alone = [
        step(share(rank, SIZES), OPTIONS['apart'][0]) for rank in range(2)]
    nouns = [5, 2]
    want = sum(
        count * one['noun']['loss_n2r'] for count, one in zip(nouns, alone))
    assert sum(one['noun']['loss_n2r'] for one in both) / 2 == pytest.approx(
        want / sum(nouns))
