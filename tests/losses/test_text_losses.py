"""NounRegionLoss and ImageSentenceLoss: equal the functions, build, zeros."""
import pytest
import torch
from functional.words.test_noun_region import published, random_case

from mmpixsort.functional.words.image_sentence import image_sentence_contrast
from mmpixsort.functional.words.noun_region import (NOUN_POSITIVES,
                                                    noun_region_contrast)
from mmpixsort.losses.image_sentence_loss import ImageSentenceLoss
from mmpixsort.losses.noun_region_loss import NounRegionLoss
from mmpixsort.registry import MODELS


@pytest.mark.parametrize('positives', NOUN_POSITIVES)
@pytest.mark.parametrize('mask', [False, True])
def test_noun_region_loss__equals_the_function(positives, mask):
    loss = MODELS.build(dict(
        type='mmpixsort.NounRegionLoss', positives=positives,
        mask_same_noun=mask, loss_weight=3.))
    case = published()
    got = loss(**case)
    if not mask:
        case.update(noun_ids=None, caption_ids=None)
    nll, _ = noun_region_contrast(**case, positives=positives)
    assert torch.allclose(got['loss_n2r'], 3 * nll.mean())
    assert set(got) == {'loss_n2r', 'acc_n2r', 'no_negatives'}
    assert got['no_negatives'] == 0


def test_noun_region_loss__mean_over_images():
    case = random_case(0, mask=False)
    case['noun_images'] = torch.tensor([0, 0, 0, 2, 2, -1, -1])
    nll, valid = noun_region_contrast(**case)
    assert valid.tolist() == [True] * 5 + [False] * 2
    got = NounRegionLoss(normalise_by='image')(**case)['loss_n2r']
    assert torch.allclose(got, (nll[:3].mean() + nll[3:5].mean()) / 2)
    got = NounRegionLoss()(**case)['loss_n2r']
    assert torch.allclose(got, nll[:5].mean())


def test_noun_region_loss__accuracy():
    """Two of three nouns lie nearest to their own image; one is padding."""
    case = dict(
        nouns=torch.eye(4)[[0, 3, 2, 1]],
        noun_images=torch.tensor([0, 1, 0, -1]),
        regions=torch.eye(4).view(2, 2, 4),
        region_valid=torch.ones(2, 2).bool(), scale=1.)
    got = NounRegionLoss()(**case)
    assert got['acc_n2r'].item() == pytest.approx(200 / 3)
    assert not got['acc_n2r'].requires_grad


def test_noun_region_loss__counts_nouns_without_negatives():
    case = random_case(0)
    case.update(noun_ids=torch.tensor([0] * 3 + [1] * 4),
                caption_ids=torch.zeros(4, 1).long())
    got = NounRegionLoss(mask_same_noun=True)(**case)
    assert got['no_negatives'].item() == pytest.approx(300 / 7)


def test_noun_region_loss__warms_up_with_soft():
    case, loss = random_case(0), NounRegionLoss(
        positives='max', warmup_iters=5)
    want = {
        name: NounRegionLoss(positives=name)(**case)['loss_n2r']
        for name in ('soft', 'max')}
    for iteration, name in ((0, 'soft'), (4, 'soft'), (5, 'max')):
        got = loss(**case, iteration=iteration)['loss_n2r']
        assert torch.equal(got, want[name])
    with pytest.raises(ValueError, match='`iteration` must be given'):
        loss(**case)


@pytest.mark.parametrize('normalise_by', ['noun', 'image'])
@pytest.mark.parametrize('case', ['no nouns', 'padding', 'no regions'])
def test_noun_region_loss__nothing_is_a_zero_with_a_gradient(
        case, normalise_by):
    nouns = random_case(0, nouns=0 if case == 'no nouns' else 7, mask=False)
    if case == 'padding':
        nouns['noun_images'][:] = -1
    elif case == 'no regions':
        nouns['region_valid'][:] = False
    nouns['regions'].requires_grad_()
    got = NounRegionLoss(normalise_by=normalise_by)(**nouns)
    assert all(value == 0 for value in got.values())
    got['loss_n2r'].backward()
    assert (nouns['regions'].grad == 0).all()


def test_noun_region_loss__lowers_itself():
    case, loss = random_case(1), NounRegionLoss()
    regions = case.pop('regions').requires_grad_()
    optimizer = torch.optim.SGD([regions], lr=.1)
    values = []
    for _ in range(20):
        value = loss(**case, regions=regions)['loss_n2r']
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < .5 * values[0]


@pytest.mark.parametrize('change, text', [
    (dict(positives='x'), '`positives` must be one of'),
    (dict(warmup_iters=-1), '`warmup_iters` must be at least 0'),
    (dict(normalise_by='x'), '`normalise_by` must be one of noun, image'),
    (dict(loss_weight=-1.), '`loss_weight` must not be negative'),
])
def test_noun_region_loss__bad_input(change, text):
    with pytest.raises(ValueError, match=text):
        NounRegionLoss(**change)


def test_noun_region_loss__masking_needs_the_ids():
    with pytest.raises(ValueError, match='with `mask_same_noun`, got None'):
        NounRegionLoss(mask_same_noun=True)(**random_case(0, mask=False))


def test_image_sentence_loss__equals_the_function():
    images, sentences = random_case(0)['regions'].unbind(1)[:2]
    loss = MODELS.build(dict(
        type='mmpixsort.ImageSentenceLoss', loss_weight=2.))
    nll = image_sentence_contrast(images, sentences, scale=5.)
    got = loss(images, sentences, scale=5.)
    assert torch.allclose(got, sum(nll).mean())
    valid = torch.tensor([True, False, True, True])
    got = loss(images, sentences, scale=5., valid=valid)
    want = loss(images[valid], sentences[valid], scale=5.)
    assert torch.allclose(got, want)


@pytest.mark.parametrize('count', [0, 3])
def test_image_sentence_loss__nothing_is_a_zero_with_a_gradient(count):
    images = torch.rand(count, 4, requires_grad=True)
    loss = ImageSentenceLoss()(
        images, torch.rand(count, 4), scale=5.,
        valid=torch.zeros(count).bool())
    loss.backward()
    assert loss == 0 and (images.grad == 0).all()


def test_image_sentence_loss__bad_weight():
    with pytest.raises(ValueError, match='`loss_weight` must not be'):
        ImageSentenceLoss(loss_weight=-1.)
