"""Faults of the released code that this package must not have.

Numbered as in the documentation of pixel contrast. Those not found here
have their test where the piece is tested: queues (1, 3, 4, 5), two ranks
(8), empty batches and warm-up (9, 10), the hard view (12), calls (16).
"""
import pytest
import tiny
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn.functional import normalize

from mmpixsort.banks import ClassQueue
from mmpixsort.functional import masked_mean, pixel_contrast
from mmpixsort.functional.contrast.sampling import sample_anchors


def test_bug_2__bank_rows_come_from_the_whole_map_at_any_stride():
    head = tiny.build(tiny.attached(
        source=0, in_channels=8, warmup_iters=9,
        keys=dict(num_bank_pixels=64))).metric_head
    head.projection = torch.nn.Identity()
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[:, :, 16:] = 2  # right half
    sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
    # embeddings that name their column and row
    position = torch.arange(64.).view(8, 8)
    embeddings = torch.stack([position] + [torch.ones(8, 8)] * 7)[None]
    head.loss([embeddings], [sample])
    entries = head.bank.entries()
    pixels = entries.embeddings[entries.labels == 2]
    pixels = pixels[pixels[:, 1] == 1]  # regions are normalised
    column, row = pixels[:, 0] % 8, pixels[:, 0] // 8
    assert (column >= 4).all() and row.max() > 4


def test_bug_6__more_anchors_than_keys():
    anchors = normalize(torch.randn(40, 4), dim=1)
    bank = ClassQueue(num_classes=2, capacity=3, embed_dims=4)
    bank.enqueue(normalize(torch.randn(6, 4), dim=1),
                 torch.tensor([0, 1, 0, 1, 0, 1]))
    loss, valid = pixel_contrast(
        anchors, torch.arange(40) % 2, [bank.read()], temperature=.1)
    assert valid.all() and loss.isfinite().all()


def test_bug_7__empty_slots_are_no_keys():
    anchors = normalize(torch.randn(6, 4), dim=1)
    labels = torch.arange(6) % 3
    keys = normalize(torch.randn(5, 4), dim=1)
    key_labels = torch.tensor([0, 0, 1, 1, 2])
    bank = ClassQueue(num_classes=3, capacity=50, embed_dims=4)
    bank.enqueue(keys, key_labels)
    got = pixel_contrast(anchors, labels, [bank.read()], temperature=.1)
    want = pixel_contrast(anchors, labels, keys, key_labels, temperature=.1)
    torch.testing.assert_close(got, want)


def test_bug_11__a_class_of_one_view_has_no_positive():
    anchors = normalize(torch.randn(3, 4), dim=1).requires_grad_()
    labels = torch.tensor([0, 1, 1])
    loss, valid = pixel_contrast(
        anchors, labels, anchors, labels, temperature=.1, own_key=0)
    assert valid.tolist() == [False, True, True]
    masked_mean(loss, valid).backward()
    assert anchors.grad.isfinite().all()


@pytest.mark.parametrize('norm', [1., 30., 1000.])
def test_bug_14__embeddings_that_are_not_unit_vectors(norm):
    anchors = (norm * normalize(torch.randn(8, 4), dim=1)).requires_grad_()
    labels = torch.arange(8) % 2
    loss, _ = pixel_contrast(
        anchors, labels, anchors, labels, temperature=.07, own_key=0)
    loss.sum().backward()
    assert loss.isfinite().all() and anchors.grad.isfinite().all()


def test_bug_17__a_class_smaller_than_max_views_gets_anchors():
    labels = torch.zeros(1, 20, 20, dtype=torch.long)
    labels[0, 0, :7] = 1
    _, anchor_labels = sample_anchors(
        labels, labels > 5, num_classes=2, max_samples=1024, max_views=100)
    counts = anchor_labels[anchor_labels >= 0].bincount()
    assert counts.tolist() == [100, 7]
