"""Region biases and the attention step: T10, T14, T15 of the reference."""
import math

import pytest
import torch
from references import sine_rows

from mmpixsort.functional.words.region_attention import (confinement_bias,
                                                         outside_bias,
                                                         region_attention,
                                                         region_bias,
                                                         region_members)

INF = float('inf')


def attend_loop(queries, own_keys, own_values, keys, values, bias):
    """One token, one head at a time, in float64."""
    out = torch.zeros_like(queries)
    for b in range(queries.shape[0]):
        for m in range(queries.shape[1]):
            for k in range(queries.shape[2]):
                rows = [own_keys[b, m, k], *keys[b, m]]
                read = [own_values[b, m, k], *values[b, m]]
                logits = [
                    float(queries[b, m, k] @ row) / math.sqrt(len(row)) +
                    float(bias[b, k, i]) for i, row in enumerate(rows)
                ]
                top = max(logits)
                weights = [math.exp(logit - top) for logit in logits]
                for weight, value in zip(weights, read):
                    out[b, m, k] += weight / sum(weights) * value
    return out


def random_parts(seed, batch=2, heads=3, count=4, length=5, dims=6):
    g = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, heads, n, dims, generator=g, dtype=torch.float64)
        for n in (count, count, count, length, length)
    ]


@pytest.mark.parametrize('outside, total, start', [
    (-INF, .594921, [.885087, -.194002, -.442011]),
    (-2., .577417, None),
    (0., .492377, None),
])
def test_region_attention__fixture_t10(outside, total, start):
    rows = sine_rows(6, 8)[None, None]
    regions, patches = rows.split([2, 4], dim=2)
    members = region_members(torch.tensor([[0, 0, 1, 1]]), 2)
    bias = region_bias(members, outside=outside, cls_bias=None)
    got = region_attention(regions, regions, regions, patches, patches, bias)
    assert got.sum() == pytest.approx(total, abs=1e-5)
    if start is not None:
        assert got[0, 0, 0, :3].tolist() == pytest.approx(start, abs=1e-5)
    # the patches read one another and no region, whatever the bias
    stream = torch.nn.functional.scaled_dot_product_attention(
        patches, patches, patches)
    assert stream.sum() == pytest.approx(.373653, abs=1e-5)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('outside', [-INF, -2., 0.])
def test_region_attention__equals_loop(seed, outside):
    parts = random_parts(seed)
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(-1, 4, (2, 4), generator=g)
    bias = region_bias(
        region_members(ids, 4), outside=outside, cls_bias=-1.,
        dtype=torch.float64)
    assert torch.allclose(
        region_attention(*parts, bias), attend_loop(*parts, bias),
        atol=1e-12)


def test_region_attention__empty_region_is_its_own_value():
    queries, own_keys, own_values, keys, values = random_parts(0)
    members = torch.zeros(2, 4, 5, dtype=torch.bool)
    bias = region_bias(members, outside=-INF, cls_bias=None)
    parts = [p.requires_grad_() for p in (queries, own_keys, own_values,
                                          keys, values)]
    got = region_attention(*parts, bias)
    assert torch.equal(got, own_values)
    got.sum().backward()
    assert all(part.grad.isfinite().all() for part in parts)
    assert not keys.grad.any() and not values.grad.any()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_region_attention__half_precision(dtype):
    parts = random_parts(1)
    bias = region_bias(
        region_members(torch.tensor([[0, 0, 1, 2, -1]] * 2), 4),
        outside=-INF, cls_bias=None)
    got = region_attention(*(part.to(dtype) for part in parts), bias)
    assert got.dtype == dtype
    want = region_attention(*parts, bias)
    assert torch.allclose(got.double(), want, atol=.05)


def test_region_attention__gradcheck():
    parts = [part.requires_grad_() for part in random_parts(
        2, batch=1, heads=1, count=2, length=3, dims=2)]
    bias = region_bias(
        region_members(torch.tensor([[0, 0, -1]]), 2), outside=-INF,
        cls_bias=None, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda *parts: region_attention(*parts, bias), parts)


@pytest.mark.parametrize('dtype', [torch.bool, torch.long])
def test_region_attention__bool_bias(dtype):
    bias = torch.zeros(2, 4, 6, dtype=dtype)
    with pytest.raises(TypeError, match='`bias` must be floating, got'):
        region_attention(*random_parts(0), bias)


def test_region_attention__bias_of_another_shape():
    with pytest.raises(ValueError, match=r'`bias` must have shape \(2, 4, 6'):
        region_attention(*random_parts(0), torch.zeros(2, 4, 5))


@pytest.mark.parametrize('context, want', [
    ('hard', [-INF, -INF, -INF]),
    ('isolated', [-INF, -INF, -INF]),
    ('late', [0., 0., -INF]),
    ('soft', [-3., -3., -3.]),
    ('none', [0., 0., 0.]),
])
def test_outside_bias__of_every_context(context, want):
    got = [
        outside_bias(context, layer=i, start_layer=2, soft_bias=3.)
        for i in range(3)
    ]
    assert got == want


@pytest.mark.parametrize('changes, error', [
    (dict(context='half'), '`context` must be one of hard, late'),
    (dict(context='soft', soft_bias=-1.), '`soft_bias` must not be negative'),
])
def test_outside_bias__bad_input(changes, error):
    with pytest.raises(ValueError, match=error):
        outside_bias(**changes)


def test_region_bias__every_row_has_an_open_key():
    members = torch.zeros(1, 3, 4, dtype=torch.bool)
    bias = region_bias(members, outside=-INF)
    assert bias.shape == (1, 3, 6)
    assert (bias[:, :, 0] == 0).all() and (bias[:, :, 1:] == -INF).all()


def test_region_members__padding_and_unused_ids():
    got = region_members(torch.tensor([[-1, 0, 2, 7]]), 3)
    assert got.nonzero().tolist() == [[0, 0, 1], [0, 2, 2]]


@pytest.mark.parametrize('ids', [torch.zeros(2, 3), torch.zeros(
    2, 3, 3, dtype=torch.long)])
def test_region_members__bad_input(ids):
    with pytest.raises(ValueError, match='`ids` must be integers of shape'):
        region_members(ids, 2)


def test_confinement_bias__is_of_blocks():
    bias = confinement_bias(torch.tensor([[0, 1, 0, -1]]))
    want = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert (bias[0] == 0).long().tolist() == want
    assert (bias[0] == -INF).long().tolist() == [
        [1 - x for x in row] for row in want]
