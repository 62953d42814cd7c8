"""The same numbers on a GPU."""
import pytest
import tiny
import torch
from torch.nn.functional import normalize

from mmpixsort.banks import ClassQueue
from mmpixsort.functional import masked_mean, pixel_contrast
from mmpixsort.functional.contrast.queues import pixels_and_regions
from mmpixsort.functional.contrast.sampling import sample_anchors
from mmpixsort.samplers import KeyMiner
from mmpixsort.structures import KeyBlock

pytestmark = pytest.mark.gpu


def _inputs():
    g = torch.Generator().manual_seed(0)
    anchors = normalize(torch.randn(200, 32, generator=g), dim=1)
    labels = torch.randint(-1, 5, (200, ), generator=g)
    queue = normalize(torch.randn(5, 300, 32, generator=g), dim=2)
    count = torch.tensor([300, 0, 17, 299, 5])
    table = torch.arange(5)[:, None].where(
        torch.arange(300) < count[:, None], -1)
    return anchors, labels, queue, table


def _loss(device, **options):
    anchors, labels, queue, table = (x.to(device) for x in _inputs())
    anchors.requires_grad_()
    blocks = [KeyBlock(anchors, labels), KeyBlock(queue, table)]
    loss, valid = pixel_contrast(
        anchors, labels, blocks, temperature=.1, own_key=0, **options)
    masked_mean(loss, valid).backward()
    return loss.detach().cpu(), valid.cpu(), anchors.grad.cpu()


@pytest.mark.parametrize('options', [
    dict(), dict(denominator='supcon'),
    dict(miner=KeyMiner(strategy='hardest', num_positives=9,
                        num_negatives=50))
])
def test_pixel_contrast__cpu_and_gpu_agree(options):
    for want, got in zip(_loss('cpu', **options), _loss('cuda', **options)):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def _bank(device):
    g = torch.Generator().manual_seed(1)
    bank = ClassQueue(
        num_classes=5, capacity=20, embed_dims=8, num_sections=2).to(device)
    for _ in range(3):
        labels = torch.randint(-1, 5, (2, 9, 9), generator=g)
        maps = normalize(torch.randn(2, 8, 9, 9, generator=g), dim=1)
        # all pixels, so that the draw does not matter but for the order
        rows = pixels_and_regions(
            maps.to(device), labels.to(device), num_classes=5, num_pixels=1)
        regions = rows.embeddings[rows.sections[0]:]
        bank.enqueue(regions, rows.labels[rows.sections[0]:])
    return bank


def test_bank__cpu_and_gpu_agree():
    want, got = _bank('cpu'), _bank('cuda')
    assert torch.equal(got.written.cpu(), want.written)
    torch.testing.assert_close(got.keys.cpu(), want.keys)


def test_sample_anchors__same_quotas_on_the_gpu():
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 5, (3, 20, 20), generator=g)
    hard = torch.rand(3, 20, 20, generator=g) < 0.3
    results = []
    for device in ('cpu', 'cuda'):
        pixel, anchor_labels = sample_anchors(
            labels.to(device), hard.to(device), num_classes=5,
            max_samples=100, max_views=9,
            generator=torch.Generator(device).manual_seed(0))
        results.append((anchor_labels.cpu(),
                        hard.flatten()[pixel.cpu()].sum()))
    assert torch.equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_step__does_not_wait_for_the_gpu():
    model = tiny.build(tiny.attached()).cuda().train()
    images, samples = tiny.batch()
    images = images.cuda()
    samples = [sample.cuda() for sample in samples]
    model(images, samples, mode='loss')
    levels = model.extract_feat(images)
    torch.cuda.set_sync_debug_mode('error')
    try:
        loss = model.metric_head.loss(levels, samples)['loss_pixel_contrast']
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert loss.isfinite()
