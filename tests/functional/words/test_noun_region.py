"""`functional.noun_region_contrast` against loops and closed forms.

T1 to T8 are the numbers of the reference of text grouping.
"""
import math

import pytest
import torch
from dispatch import CallCounter
from torch.nn.functional import normalize

from mmpixsort.functional.words.noun_region import (NOUN_POSITIVES,
                                                    noun_region_contrast,
                                                    noun_region_terms)

CAPTIONS = torch.tensor([[0, 1], [1, 2], [4, -1]])
NOUN_IMAGES = torch.tensor([0, 0, 1, 1, 2])
NOUN_IDS = torch.tensor([0, 1, 1, 2, 4])
VALID = torch.arange(4) < torch.tensor([4, 3, 2])[:, None]


def sine_rows(length, dims, a=.37, b=1.13):
    """Unit rows of sin(a i j + b j), i and j from 1, float64."""
    i = torch.arange(1, length + 1).double()[:, None]
    j = torch.arange(1, dims + 1).double()
    return normalize(torch.sin(a * i * j + b * j), dim=1)


def published(**changes):
    """The case of T1: five nouns in the captions of three images."""
    texts = sine_rows(5, 8, .05, .3)
    case = dict(
        nouns=texts[NOUN_IDS], noun_images=NOUN_IMAGES,
        regions=sine_rows(12, 8).view(3, 4, 8), region_valid=VALID,
        scale=10., noun_ids=NOUN_IDS, caption_ids=CAPTIONS)
    case.update(changes)
    return case


def mean_of(case):
    nll, valid = noun_region_contrast(**case)
    return (nll.sum() / valid.sum()).item()


def random_case(seed, mask=True, nouns=7, images=4, regions=3, dims=5):
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 6, (nouns, ), generator=g)
    where = torch.randint(0, images, (nouns, ), generator=g)
    captions = torch.full((images, nouns), -1)
    for m in range(nouns):
        captions[where[m], m] = ids[m]
    valid = torch.rand(images, regions, generator=g) > .3
    valid[:, 0] = True
    case = dict(
        nouns=normalize(
            torch.randn(nouns, dims, generator=g).double(), dim=1),
        noun_images=where,
        regions=normalize(
            torch.randn(images, regions, dims, generator=g).double(), dim=2),
        region_valid=valid, scale=7.)
    if mask:
        case.update(noun_ids=ids, caption_ids=captions)
    return case


def loop(nouns, noun_images, regions, region_valid, *, scale, positives,
         noun_ids=None, caption_ids=None):
    """Evaluate the equation noun by noun, in Python floats."""
    losses = []
    for m, image in enumerate(noun_images.tolist()):
        own, others = [], []
        for b in range(len(regions)):
            for k in range(regions.shape[1]):
                if not region_valid[b, k]:
                    continue
                logit = scale * sum(
                    x * y for x, y in zip(nouns[m].tolist(),
                                          regions[b, k].tolist()))
                if b == image:
                    own.append(logit)
                elif noun_ids is None or noun_ids[m].item() not in (
                        caption_ids[b].tolist()):
                    others.append(logit)
        total = sum(map(math.exp, own))
        p = dict(
            mil=math.log(total), max=max(own), mean=sum(own) / len(own),
            soft=sum(math.exp(a) / total * a for a in own))[positives]
        losses.append(
            -p + math.log(math.exp(p) + sum(map(math.exp, others))))
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize('scale, mask, want', [
    (10., True, (.860346, 1.316234, 1.445563, 1.855219)),
    (10., False, (1.061218, 1.612081, 1.757701, 2.174895)),
    (1., True, (.866543, 1.551487, 1.598150, 1.605059)),
    (100., True, (1.829832, 2.109779, 2.192530, 8.312504)),
])
def test_noun_region__t1_t2(scale, mask, want):
    case = published(scale=scale)
    if not mask:
        case.update(noun_ids=None, caption_ids=None)
    got = [
        mean_of(dict(case, positives=name))
        for name in ('mil', 'max', 'soft', 'mean')
    ]
    assert got == pytest.approx(want, abs=1e-5)


@pytest.mark.parametrize('positives, want', [
    ('mil', [.793181, .399915, .471427, 1.063364, 1.573846]),
    ('max', [1.550219, .878684, .925055, 1.631166, 1.596045]),
])
def test_noun_region__t2b_per_noun(positives, want):
    nll, valid = noun_region_contrast(**published(positives=positives))
    assert valid.all() and nll.tolist() == pytest.approx(want, abs=1e-5)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('mask', [False, True])
