"""How many calls a step asks of the device, and that none waits for it."""
import pytest
import torch
from dispatch import CallCounter
from torch.nn.functional import normalize

from mmpixsort.banks import ClassQueue
from mmpixsort.functional import nearest_keys
from mmpixsort.functional.contrast import tiles
from mmpixsort.functional.contrast.queues import pixels_and_regions
from mmpixsort.losses import DiscriminativeLoss, PixelContrastLoss, SegSortLoss
from mmpixsort.samplers import HardAnchorSampler, KeyMiner
from mmpixsort.structures import KeyBlock


@pytest.fixture
def batch():
    """Embeddings, labels and logits at B=2, 64x128, D=256, 19 classes.

    On the meta device, which takes the ways of a GPU; a CPU has tiles that
    fit its cache.
    """
    return (torch.empty(2, 256, 64, 128, device='meta').requires_grad_(),
            torch.empty(2, 64, 128, device='meta', dtype=torch.long),
            torch.empty(2, 19, 64, 128, device='meta'))


def _step(batch, **loss_arguments):
    embeddings, labels, logits = batch
    sampler = HardAnchorSampler(num_classes=19)
    loss = PixelContrastLoss()
    with CallCounter() as counter:
        anchors = sampler(embeddings, labels, logits)
        loss(anchors.embeddings, anchors.labels, anchors.embeddings,
             anchors.labels, own_key=0, **loss_arguments).backward()
    assert embeddings.grad.shape == embeddings.shape
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
        num_classes=19, capacity=5000, embed_dims=256,
        num_sections=2).to('meta')
    with CallCounter() as counter:
        rows = pixels_and_regions(
            embeddings.detach(), labels, num_classes=19, num_pixels=10)
        bank.enqueue(*rows)
    assert counter.calls <= 40, counter.counts
    assert counter.syncs == 0, counter.counts


def test_bank_loss__no_sync(batch):
    bank = ClassQueue(
        num_classes=19, capacity=50, embed_dims=256,
        num_sections=2).to('meta')
    rows = pixels_and_regions(
        batch[0].detach(), batch[1], num_classes=19, num_pixels=10)
    bank.enqueue(*rows)
    anchors = rows.embeddings[:64].requires_grad_()
    with CallCounter() as counter:
        loss = PixelContrastLoss()(
            anchors, rows.labels[:64], [bank.read()])
        loss.backward()
    assert counter.syncs == 0, counter.counts


def test_step__with_bank_at_most_161_calls_and_no_sync(batch):
    embeddings, labels, logits = batch
    bank = ClassQueue(
        num_classes=19, capacity=5000, embed_dims=256,
        num_sections=2).to('meta')
    with CallCounter() as counter:
        anchors = HardAnchorSampler(num_classes=19)(
            embeddings, labels, logits)
        PixelContrastLoss()(
            anchors.embeddings, anchors.labels,
            [KeyBlock(*anchors), bank.read()], own_key=0).backward()
        bank.enqueue(*pixels_and_regions(
            embeddings.detach(), labels, num_classes=19, num_pixels=10))
    assert counter.calls <= 161, counter.counts
    assert counter.syncs == 0, counter.counts


@pytest.mark.parametrize('strategy', [
    None, 'random', 'semi_hard', 'hardest'])
def test_loss__of_batch_and_bank_takes_at_most_90_calls_at_any_size(
        strategy):
    miner = strategy and KeyMiner(strategy=strategy)
    for capacity in (1000, 5000):
        bank = ClassQueue(
            num_classes=19, capacity=capacity, embed_dims=256,
            num_sections=2).to('meta')
        anchors = torch.empty(1024, 256, device='meta').requires_grad_()
        labels = torch.empty(1024, device='meta', dtype=torch.long)
        with CallCounter() as counter:
            PixelContrastLoss()(
                anchors, labels, [KeyBlock(anchors, labels), bank.read()],
                own_key=0, miner=miner).backward()
        assert counter.calls <= 90, counter.counts
        assert counter.syncs == 0, counter.counts


def test_loss__of_a_half_precision_bank_takes_at_most_90_calls():
    bank = ClassQueue(
        num_classes=19, capacity=5000, embed_dims=256, num_sections=2,
        dtype='bfloat16').to('meta')
    anchors = torch.empty(1024, 256, device='meta').requires_grad_()
    labels = torch.empty(1024, device='meta', dtype=torch.long)
    with CallCounter() as counter:
        PixelContrastLoss()(anchors, labels, [bank.read()]).backward()
    assert counter.calls <= 90, counter.counts
    assert counter.syncs == 0, counter.counts


def test_segment_sorting__takes_at_most_90_calls_at_any_size():
    for num_pixels, num_prototypes in ((1000, 50), (65536, 4000)):
        pixels, prototypes = (
            torch.empty(count, 64, device='meta').requires_grad_()
            for count in (num_pixels, num_prototypes))
        labels, key_labels = (
            torch.empty(count, device='meta', dtype=torch.long)
            for count in (num_pixels, num_prototypes))
        with CallCounter() as counter:
            SegSortLoss()(
                pixels, labels, prototypes, key_labels,
                own_key=labels).backward()
        assert counter.calls <= 90, counter.counts
        assert counter.syncs == 0, counter.counts


def test_discriminative_loss__takes_at_most_90_calls():
    embeddings = torch.empty(2, 16, 64, 64, device='meta').requires_grad_()
    ids = torch.empty(2, 64, 64, device='meta', dtype=torch.long)
    with CallCounter() as counter:
        losses = DiscriminativeLoss()(embeddings, ids, num_ids=64)
        (losses['loss_pull'] + losses['loss_push']
         + losses['loss_reg']).backward()
    assert counter.calls <= 90, counter.counts
    assert counter.syncs == 0, counter.counts


def test_nearest_keys__take_at_most_40_calls():
    with CallCounter() as counter:
        nearest_keys(
            torch.empty(144, 64, device='meta'),
            torch.empty(10**6, 64, device='meta'), num_neighbors=21)
    assert counter.calls <= 40, counter.counts
    assert counter.syncs == 0, counter.counts


def test_few_calls__give_what_the_cache_gives(monkeypatch):
    """The way of a GPU, on a CPU."""
    g = torch.Generator().manual_seed(0)
    rows = normalize(torch.randn(40, 8, generator=g), dim=1)
    labels = torch.randint(-1, 4, (40, ), generator=g)
    bank = ClassQueue(num_classes=4, capacity=6, embed_dims=8)
    bank.enqueue(normalize(torch.randn(20, 8, generator=g), dim=1),
                 torch.randint(0, 4, (20, ), generator=g))
    results = []
    for few in (False, True):
        if few:
            monkeypatch.setattr(
                tiles, '_shares_in_cache_', tiles._shares_in_few_calls_)
        for denominator in ('per_positive', 'supcon'):
            anchors = rows.clone().requires_grad_()
            loss = PixelContrastLoss(denominator=denominator)(
                anchors, labels, [KeyBlock(anchors, labels), bank.read()],
                own_key=0)
            loss.backward()
            results.append((loss.detach(), anchors.grad))
    for want, got in zip(results[:2], results[2:]):
        torch.testing.assert_close(got, want)


def test_call_counter__sees_what_waits():
    with CallCounter() as counter:
        x = torch.arange(4)
        x[x > 1]
        x.sum().item()
        torch.bincount(x)
        torch.unique(x)
        x.repeat_interleave(x)
    assert counter.syncs == 5
