"""The same numbers on a GPU."""
import pytest
import tiny
import torch
from torch.nn.functional import normalize

from mmpixsort.banks import ClassQueue
from mmpixsort.functional import masked_mean, nearest_keys, pixel_contrast
from mmpixsort.functional.contrast.queues import pixels_and_regions
from mmpixsort.functional.contrast.sampling import sample_anchors
from mmpixsort.losses import DiscriminativeLoss, PixelContrastLoss, SegSortLoss
from mmpixsort.samplers import HardAnchorSampler, KeyMiner
from mmpixsort.structures import KeyBlock
from mmpixsort.utils.transfer import send_integers

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


def test_send_integers__does_not_wait_for_the_gpu():
    torch.cuda.set_sync_debug_mode('error')
    try:
        parts = send_integers([[3, 4], [], [2**61]], 'cuda')
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert [part.tolist() for part in parts] == [[3, 4], [], [2**61]]


def _step_inputs(seed, device='cuda'):
    """Maps and rows with their labels, of the same shapes for every seed."""
    g = torch.Generator().manual_seed(seed)

    def units(*shape):
        return normalize(torch.randn(shape, generator=g), dim=1).to(device)

    def labels(high, *shape):
        return torch.randint(-1, high, shape, generator=g).to(device)

    return dict(
        maps=units(2, 8, 9, 9).requires_grad_(), logits=units(2, 5, 9, 9),
        labels=labels(5, 2, 9, 9), ids=labels(6, 2, 9, 9),
        rows=units(40, 8).requires_grad_(), row_labels=labels(5, 40),
        keys=units(30, 8).requires_grad_(), key_labels=labels(5, 30),
        bank=ClassQueue(num_classes=5, capacity=6, embed_dims=8).to(device))


def _with_gradients(loss, *leaves):
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


def _contrast_step(x, miner=None):
    # all pixels become anchors, so that the draw does not matter
    anchors = HardAnchorSampler(
        num_classes=5, max_samples=1000, max_views=200)(
            x['maps'], x['labels'], x['logits'])
    x['bank'].enqueue(x['keys'].detach(), x['key_labels'])
    loss = PixelContrastLoss()(
        *anchors, [KeyBlock(*anchors), x['bank'].read()], own_key=0,
        miner=miner)
    return _with_gradients(loss, x['maps'])


def _enqueue_step(x):
    x['bank'].reset()
    drawn = pixels_and_regions(
        x['maps'].detach(), x['labels'], num_classes=5, num_pixels=2)
    first = drawn.sections[0]  # pixels before the regions are drawn at random
    x['bank'].enqueue(drawn.embeddings[first:], drawn.labels[first:])
    x['bank'].enqueue(x['rows'].detach(), x['row_labels'])
    return [x['bank'].keys.clone(), x['bank'].written.clone()]


def _instance_step(x):
    losses = DiscriminativeLoss()(x['maps'], x['ids'], num_ids=6)
    return _with_gradients(
        losses['loss_pull'] + losses['loss_push'], x['maps'])


STEPS = {
    'contrast': _contrast_step,
    'hardest keys': lambda x: _contrast_step(
        x, KeyMiner(strategy='hardest', num_positives=9, num_negatives=30)),
    'enqueue': _enqueue_step,
    'segment sorting': lambda x: _with_gradients(
        SegSortLoss()(x['rows'], x['row_labels'], x['keys'], x['key_labels'],
                      own_key=x['row_labels'].clamp(min=0)),
        x['rows'], x['keys']),
    'instances': _instance_step,
    'nearest keys': lambda x: list(nearest_keys(
        x['rows'].detach(), x['keys'].detach(), num_neighbors=3)),
}


@pytest.mark.parametrize('name', STEPS)
def test_cuda_graph__gives_what_the_step_gives(name):
    """A captured step, replayed with other inputs, equals the step."""
    step, x = STEPS[name], _step_inputs(0)
    warm_up = torch.cuda.Stream()
    warm_up.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(warm_up):
        for _ in range(3):
            step(x)
    torch.cuda.current_stream().wait_stream(warm_up)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step(x)
    for seed in (1, 2):
        with torch.no_grad():
            for key, values in _step_inputs(seed).items():
                if key == 'bank':
                    x[key].reset()
                else:
                    x[key].copy_(values)
        graph.replay()
        got = [result.clone() for result in results]
        x['bank'].reset()
        torch.testing.assert_close(got, step(x), rtol=1e-4, atol=1e-5)
