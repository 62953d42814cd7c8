"""Bank entries of a batch, and the slots they go to."""
import pytest
import torch
from references import BrokenQueues, sine_embeddings
from torch.nn.functional import normalize

from mmpixsort.functional.contrast.queues import pixels_and_regions, ring_slots


def _batch(seed=0):
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 4, (3, 6, 7), generator=g)
    labels[1] = 2  # an image of one class
    embeddings = normalize(torch.randn(3, 8, 6, 7, generator=g), dim=1)
    return embeddings, labels


def test_pixels_and_regions__rows_are_of_the_named_class():
    embeddings, labels = _batch()
    rows = pixels_and_regions(
        embeddings, labels, num_classes=4, num_pixels=5)
    num_pixels, num_regions = rows.sections
    assert (num_pixels, num_regions) == (3 * 4 * 5, 3 * 4)
    flat = embeddings.permute(0, 2, 3, 1).flatten(0, 2)
    for row, label in zip(rows.embeddings[:num_pixels], rows.labels):
        if label >= 0:
            where = (flat == row).all(1).nonzero().flatten()
            assert labels.flatten()[where].tolist() == [label]
    counts = [min(5, int((labels[b] == c).sum()))
              for b in range(3) for c in range(4)]
    used = (rows.labels[:num_pixels] >= 0).view(12, 5).sum(1)
    assert used.tolist() == counts


def test_pixels_and_regions__regions_equal_the_loop():
    embeddings, labels = _batch(1)
    rows = pixels_and_regions(
        embeddings, labels, num_classes=4, num_pixels=2)
    regions = rows.embeddings[rows.sections[0]:].view(3, 4, 8)
    region_labels = rows.labels[rows.sections[0]:].view(3, 4)
    for b in range(3):
        for c in range(4):
            index = labels[b] == c
            if not index.any():
                assert region_labels[b, c] == -1
                continue
            assert region_labels[b, c] == c
            mean = embeddings[b][:, index].double().mean(1)
            torch.testing.assert_close(
                regions[b, c].double(), normalize(mean, dim=0), rtol=1e-5,
                atol=1e-6)


def test_pixels_and_regions__nan_of_ignored_pixels_stays_out():
    embeddings, labels = _batch(2)
    embeddings = torch.where(labels[:, None] < 0, float('nan'), embeddings)
    rows = pixels_and_regions(
        embeddings, labels, num_classes=4, num_pixels=5)
    assert rows.embeddings[rows.labels >= 0].isfinite().all()


def test_ring_slots__batch_larger_than_the_ring_keeps_the_last():
    rings = torch.tensor([0, 1, 0, 0, 0, 5, -1])
    slots, added = ring_slots(rings, torch.tensor([1, 0]), capacity=3)
    # ring 0 takes 4 rows from slot 1 on; the first of them is passed over
    assert slots.tolist() == [0, 4, 3, 1, 2, 0, 0]
    assert added.tolist() == [4, 1]


def test_broken_queues__f4():
    queues = BrokenQueues(
        num_classes=4, num_slots=6, num_pixels=2, stride=2, dims=8)
    i, j = torch.meshgrid(torch.arange(16), torch.arange(16), indexing='ij')
    labels = torch.stack([i // 6 + j // 9, (i // 6 + j // 9).flip(1)])
    labels[0, :3, :3] = -1
    for _ in range(3):
        queues.enqueue(sine_embeddings(2, 8, 8, 8, phase=.1, dim=1), labels)
    assert queues.segment_pointer == [0, 0, 0, 0]
    assert queues.pixel_pointer == [0, 1, 1, 1]
    assert queues.segments.sum((1, 2)).tolist() == pytest.approx(
        [0, -0.2624887, 1.1788658, 0.8226073], abs=1e-6)
    assert queues.pixels.sum((1, 2)).tolist() == pytest.approx(
        [0, -1.7603211, -1.7603211, -1.7603211], abs=1e-6)
