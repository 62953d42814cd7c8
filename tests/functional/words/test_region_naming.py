import pytest
import torch

from mmpixsort.functional.words.region_naming import (name_regions,
                                                      paint_regions)


def cosines(batch=2, regions=3, words=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, regions, words, generator=generator) * 2 - 1


def test_name_regions__plain_is_a_softmax():
    found = name_regions(cosines(), scale=7.)
    assert torch.allclose(found, (7 * cosines()).softmax(2).log(), atol=1e-6)


@pytest.mark.parametrize('threshold', [-.5, 0., .3, .9])
def test_name_regions__cosine_background_wins_below_its_threshold(threshold):
    found = name_regions(
        cosines(), scale=20., background='cosine', threshold=threshold)
    assert found.shape == (2, 3, 5)
    assert torch.allclose(found.exp().sum(2), torch.ones(2, 3))
    best, word = cosines().max(2)
    expected = torch.where(best > threshold, word + 1, 0)
    assert torch.equal(found.argmax(2), expected)


@pytest.mark.parametrize('threshold', [.1, .4, .8])
def test_name_regions__probability_background(threshold):
    found = name_regions(
        cosines(), scale=3., background='probability', threshold=threshold)
    assert torch.allclose(found.exp().sum(2), torch.ones(2, 3))
    best, word = (3 * cosines()).softmax(2).max(2)
    expected = torch.where(best > threshold, word + 1, 0)
    assert torch.equal(found.argmax(2), expected)


def test_name_regions__background_grows_with_its_threshold():
    shares = [
        (name_regions(cosines(8, 9), scale=10., background='cosine',
                      threshold=t).argmax(2) == 0).float().mean()
        for t in (-1., -.2, .2, .6, 1.)]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1


def test_name_regions__candidates_of_the_image():
    image = torch.tensor([[.9, .1, .8, .2], [.1, .9, .2, .8]])
    found = name_regions(
        cosines(), scale=10., num_candidates=2, image_similarity=image)
    assert set(found[0].argmax(1).tolist()) <= {0, 2}
    assert set(found[1].argmax(1).tolist()) <= {1, 3}
    assert found.isfinite().all() and (found >= -100).all()
    everything = name_regions(
        cosines(), scale=10., num_candidates=99, image_similarity=image)
    assert torch.equal(everything, name_regions(cosines(), scale=10.))


def test_name_regions__one_word():
    found = name_regions(
        cosines(words=1), scale=10., background='cosine', threshold=0.)
    assert torch.equal(found.argmax(2), (cosines(words=1)[..., 0] > 0).long())


@pytest.mark.parametrize('bad, message', [
    (dict(background='sky'), 'background'),
    (dict(background='probability', threshold=1.5), r'in \(0, 1\)'),
    (dict(num_candidates=2), 'image_similarity'),
    (dict(num_candidates=0, image_similarity=torch.zeros(2, 4)),
     'num_candidates'),
])
def test_name_regions__bad_input(bad, message):
    with pytest.raises(ValueError, match=message):
        name_regions(cosines(), scale=1., **bad)
    with pytest.raises(ValueError, match='at least one word'):
        name_regions(torch.zeros(1, 2, 0), scale=1.)


def test_paint_regions__equals_a_loop():
    scores = cosines()
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(-1, 3, (2, 5, 4), generator=generator)
    painted = paint_regions(scores, ids)
    for b in range(2):
        for y in range(5):
            for x in range(4):
                k = ids[b, y, x]
                expected = scores[b, k] if k >= 0 else torch.zeros(4)
                assert torch.equal(painted[b, :, y, x], expected)
