"""What each rank does in the tests of the losses of texts.

Apart from the test, since a new process imports it by name.
"""
import torch
from torch.nn.functional import normalize

from mmpixsort.losses.image_sentence_loss import ImageSentenceLoss
from mmpixsort.losses.noun_region_loss import NounRegionLoss

DIMS = 6
# images, regions of an image, nouns, and nouns of a caption of each rank
SIZES = ((2, 3, 5, 4), (3, 2, 2, 1))
NO_NOUNS = ((2, 3, 5, 4), (2, 3, 0, 1))
OPTIONS = dict(
    plain=(dict(), SIZES),
    masked=(dict(mask_same_noun=True, positives='mil'), SIZES),
    by_image=(dict(normalise_by='image', positives='max'), SIZES),
    no_nouns=(dict(mask_same_noun=True), NO_NOUNS),
    apart=(dict(gather=False), SIZES),
)


def share(rank, sizes):
    """What one rank has seen, before the towers."""
    images, regions, nouns, length = sizes[rank]
    g = torch.Generator().manual_seed(rank)

    def rows(*shape):
        return torch.randn(*shape, DIMS, generator=g).double()

    ids = torch.arange(nouns) % 3
    where = torch.arange(nouns) % images
    captions = torch.full((images, length), -1)
    for m in range(nouns):
        captions[where[m], m // images] = ids[m]
    valid = torch.rand(images, regions, generator=g) > .2
    return dict(
        regions=rows(images, regions), nouns=rows(nouns), images=rows(images),
        sentences=rows(images), region_valid=valid, noun_images=where,
        noun_ids=ids, caption_ids=captions)


def joint(sizes):
    """Both shares as one batch, padded."""
    parts = [share(rank, sizes) for rank in range(2)]
    count = max(size[1] for size in sizes)
    length = max(size[3] for size in sizes)

    def widen(values, width, fill):
        shape = list(values.shape)
        shape[1] = width - shape[1]
        return torch.cat([values, values.new_full(shape, fill)], 1)

    for part in parts:
        part['regions'] = widen(part['regions'], count, 9)
        part['region_valid'] = widen(part['region_valid'], count, False)
        part['caption_ids'] = widen(part['caption_ids'], length, -1)
    parts[1]['noun_images'] = parts[1]['noun_images'] + sizes[0][0]
    return {
        name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def step(part, options):
    """Losses of both kinds, and the gradients of two towers and a scale."""
    g = torch.Generator().manual_seed(7)
    towers = torch.randn(2, DIMS, DIMS, generator=g).double()
    towers.requires_grad_()
    log_scale = torch.tensor(1.5).double().requires_grad_()
    scale = log_scale.exp()

    def encode(name, tower):
        return normalize(part[name] @ towers[tower], dim=-1)

    noun = NounRegionLoss(**options)(
        encode('nouns', 1), part['noun_images'], encode('regions', 0),
        part['region_valid'], scale=scale, noun_ids=part['noun_ids'],
        caption_ids=part['caption_ids'])
    sentence = ImageSentenceLoss(gather=options.get('gather', True))(
        encode('images', 0), encode('sentences', 1), scale=scale)
    (noun['loss_n2r'] + sentence).backward()
    return dict(
        noun={name: value.item() for name, value in noun.items()},
        sentence=sentence.item(), grads=[towers.grad, log_scale.grad])


def job(rank):
    """All steps of one rank."""
    return {
        name: step(share(rank, sizes), options)
        for name, (options, sizes) in OPTIONS.items()}
