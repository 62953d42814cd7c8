"""Region tokens beside a tower: T11 to T15 of the reference.

The slow reference is the joint form: all tokens in one sequence under one
mask, by the attention of torch itself.
"""
import pytest
import torch
from tiny_vit import ViTBlock
from torch import nn

from mmpixsort.functional.words.region_attention import outside_bias
from mmpixsort.text.encoders.masked_region_encoder import MaskedRegionEncoder
from mmpixsort.registry import MODELS

INF = float('inf')
WIDTH, REGIONS = 16, 4
IDS = torch.tensor([[0, 0, 1, 2, -1, 1], [2, 0, 0, 0, 1, 1]])


def make_blocks(heads=4, count=3, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    blocks = nn.ModuleList(ViTBlock(WIDTH, heads) for _ in range(count))
    for parameter in blocks.parameters():
        parameter.data += .2 * torch.randn_like(parameter)
    return blocks.to(dtype)


def make_tokens(seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2, 1 + IDS.shape[1], WIDTH, generator=g).to(dtype)


def joint_mask(ids, outside, cls_bias):
    """The bias of one image over [K regions; CLS; P patches]."""
    size = REGIONS + 1 + len(ids)
    mask = torch.zeros(size, size)
    mask[:, :REGIONS] = -INF  # none reads a region,
    for k in range(REGIONS):
        mask[k, k] = 0.  # but each itself
        mask[k, REGIONS] = cls_bias
        for p, region in enumerate(ids.tolist()):
            mask[k, REGIONS + 1 + p] = 0. if region == k else outside
    return mask


def joint_form(blocks, tokens, ids, settings):
    """Run image by image, all tokens of a layer in one attention."""
    context = settings['context']
    start = settings.get('start_layer', 0) % len(blocks)
    first = 0 if context == 'late' else start
    images = []
    for image, numbers in zip(tokens, ids):
        x, plain = None, image[None]
        for layer, block in enumerate(blocks):
            if layer < first:
                plain = block(plain)
                continue
            if x is None:
                x = torch.cat([plain[:, :1].expand(-1, REGIONS, -1), plain],
                              dim=1)
            mask = joint_mask(
                numbers, outside_bias(
                    context, layer=layer, start_layer=start,
                    soft_bias=settings.get('soft_bias', 2.)),
                settings.get('cls_bias', -INF)).to(x.dtype)
            y = block.ln_1(x)
            x = x + block.attn(y, y, y, attn_mask=mask, need_weights=True)[0]
            x = x + block.mlp(block.ln_2(x))
        images.append(x[0])
    joint = torch.stack(images)
    return joint[:, REGIONS:], joint[:, :REGIONS]


SETTINGS = [
    dict(context='hard'),
    dict(context='hard', start_layer=1),
    dict(context='hard', start_layer=-1, cls_bias=0.),
    dict(context='late', start_layer=2),
    dict(context='late', start_layer=-1, cls_bias=-1.),
    dict(context='soft', soft_bias=1.5),
    dict(context='none', cls_bias=0.),
]


@pytest.mark.parametrize('settings', SETTINGS)
@pytest.mark.parametrize('heads', [1, 4])
@pytest.mark.parametrize('training', [False, True])
def test_encoder__equals_joint_form(settings, heads, training):
    blocks = make_blocks(heads).train(training)
    encoder = MaskedRegionEncoder(**settings).train(training)
    want = joint_form(blocks, make_tokens(), IDS, settings)
    got = encoder(blocks, make_tokens(), IDS, REGIONS)
    for one, other in zip(got, want):
        assert torch.allclose(one, other, atol=1e-10)
    with torch.no_grad():  # torch then takes another path in eval mode
        again = encoder(blocks, make_tokens(), IDS, REGIONS)
    for one, other in zip(got, again):
        assert torch.allclose(one, other, atol=1e-10)


def test_encoder__float32_equals_joint_form():
    blocks = make_blocks(dtype=torch.float32)
    tokens = make_tokens(dtype=torch.float32)
    got = MaskedRegionEncoder()(blocks, tokens, IDS, REGIONS)
    want = joint_form(blocks, tokens, IDS, dict(context='hard'))
    for one, other in zip(got, want):
        assert torch.allclose(one, other, atol=1e-5)


def test_encoder__order_of_heads_matters_to_the_joint_form():
    blocks = make_blocks()
    want = joint_form(blocks, make_tokens(), IDS, dict(context='hard'))[1]
    for block in blocks:
        block.attn.num_heads = 2
    got = MaskedRegionEncoder()(blocks, make_tokens(), IDS, REGIONS)[1]
    assert not torch.allclose(got, want, atol=1e-3)


def test_encoder__gradients_equal_those_of_the_joint_form():
    grads = []
    for run in (lambda *x: MaskedRegionEncoder(context='soft')(*x, REGIONS),
                lambda *x: joint_form(*x, dict(context='soft'))):
        blocks, tokens = make_blocks(), make_tokens().requires_grad_()
        out = torch.cat(run(blocks, tokens, IDS), dim=1)
        out.sin().sum().backward()
        grads.append([tokens.grad, *(p.grad for p in blocks.parameters())])
    for one, other in zip(*grads):
        assert torch.allclose(one, other, atol=1e-10)


@pytest.mark.parametrize('settings', [
    *SETTINGS, dict(context='isolated')])
def test_encoder__tower_is_unchanged(settings):
    blocks = make_blocks(dtype=torch.float32)
    tokens = make_tokens(dtype=torch.float32)
    got, _ = MaskedRegionEncoder(**settings)(blocks, tokens, IDS, REGIONS)
    want = tokens
    for block in blocks:
        want = block(want)
    assert torch.equal(got, want)


@pytest.mark.parametrize('context', ['hard', 'soft', 'isolated'])
def test_encoder__region_does_not_depend_on_the_others(context):
    blocks, encoder = make_blocks(), MaskedRegionEncoder(context=context)
    _, full = encoder(blocks, make_tokens(), IDS, REGIONS)
    alone = torch.where(IDS == 1, 0, -1)
    _, got = encoder(blocks, make_tokens(), alone, 1)
    assert torch.allclose(got[:, 0], full[:, 1], atol=1e-10)
    order = torch.tensor([2, 0, 1])
    permuted = torch.where(IDS < 0, -1, order[IDS])
    _, got = encoder(blocks, make_tokens(), permuted, REGIONS)
    assert torch.allclose(got[:, order], full[:, :3], atol=1e-10)


@pytest.mark.parametrize('start_layer', [0, 1, 2])
@pytest.mark.parametrize('depth', [1, 2, 3])
def test_encoder__region_of_all_patches_is_cls(start_layer, depth):
    blocks = make_blocks()[:max(depth, start_layer + 1)]
    ids = torch.zeros_like(IDS)
    tokens, regions = MaskedRegionEncoder(start_layer=start_layer)(
        blocks, make_tokens(), ids, 2)
    assert torch.allclose(regions[:, 0], tokens[:, 0], atol=1e-10)
    _, twice = MaskedRegionEncoder(start_layer=start_layer, cls_bias=0.)(
        blocks, make_tokens(), ids, 2)
    assert not torch.allclose(twice[:, 0], tokens[:, 0], atol=1e-3)


def changed_outside(depth, context):
    """Whether r_1 of image 0 changes with patches of other regions."""
    encoder = MaskedRegionEncoder(context=context)
    blocks = make_blocks(count=depth, dtype=torch.float32)
    tokens = make_tokens(dtype=torch.float32)
    other = tokens.clone()
    other[0, 1:][IDS[0] != 1] += 3.
    before, after = (
        encoder(blocks, x, IDS, REGIONS)[1] for x in (tokens, other))
    assert torch.equal(before[1], after[1])
    return not torch.equal(before[0, 1], after[0, 1])


@pytest.mark.parametrize('context, depth, changes', [
    ('hard', 1, False), ('hard', 2, True), ('soft', 1, True),
    ('none', 1, True), ('isolated', 1, False), ('isolated', 3, False)])
def test_encoder__where_context_comes_from(context, depth, changes):
    assert changed_outside(depth, context) == changes


def test_encoder__isolated_equals_a_run_on_the_patches_of_one_region():
    blocks = make_blocks()
    _, got = MaskedRegionEncoder(context='isolated')(
        blocks, make_tokens(), IDS, REGIONS)
    for b in range(2):
        for k in range(3):
            token = make_tokens()[b:b + 1, :1]
            patches = make_tokens()[b:b + 1, 1:][:, IDS[b] == k]
            for block in blocks:
                seen = block.ln_1(torch.cat([token, patches], dim=1))
                token = token + block.attn(seen[:, :1], seen, seen)[0]
                token = token + block.mlp(block.ln_2(token))
                patches = block(patches)
            assert torch.allclose(got[b, k], token[0, 0], atol=1e-10)


def test_encoder__limits_of_soft():
    def regions(**settings):
        return MaskedRegionEncoder(**settings)(
            make_blocks(), make_tokens(), IDS, REGIONS)[1]
    hard, none = regions(context='hard'), regions(context='none')
    soft = [regions(context='soft', soft_bias=x) for x in (1e-9, 1., 200.)]
    assert torch.allclose(soft[0], none, atol=1e-7)
    assert torch.allclose(soft[2], hard, atol=1e-10)
    assert not torch.allclose(soft[1], hard, atol=1e-3)
    assert not torch.allclose(soft[1], none, atol=1e-3)


def test_encoder__late_is_hard_from_the_same_layer_while_cls_is_closed():
    late, hard, open_late, open_hard = (
        MaskedRegionEncoder(context=context, start_layer=1, cls_bias=bias)(
            make_blocks(), make_tokens(), IDS, REGIONS)[1]
        for bias in (-INF, 0.) for context in ('late', 'hard'))
    assert torch.equal(late, hard)
    assert not torch.allclose(open_late, open_hard, atol=1e-3)


@pytest.mark.parametrize('context', ['hard', 'isolated'])
def test_encoder__empty_regions_and_no_region_at_all(context):
    tokens = make_tokens().requires_grad_()
    out, regions = MaskedRegionEncoder(context=context)(
        make_blocks(), tokens, torch.full_like(IDS, -1), REGIONS)
    assert regions.isfinite().all()
    (out.sum() + regions.sum()).backward()
    assert tokens.grad.isfinite().all()


@pytest.mark.parametrize('context', ['hard', 'isolated'])
def test_encoder__autocast(context):
    blocks = make_blocks(dtype=torch.float32)
    tokens = make_tokens(dtype=torch.float32)
    encoder = MaskedRegionEncoder(context=context)
    _, want = encoder(blocks, tokens, IDS, REGIONS)
    with torch.autocast('cpu', torch.bfloat16):
        _, got = encoder(blocks, tokens, IDS, REGIONS)
    assert torch.allclose(got.float(), want, atol=.3)


def test_encoder__builds_from_a_config():
    encoder = MODELS.build(dict(
        type='mmpixsort.MaskedRegionEncoder', context='soft', soft_bias=4.))
    assert not list(encoder.parameters()) and encoder.soft_bias == 4.


@pytest.mark.parametrize('changes, error', [
    (dict(context='half'), '`context` must be one of'),
    (dict(soft_bias=-1.), '`soft_bias` must not be negative'),
    (dict(context='late'), "`start_layer` must not be 0 with the context"),
    (dict(context='isolated', start_layer=1), '`start_layer` must be 0 and'),
    (dict(context='isolated', cls_bias=0.), '`start_layer` must be 0 and'),
])
def test_encoder__bad_settings(changes, error):
    with pytest.raises(ValueError, match=error):
        MaskedRegionEncoder(**changes)


def test_encoder__bad_input():
    blocks = make_blocks()
    with pytest.raises(ValueError, match='index of one of 3 layers'):
        MaskedRegionEncoder(start_layer=3)(blocks, make_tokens(), IDS, 4)
    with pytest.raises(ValueError, match=r'`ids` must have shape \(2, 6\)'):
        MaskedRegionEncoder()(blocks, make_tokens(), IDS[:, 1:], 4)
    with pytest.raises(TypeError, match='nn.MultiheadAttention'):
        MaskedRegionEncoder()([nn.Linear(1, 1)], make_tokens(), IDS, 4)
    blocks[0].attn.batch_first = False
    with pytest.raises(ValueError, match='batch first'):
        MaskedRegionEncoder()(blocks, make_tokens(), IDS, 4)
