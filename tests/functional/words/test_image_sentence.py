"""`functional.image_sentence_contrast` against cross-entropy and loops."""
import math

import pytest
import torch
from dispatch import CallCounter
from functional.words.test_noun_region import sine_rows
from torch.nn.functional import normalize

from mmpixsort.functional.words.image_sentence import image_sentence_contrast


def random_rows(seed, count=5, dims=4):
    g = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(2, count, dims, generator=g).double(), dim=2)


def test_image_sentence__t9():
    nll = image_sentence_contrast(
        sine_rows(4, 8), sine_rows(4, 8, .05, .3), scale=10.)
    assert torch.stack(nll).mean().item() == pytest.approx(
        1.942421, abs=1e-5)


@pytest.mark.parametrize('seed', range(3))
def test_image_sentence__equals_loop(seed):
    images, sentences = random_rows(seed)
    got = image_sentence_contrast(images, sentences, scale=7.)
    for rows, keys, nll in ((images, sentences, got[0]),
                            (sentences, images, got[1])):
        for b in range(5):
            shares = [
                math.exp(7 * sum(x * y for x, y in zip(
                    rows[b].tolist(), key.tolist()))) for key in keys]
            assert nll[b].item() == pytest.approx(
                -math.log(shares[b] / sum(shares)))


def test_image_sentence__local_rows_against_all():
    images, sentences = random_rows(0)
    whole = image_sentence_contrast(images, sentences, scale=7.)
    part = image_sentence_contrast(
        images[2:4], sentences[2:4], scale=7., all_images=images,
        all_sentences=sentences, own=torch.tensor([2, 3]))
    for got, want in zip(part, whole):
        assert torch.allclose(got, want[2:4])


def test_image_sentence__what_is_not_valid_takes_no_part():
    images, sentences = random_rows(1)
    want = image_sentence_contrast(images[1:], sentences[1:], scale=7.)
    images[0], sentences[0] = math.nan, math.inf
    images.requires_grad_()
    got = image_sentence_contrast(
        images, sentences, scale=7., all_valid=torch.arange(5) > 0)
    assert got[0][0] == got[1][0] == 0
    for each, other in zip(got, want):
        assert torch.allclose(each[1:], other)
    sum(got).sum().backward()
    assert images.grad.isfinite().all() and (images.grad[0] == 0).all()


def test_image_sentence__one_image_and_none():
    images, sentences = random_rows(2, count=1)
    images.requires_grad_()
    nll, _ = image_sentence_contrast(images, sentences, scale=7.)
    assert nll.item() == 0
    nll.sum().backward()
    assert (images.grad == 0).all()
    nll, _ = image_sentence_contrast(images[:0], sentences[:0], scale=7.)
    assert nll.shape == (0, )


def test_image_sentence__gradcheck():
    images, sentences = random_rows(3, count=3)
    scale = torch.tensor(3.).double()
    leaves = [x.clone().requires_grad_() for x in (images, sentences, scale)]
    assert torch.autograd.gradcheck(
        lambda x, s, scale: image_sentence_contrast(x, s, scale=scale),
        leaves)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_image_sentence__half_precision_is_scored_in_float32(dtype):
    images, sentences = random_rows(4).to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        nll, _ = image_sentence_contrast(images, sentences, scale=100.)
    want, _ = image_sentence_contrast(
        images.double(), sentences.double(), scale=100.)
    assert nll.dtype == torch.float32
    assert torch.allclose(nll.double(), want, rtol=1e-4, atol=1e-4)


def test_image_sentence__never_waits_for_the_device():
    images, sentences = random_rows(0)
    with CallCounter() as counter:
        image_sentence_contrast(images, sentences, scale=torch.tensor(3.))
    assert counter.syncs == 0


@pytest.mark.parametrize('change, error, text', [
    (dict(sentences=torch.ones(4, 4)), ValueError, 'of the same shape'),
    (dict(scale=-1.), ValueError, '`scale` must be positive'),
    (dict(own=torch.arange(5)), ValueError, 'given together or not at all'),
    (dict(all_valid=torch.ones(4).bool()), ValueError, '`all_valid`'),
    (dict(all_valid=torch.ones(5)), TypeError, '`all_valid`'),
])
def test_image_sentence__bad_input(change, error, text):
    images, sentences = random_rows(0)
    case = dict(images=images, sentences=sentences, scale=1.)
    case.update(change)
    with pytest.raises(error, match=text):
        image_sentence_contrast(**case)