@pytest.mark.parametrize('positives', NOUN_POSITIVES)
@pytest.mark.parametrize('chunk_size', [None, 1, 3])
def test_noun_region__equals_loop(seed, mask, positives, chunk_size):
    case = dict(random_case(seed, mask), positives=positives)
    nll, valid = noun_region_contrast(**case, chunk_size=chunk_size)
    assert valid.all()
    assert torch.allclose(nll, loop(**case), rtol=1e-10)


@pytest.mark.parametrize('seed', range(3))
def test_noun_region__t3_order_of_the_positives(seed):
    case = random_case(seed, regions=6)
    mil, best, soft = (
        noun_region_contrast(**case, positives=name)[0]
        for name in ('mil', 'max', 'soft'))
    assert (mil <= best).all() and (best <= soft).all()
    assert (best - mil <= math.log(6)).all()
    case = random_case(seed, regions=1)
    first, *rest = (
        noun_region_contrast(**case, positives=name)[0]
        for name in NOUN_POSITIVES)
    assert all(torch.allclose(first, other) for other in rest)


@pytest.mark.parametrize('positives', NOUN_POSITIVES)
@pytest.mark.parametrize('case', ['one image', 'all hold the noun'])
def test_noun_region__t4_no_negatives(positives, case):
    if case == 'one image':
        case = random_case(0, images=1)
    else:
        case = random_case(0)
        case.update(noun_ids=torch.zeros(7).long(),
                    caption_ids=torch.zeros(4, 1).long())
    leaves = [case[name].requires_grad_() for name in ('nouns', 'regions')]
    terms = noun_region_terms(**case, positives=positives)
    assert terms.valid.all() and terms.no_negatives.all()
    assert terms.hit.all() and (terms.nll == 0).all()
    terms.nll.sum().backward()
    assert all((leaf.grad == 0).all() for leaf in leaves)


def test_noun_region__t4_no_nouns_are_a_zero_with_a_gradient():
    case = random_case(0, nouns=0)
    case['regions'].requires_grad_()
    nll, valid = noun_region_contrast(**case)
    assert nll.shape == valid.shape == (0, )
    nll.sum().backward()
    assert (case['regions'].grad == 0).all()


def test_noun_region__t5_equal_embeddings():
    """A collapse: log(1 + N), by mil log((K + N) / K); and no hit."""
    regions = normalize(torch.ones(3, 4, 5).double(), dim=2)
    case = dict(
        nouns=regions[:2, 0], noun_images=torch.tensor([0, 2]),
        regions=regions, region_valid=torch.ones(3, 4).bool(), scale=10.)
    for positives in NOUN_POSITIVES:
        terms = noun_region_terms(**case, positives=positives)
        want = math.log(3 if positives == 'mil' else 9)
        assert terms.nll.tolist() == pytest.approx([want] * 2)
        assert not terms.hit.any() and not terms.no_negatives.any()


@pytest.mark.parametrize('positives', NOUN_POSITIVES)
def test_noun_region__t6_invariances(positives):
    case = dict(random_case(1), positives=positives)
    nll, _ = noun_region_contrast(**case)
    order, back = torch.tensor([2, 0, 3, 1]), torch.tensor([1, 3, 0, 2])
    images = dict(
        case, regions=case['regions'][order],
        region_valid=case['region_valid'][order],
        caption_ids=case['caption_ids'][order],
        noun_images=back[case['noun_images']])
    assert torch.allclose(noun_region_contrast(**images)[0], nll)
    regions = dict(case, regions=case['regions'].flip(1),
                   region_valid=case['region_valid'].flip(1))
    assert torch.allclose(noun_region_contrast(**regions)[0], nll)
    nouns = {
        name: case[name].flip(0)
        for name in ('nouns', 'noun_images', 'noun_ids')}
    assert torch.allclose(
        noun_region_contrast(**dict(case, **nouns))[0].flip(0), nll)
    g = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=g).double())
    turned = dict(case, nouns=case['nouns'] @ turn,
                  regions=case['regions'] @ turn)
    assert torch.allclose(noun_region_contrast(**turned)[0], nll)
    twice = {
        name: torch.cat([case[name], case[name][:1]])
        for name in ('nouns', 'noun_images', 'noun_ids')}
    got, _ = noun_region_contrast(**dict(case, **twice))
    assert torch.allclose(got, torch.cat([nll, nll[:1]]))


