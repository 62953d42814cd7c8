"""Spreads and paired differences against closed forms."""
import math

import pytest

from mmpixsort.apis.study.statistics import difference, spread


def test_spread__is_mean_and_sample_deviation():
    found = spread({0: 1., 1: 2., 2: 6.})
    assert found.mean == pytest.approx(3)
    assert found.sd == pytest.approx(math.sqrt(7))
    assert found.count == 3
    assert math.isnan(spread({4: 1.}).sd)


def test_difference__is_paired_by_seed():
    # differences 1, 2, 3; t of 2 degrees of freedom at 97.5 % is 4.302653
    base = {0: 10., 1: 20., 2: 30., 9: 0.}
    found = difference({0: 11., 1: 22., 2: 33., 5: 99.}, base)
    assert found.mean == pytest.approx(2) and found.count == 3
    half = 4.302653 / math.sqrt(3)
    assert found.by_t == pytest.approx((2 - half, 2 + half), abs=1e-5)
    low, high = found.by_bootstrap
    assert 1 <= low < 2 < high <= 3


def test_difference__has_no_interval_of_one_seed_and_none_of_none():
    found = difference({0: 3.}, {0: 1., 1: 2.})
    assert found == (2., 1, None, None)
    assert difference({0: 3.}, {1: 1.}) is None
    assert difference({0: 2., 1: 3.}, {0: 1., 1: 2.}).by_t == (1., 1.)


def test_difference__covers_the_truth_as_often_as_it_says():
    import numpy as np
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        values = rng.normal(1., 2., size=5)
        found = difference(dict(enumerate(values)),
                           dict.fromkeys(range(5), 0.))
        hits += found.by_t[0] < 1 < found.by_t[1]
    assert 180 <= hits <= 199
