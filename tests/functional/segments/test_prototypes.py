"""Segments and prototypes against torch.unique and loops."""
import pytest
import torch
from dispatch import CallCounter
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpixsort.functional.segments.prototypes import (CODE_BASE, find_segments,
                                                      join_codes, prototypes)


@settings(max_examples=60, deadline=None)
@given(codes=st.lists(st.integers(-1, 9), max_size=40),
       limit=st.integers(1, 14))
def test_find_segments__equals_unique(codes, limit):
    codes = torch.tensor(codes, dtype=torch.long)
    found = find_segments(codes, limit)
    unique, counts = codes[codes >= 0].unique(return_counts=True)
    assert found.num_found == len(unique)
    if len(unique) > limit:  # the largest stay, of equal ones the first
        order = sorted(range(len(unique)), key=lambda i: -int(counts[i]))
        kept = sorted(order[:limit])
        unique, counts = unique[kept], counts[kept]
    assert found.codes[:len(unique)].tolist() == unique.tolist()
    assert found.areas[:len(unique)].tolist() == counts.tolist()
    assert (found.codes[len(unique):] == -1).all()
    assert (found.areas[len(unique):] == 0).all()
    table = {int(c): i for i, c in enumerate(unique)}
    assert found.segment_ids.tolist() == [
        table.get(int(c), -1) for c in codes]


def test_find_segments__calls_and_no_sync():
    with CallCounter() as counter:
        find_segments(torch.randint(-1, 50, (5000, )), 100)
    assert counter.syncs == 0, counter.counts
    assert counter.calls <= 50, counter.counts


def test_join_codes__keeps_the_label_and_what_takes_no_part():
    code = join_codes(torch.tensor([1, 1, 0]), torch.tensor([3, -1, 0]),
                      torch.tensor([5, 5, 2]))
    assert (code >= 0).tolist() == [True, False, True]
    assert (code[[0, 2]] % CODE_BASE).tolist() == [5, 2]


def column(*values):
    return torch.tensor(values)


@pytest.mark.parametrize('parts', [
    [[2**62, 2**62 - 1]],
    [[2**47 - 1, 2**47 - 2, 0], [2**16 - 1, 2**16 - 1, 2**16 - 1]],
    [[2**31 - 1, 0, 0], [0, 2**16 - 1, 0], [2**16 - 1] * 3],
    [[2**15 - 1, 0, 2**15 - 1], [1, 2**16 - 1, 0], [1, 1, 1], [1, 1, 1]],
])
@pytest.mark.parametrize('known', [False, True])
def test_join_codes__largest_numbers_that_fit(parts, known):
    bounds = [max(part) + 1 for part in parts] if known else None
    code = join_codes(*map(torch.tensor, parts), bounds=bounds)
    assert (code >= 0).all() and len(code.unique()) == len(code)
    if len(parts) > 1:
        assert (code % CODE_BASE).tolist() == parts[-1]


@pytest.mark.parametrize('parts, text', [
    ([40000, 1, 1, 1], r'`parts\[0\]` of 4 must be below 32768, got 40000'),
    ([2**31, 1, 1], r'`parts\[0\]` of 3 must be below 2147483648, got'),
    ([2**47, 1], r'`parts\[0\]` of 2 must be'),
    ([1, 2**16], r'`parts\[1\]` of 2 must be below 65536, got 65536'),
    ([1, 70000, 1], r'`parts\[1\]` of 3 must be below 65536, got 70000'),
    ([1, 1, 1, 2**16], r'`parts\[3\]` of 4'),
    ([1, 1, 1, 1, 1], 'one to four'),
])
def test_join_codes__numbers_that_do_not_fit(parts, text):
    with pytest.raises(ValueError, match=text):
        join_codes(*map(column, parts))
    with pytest.raises(ValueError, match=text):
        join_codes(*map(column, [0] * len(parts)),
                   bounds=[part + 1 for part in parts])


def test_join_codes__bounds_need_no_look_and_nothing_has_none():
    parts = column(1, 2), column(3, -5)
    with CallCounter() as counter:
        got = join_codes(*parts, bounds=(3, 4))
    assert counter.syncs == 0, counter.counts
    assert torch.equal(got, join_codes(*parts))
    assert join_codes(column().long(), column().long()).tolist() == []
    with pytest.raises(ValueError, match='one number for each in `bounds`'):
        join_codes(*parts, bounds=(3, ))


@pytest.mark.parametrize('seed', range(3))
def test_prototypes__equal_loop(seed):
    g = torch.Generator().manual_seed(seed)
    rows = torch.randn(30, 4, generator=g).double()
    ids = torch.randint(-1, 5, (30, ), generator=g)
    rows[ids < 0] = float('nan')
    got = prototypes(rows, ids, 6)
    for p in range(6):
        total = sum((rows[i] for i in range(30) if ids[i] == p),
                    torch.zeros(4).double())
        want = total / total.norm() if total.norm() > 0 else total
        assert torch.allclose(got[p], want)


def test_prototypes__gradient():
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(9, 3, generator=g).double().requires_grad_()
    ids = torch.tensor([0, 0, 1, -1, 1, 1, 3, 3, 0])
    assert torch.autograd.gradcheck(
        lambda r: prototypes(r, ids, 4)[[0, 1, 3]], (rows, ))
