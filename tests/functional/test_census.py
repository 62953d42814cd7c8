"""How many calls a step asks of the device, and that none waits for it."""
import pytest
import torch
from dispatch import CallCounter
from torch.nn.functional import normalize

from mmpixsort.banks import ClassQueue
from mmpixsort.functional.contrast.queues import pixels_and_regions
from mmpixsort.losses import PixelContrastLoss
from mmpixsort.samplers import HardAnchorSampler, KeyMiner


@pytest.fixture
def batch():
    """Embeddings, labels and logits at B=2, 64x128, D=256, 19 classes."""
    g = torch.Generator().manual_seed(0)
    embeddings = normalize(torch.randn(2, 256, 64, 128, generator=g), dim=1)
    labels = torch.randint(-1, 19, (2, 64, 128), generator=g)
    logits = torch.randn(2, 19, 64, 128, generator=g)
    return embeddings.requires_grad_(), labels, logits


def _step(batch, **loss_arguments):
    embeddings, labels, logits = batch
    sampler = HardAnchorSampler(num_classes=19)
    loss = PixelContrastLoss()
    with CallCounter() as counter:
        anchors = sampler(embeddings, labels, logits,
                          torch.Generator().manual_seed(0))
        loss(anchors.embeddings, anchors.labels, anchors.embeddings,
             anchors.labels, own_key=0, **loss_arguments).backward()
    assert embeddings.grad.abs().sum() > 0
    return counter


def test_step__at_most_80_calls_and_no_sync(batch):
    counter = _step(batch)
    assert counter.calls <= 80, counter.counts
    assert counter.syncs == 0, counter.counts


@pytest.mark.parametrize('strategy', ['random', 'semi_hard', 'hardest'])
def test_step__no_sync_with_a_miner(batch, strategy):
    counter = _step(batch, miner=KeyMiner(strategy=strategy))
    assert counter.syncs == 0, counter.counts


@pytest.mark.parametrize('hardness', ['confidence', 'random'])
def test_sampler__no_sync_in_any_mode(batch, hardness):
    sampler = HardAnchorSampler(num_classes=19, hardness=hardness)
    with CallCounter() as counter:
        sampler(*batch)
    assert counter.syncs == 0, counter.counts


def test_enqueue__at_most_40_calls_and_no_sync(batch):
    embeddings, labels, _ = batch
    bank = ClassQueue(
        num_classes=19, capacity=5000, embed_dims=256, num_sections=2)
    with CallCounter() as counter:
        rows = pixels_and_regions(
            embeddings.detach(), labels, num_classes=19, num_pixels=10)
        bank.enqueue(*rows)
    assert counter.calls <= 40, counter.counts
    assert counter.syncs == 0, counter.counts
    assert bank.written.sum() == 2 * 19 * 11


def test_bank_loss__no_sync(batch):
    bank = ClassQueue(
        num_classes=19, capacity=50, embed_dims=256, num_sections=2)
    rows = pixels_and_regions(
        batch[0].detach(), batch[1], num_classes=19, num_pixels=10)
    bank.enqueue(*rows)
    anchors = rows.embeddings[:64].requires_grad_()
    with CallCounter() as counter:
        loss = PixelContrastLoss()(
            anchors, rows.labels[:64], [bank.read()])
        loss.backward()
    assert counter.syncs == 0, counter.counts


def test_call_counter__sees_what_waits():
    with CallCounter() as counter:
        x = torch.arange(4)
        x[x > 1]
        x.sum().item()
        torch.bincount(x)
        torch.unique(x)
        x.repeat_interleave(x)
    assert counter.syncs == 5
