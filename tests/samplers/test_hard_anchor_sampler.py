"""The sampler module; the drawing itself is tested in `functional`."""
import pytest
import torch

from mmpixsort.registry import MODELS
from mmpixsort.samplers import HardAnchorSampler


def _batch():
    g = torch.Generator().manual_seed(0)
    labels = torch.zeros(1, 20, 20, dtype=torch.long)
    labels[0, :3, :3] = 1  # nine pixels
    logits = torch.zeros(1, 2, 20, 20)
    logits[:, 0] = 1.  # class 1 is misclassified everywhere
    logits[0, 1, 10:15] = 2.  # and some rows of class 0
    return torch.randn(1, 4, 20, 20, generator=g), labels, logits


def test_hard_anchor_sampler__half_are_misclassified():
    embeddings, labels, logits = _batch()
    sampler = HardAnchorSampler(num_classes=2, max_samples=40, max_views=20)
    anchors = sampler(embeddings, labels, logits)
    counts = anchors.labels[anchors.labels >= 0].bincount()
    assert counts.tolist() == [20, 9]
    flat = embeddings.permute(0, 2, 3, 1).flatten(0, 2)
    hard = (logits.argmax(1) != labels).flatten()
    picked = [int((flat == row).all(1).nonzero())
              for row in anchors.embeddings[anchors.labels == 0]]
    assert int(hard[picked].sum()) == 10


def test_hard_anchor_sampler__faithful_needs_more_than_max_views():
    embeddings, labels, logits = _batch()
    sampler = HardAnchorSampler(
        num_classes=2, max_samples=40, max_views=9, faithful=True)
    labels_of = sampler(embeddings, labels, logits).labels
    assert labels_of.unique().tolist() == [-1, 0]


@pytest.mark.parametrize('logits', [True, False])
def test_hard_anchor_sampler__without_hardness(logits):
    embeddings, labels, given = _batch()
    sampler = HardAnchorSampler(
        num_classes=2, max_samples=40, max_views=20, hardness='random')
    draws = [
        sampler(embeddings, labels, given if logits else None,
                torch.Generator().manual_seed(1)).labels for _ in range(2)
    ]
    assert torch.equal(*draws)
    assert draws[0][draws[0] >= 0].bincount().tolist() == [20, 9]


def test_hard_anchor_sampler__builds_with_released_defaults():
    sampler = MODELS.build(
        dict(type='mmpixsort.HardAnchorSampler', num_classes=19))
    assert (sampler.max_samples, sampler.max_views) == (1024, 100)


@pytest.mark.parametrize('change, text', [
    (dict(max_samples=0), '`max_samples` must be at least 1'),
    (dict(max_views=0), '`max_views` must be at least 1'),
    (dict(hardness='none'), '`hardness` must be one of'),
    (dict(confidence=0), '`confidence` must be positive'),
    (dict(confidence=5.), '`confidence` must be at most 1'),
])
def test_hard_anchor_sampler__bad_input(change, text):
    with pytest.raises(ValueError, match=text):
        HardAnchorSampler(num_classes=2, **change)