@pytest.mark.parametrize('chunk_size', [None, 2])
@pytest.mark.parametrize('positives', NOUN_POSITIVES)
def test_noun_region__t6_padding_may_hold_anything(positives, chunk_size):
    plain = dict(random_case(2), positives=positives, chunk_size=chunk_size)
    case = dict(plain)
    nan = torch.full((4, 2, 5), math.nan).double()
    case['regions'] = torch.cat([case['regions'], nan], 1)
    case['region_valid'] = torch.cat(
        [case['region_valid'], torch.zeros(4, 2).bool()], 1)
    case['nouns'] = torch.cat([case['nouns'], nan[:1, 0]])
    case['noun_images'] = torch.cat([case['noun_images'], -torch.ones(1)
                                     .long()])
    case['noun_ids'] = torch.cat([case['noun_ids'], -torch.ones(1).long()])
    grads = []
    for each in (plain, case):
        leaves = [each[k].requires_grad_() for k in ('nouns', 'regions')]
        nll, valid = noun_region_contrast(**each)
        grads.append(torch.autograd.grad(nll.sum(), leaves))
    assert valid.tolist() == [True] * 7 + [False] and nll[7] == 0
    assert torch.allclose(nll[:7], noun_region_contrast(**plain)[0])
    assert torch.allclose(grads[1][0][:7], grads[0][0])
    assert torch.allclose(grads[1][1][:, :3], grads[0][1])
    assert (grads[1][0][7] == 0).all() and (grads[1][1][:, 3:] == 0).all()


def test_noun_region__image_without_regions_is_invalid():
    case = random_case(0)
    case['region_valid'][case['noun_images'][0]] = False
    case['regions'].requires_grad_()
    for positives in NOUN_POSITIVES:
        nll, valid = noun_region_contrast(**case, positives=positives)
        alone = case['noun_images'] == case['noun_images'][0]
        assert torch.equal(valid, ~alone) and (nll[alone] == 0).all()
        grad, = torch.autograd.grad(nll.sum(), case['regions'])
        assert grad.isfinite().all()


def test_noun_region__t7_max_touches_one_own_region():
    case = random_case(3, regions=4, nouns=1)
    case['region_valid'][:] = True
    case['regions'].requires_grad_()
    image = case['noun_images'][0]
    noun_region_contrast(**case, positives='max')[0].sum().backward()
    touched = case['regions'].grad[image].abs().sum(1) > 0
    best = (case['regions'][image] @ case['nouns'][0]).argmax()
    assert touched.nonzero().flatten().tolist() == [best]


def test_noun_region__t7_image_with_the_noun_is_untouched():
    case = random_case(0, nouns=1)
    case['regions'].requires_grad_()
    case['caption_ids'][:] = -1
    own = case['noun_images'][0]
    other = (own + 1) % 4
    case['caption_ids'][other, 0] = case['noun_ids'][0]
    noun_region_contrast(**case)[0].sum().backward()
    assert (case['regions'].grad[other] == 0).all()
    assert case['regions'].grad[own].abs().sum() > 0
    assert case['nouns'].grad is None  # frozen


def test_noun_region__t7_soft_weights_are_constants():
    case = random_case(4, nouns=1, images=2, mask=False)
    case['region_valid'][:] = True
    regions = case['regions'].requires_grad_()
    nll, _ = noun_region_contrast(**case)
    grad, = torch.autograd.grad(nll.sum(), regions)
    logits = 7. * regions @ case['nouns'][0]
    own, other = logits[case['noun_images'][0]], logits[
        1 - case['noun_images'][0]]
    score = (own.softmax(0).detach() * own).sum()
    want = -score + torch.logaddexp(score, other.logsumexp(0))
    assert torch.allclose(grad, torch.autograd.grad(want, regions)[0])


@pytest.mark.parametrize('chunk_size', [None, 2])
@pytest.mark.parametrize('positives', ['max', 'mil', 'mean'])
def test_noun_region__gradcheck(positives, chunk_size):
    """All but 'soft', whose gradient leaves out that of its weights."""
    case = random_case(5)
    leaves = [
        case.pop('nouns').requires_grad_(),
        case.pop('regions').requires_grad_(),
        torch.tensor(3.).double().requires_grad_()]
    del case['scale']
    assert torch.autograd.gradcheck(
        lambda nouns, regions, scale: noun_region_contrast(
            nouns=nouns, regions=regions, scale=scale, positives=positives,
            chunk_size=chunk_size, **case)[0], leaves)


def test_noun_region__chunks_give_the_same_gradient():
    case, grads = random_case(6), []
    leaves = [case[name].requires_grad_() for name in ('nouns', 'regions')]
    case['scale'] = torch.tensor(5.).double().requires_grad_()
    for chunk_size in (None, 1, 3):
        nll, _ = noun_region_contrast(**case, chunk_size=chunk_size)
        grads.append(torch.autograd.grad(
            nll.square().sum(), [*leaves, case['scale']]))
    for other in grads[1:]:
        for got, want in zip(other, grads[0]):
            assert torch.allclose(got, want, rtol=1e-10)


