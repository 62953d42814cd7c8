"""Mining against sorting by hand."""
import pytest
import torch

from mmpixsort.functional.contrast.mining import (hardest_pairs,
                                                  random_hard_pairs,
                                                  random_pairs)
from mmpixsort.samplers import KeyMiner


def _pairs(seed=0, rows=6, keys=40):
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(rows, keys, generator=g),
            torch.rand(rows, keys, generator=g) < 0.6)


@pytest.mark.parametrize('num_pairs', [1, 5, 39, 100])
def test_hardest_pairs__equals_sorting(num_pairs):
    hardness, mask = _pairs()
    got = hardest_pairs(hardness, mask, num_pairs)
    for row in range(len(mask)):
        index = mask[row].nonzero().flatten().tolist()
        want = sorted(index, key=lambda k: -hardness[row, k])[:num_pairs]
        assert got[row].nonzero().flatten().tolist() == sorted(want)


@pytest.mark.parametrize('fraction', [0.01, 0.1, 0.5, 1.])
def test_random_hard_pairs__all_of_them_equal_sorting(fraction):
    hardness, mask = _pairs(1)
    got = random_hard_pairs(hardness, mask, 1000, fraction)
    for row in range(len(mask)):
        index = mask[row].nonzero().flatten().tolist()
        size = max(1, int(torch.tensor(len(index) * fraction).ceil()))
        want = sorted(index, key=lambda k: -hardness[row, k])[:size]
        assert got[row].nonzero().flatten().tolist() == sorted(want)


def test_random_pairs__counts_and_uniformity():
    mask = torch.zeros(500, 8, dtype=torch.bool)
    mask[:, :6] = True
    g = torch.Generator().manual_seed(0)
    got = random_pairs(mask, 3, g)
    assert (got.sum(1) == 3).all() and not got[:, 6:].any()
    # binomial(500, 1/2): deviation 11.2
    assert (got[:, :6].sum(0) - 250).abs().max() < 5 * 11.2


def test_random_hard_pairs__counts_and_uniformity():
    hardness = torch.arange(10.).expand(500, -1)
    mask = hardness < 8
    g = torch.Generator().manual_seed(0)
    got = random_hard_pairs(hardness, mask, 2, .5, g)
    assert (got.sum(1) == 2).all()
    counts = got.sum(0)
    assert counts[[0, 1, 2, 3, 8, 9]].sum() == 0
    # binomial(500, 1/2): deviation 11.2
    assert (counts[4:8] - 250).abs().max() < 5 * 11.2


def test_random_pairs__no_pair_stays_none():
    hardness, mask = _pairs()
    mask[2] = False
    assert not random_hard_pairs(hardness, mask, 4, 0.1)[2].any()
    assert not random_pairs(mask, 3)[2].any()


def test_key_miner__semi_hard_is_inside_the_pool():
    similarity, mask = _pairs(2, keys=200)
    miner = KeyMiner(strategy='semi_hard', num_positives=4, num_negatives=6)
    positive, negative = miner(similarity, mask, ~mask)
    for kept, hardness, pairs in ((positive, -similarity, mask),
                                  (negative, similarity, ~mask)):
        pool = random_hard_pairs(hardness, pairs, 200, 0.1)
        assert not (kept & ~pool).any()
    assert (positive.sum(1) == 4).all() and (negative.sum(1) == 6).all()


@pytest.mark.parametrize('change, text', [
    (dict(strategy='easy'), '`strategy` must be one of'),
    (dict(num_positives=0), '`num_positives` must be at least 1'),
    (dict(hard_fraction=1.5), '`hard_fraction` must be at most 1'),
])
def test_key_miner__bad_input(change, text):
    with pytest.raises(ValueError, match=text):
        KeyMiner(**change)
