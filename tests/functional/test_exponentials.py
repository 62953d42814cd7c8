import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpixsort.functional.exponentials import FLOOR, exp_, log_sum_exp


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1., 30., 300.]),
       masked=st.sampled_from([0., .5, 1.]))
def test_log_sum_exp__equals_that_of_torch(seed, scale, masked):
    random = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(
        4, 50, generator=random, dtype=torch.float64)
    gone = torch.rand(4, 50, generator=random) < masked
    logits.masked_fill_(gone, -1e30)
    kept = logits.clone()
    assert torch.allclose(
        log_sum_exp(logits), logits.logsumexp(1), rtol=1e-14)
    assert torch.equal(logits, kept)


def test_log_sum_exp__no_keys():
    assert log_sum_exp(torch.zeros(3, 0)).tolist() == 3 * [-torch.inf]


def test_exp__in_place_with_a_floor():
    logits = torch.tensor([0., -1., FLOOR, -1e30, torch.nan])
    got = exp_(logits)
    assert got is logits
    assert got[:3].tolist() == pytest.approx(
        torch.tensor([0., -1., FLOOR]).exp().tolist())
    assert 0 <= got[3] < 1e-34 and got[4].isnan()