def test_noun_region__t8_one_way():
    """More images raise the loss; a noun says nothing about the others."""
    case = random_case(7)
    nll, _ = noun_region_contrast(**case)
    more = dict(
        case, regions=torch.cat([case['regions'], case['regions'][:1]]),
        region_valid=torch.cat(
            [case['region_valid'], case['region_valid'][:1]]),
        caption_ids=torch.cat(
            [case['caption_ids'], torch.full((1, 7), -1)]))
    assert (noun_region_contrast(**more)[0] > nll).all()
    fewer = {
        name: case[name][:4] for name in ('nouns', 'noun_images', 'noun_ids')}
    assert torch.equal(noun_region_contrast(**dict(case, **fewer))[0],
                       nll[:4])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('positives', NOUN_POSITIVES)
def test_noun_region__half_precision_is_scored_in_float32(dtype, positives):
    case = published(scale=100., positives=positives)
    for name in ('nouns', 'regions'):
        case[name] = case[name].to(dtype).requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        nll, _ = noun_region_contrast(**case)
    assert nll.dtype == torch.float32 and nll.isfinite().all()
    case.update({
        name: case[name].detach().double() for name in ('nouns', 'regions')})
    assert torch.allclose(nll.double(), noun_region_contrast(**case)[0],
                          rtol=1e-4, atol=1e-4)
    nll.sum().backward()


def test_noun_region__extreme_scale_stays_finite():
    case = random_case(0)
    case.update(scale=1e4, nouns=case['nouns'].float(),
                regions=case['regions'].float().requires_grad_())
    for positives in NOUN_POSITIVES:
        nll, _ = noun_region_contrast(**case, positives=positives)
        grad, = torch.autograd.grad(nll.sum(), case['regions'])
        assert nll.isfinite().all() and grad.isfinite().all()


def test_noun_region__calls_do_not_grow_with_the_batch():
    calls = []
    for images, nouns in ((2, 3), (16, 40)):
        case = random_case(0, images=images, nouns=nouns)
        with CallCounter() as counter:
            noun_region_contrast(**case)
        calls.append(counter.calls)
    assert calls[0] == calls[1]


@pytest.mark.parametrize('chunk_size', [None, 2])
@pytest.mark.parametrize('positives', NOUN_POSITIVES)
def test_noun_region__never_waits_for_the_device(positives, chunk_size):
    case = random_case(0)
    case['regions'].requires_grad_()
    case['scale'] = torch.tensor(3.).requires_grad_()
    with CallCounter() as counter:
        nll, _ = noun_region_contrast(
            **case, positives=positives, chunk_size=chunk_size)
        nll.sum().backward()
    assert counter.syncs == 0


def test_noun_region__keeps_no_logits_of_many_chunks():
    case, kept = random_case(0, images=16, regions=8, nouns=64), []
    case['regions'].requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(
            lambda x: kept.append(x.numel()) or x, lambda x: x):
        nll, _ = noun_region_contrast(**case, chunk_size=8)
    nll.sum().backward()
    assert sum(kept) < 64 * 16 * 8


@pytest.mark.parametrize('change, error, text', [
    (dict(positives='best'), ValueError, '`positives` must be one of soft'),
    (dict(scale=0.), ValueError, '`scale` must be positive'),
    (dict(scale=torch.ones(1)), ValueError, '`scale` must be a number or a '),
    (dict(nouns=torch.ones(5, 7)), ValueError, r'`nouns` .* \(M, 8\)'),
    (dict(noun_images=torch.zeros(4).long()), ValueError, '`noun_images`'),
    (dict(noun_images=torch.zeros(5)), TypeError, '`noun_images` must be int'),
    (dict(regions=torch.ones(3, 8)), ValueError, '`regions` must be a'),
    (dict(regions=torch.ones(3, 0, 8)), ValueError, 'pad K'),
    (dict(region_valid=torch.ones(3, 4)), TypeError, r'`.bool\(\)`'),
    (dict(region_valid=torch.ones(3, 5).bool()), ValueError,
     r'`region_valid` must have shape \(3, 4\)'),
    (dict(noun_ids=None), ValueError, 'given together or not at all'),
    (dict(noun_ids=torch.zeros(4).long()), ValueError, '`noun_ids`'),
    (dict(caption_ids=torch.zeros(2, 2).long()), ValueError,
     '`caption_ids`'),
    (dict(chunk_size=0), ValueError, '`chunk_size` must be at least 1'),
])
def test_noun_region__bad_input(change, error, text):
    with pytest.raises(error, match=text):
        noun_region_contrast(**published(**change))
