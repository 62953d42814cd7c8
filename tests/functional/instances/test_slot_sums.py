import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpixsort.functional.instances.slot_sums import LANES, SlotSums


def sums_by_loop(slots, values, count):
    table = values.new_zeros(*values.shape[:2], count)
    for b in range(values.shape[0]):
        for i in range(values.shape[2]):
            table[b, :, slots[b, i]] += values[b, :, i]
    return table


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), num_slots=st.integers(0, 6),
       step=st.sampled_from([3, 8, 50, 64, 100]))
def test_slot_sums__equal_a_loop(seed, num_slots, step):
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(
        2, 3, 70, generator=random, dtype=torch.float64)
    slots = torch.randint(num_slots + 1, (2, 70), generator=random)
    sums = SlotSums(values, channels=3, num_slots=num_slots, step=step)
    for start in range(0, 70, step):
        part = slice(start, start + step)
        sums.add(slots[:, part], values[:, :1, part], values[:, 1:, part])
    want = sums_by_loop(slots, values, num_slots + 1)
    assert torch.allclose(sums.total(), want, atol=1e-12)


def test_slot_sums__products_for_exact_repeats_on_a_gpu():
    values, slots = torch.randn(2, 3, 40), torch.randint(6, (2, 40))
    values[slots[:, None].expand(-1, 3, -1) == 5] = torch.nan
    sums = SlotSums(values, channels=3, num_slots=5, step=40)
    sums.lanes, sums.parts = None, torch.zeros(2, 3, 6)
    sums.add_products(slots, values[:, :1], values[:, 1:])
    want = sums_by_loop(slots, values, 6)[..., :5]
    assert torch.allclose(sums.total()[..., :5], want, atol=1e-5)


@pytest.mark.parametrize('num_slots, in_lanes', [(4, True), (400, False)])
def test_slot_sums__lanes_where_slots_are_few(num_slots, in_lanes):
    sums = SlotSums(torch.zeros(1, 2, 9), channels=2, num_slots=num_slots,
                    step=100)
    assert (sums.lanes is not None) == in_lanes
    assert sums.parts.shape[2] == (LANES if in_lanes else 1) * (num_slots + 1)
    assert sums.total().shape == (1, 2, num_slots + 1)
