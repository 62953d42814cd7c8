"""Functions of a training step under torch.compile, without a graph break.

The backend runs the traced graphs as they are: what is tested is that a
function can be traced as a whole, and that the graph gives its results.
"""
import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.banks import ClassQueue, PrototypeQueue
from mmpixsort.functional import (find_segments, nearest_keys, pool_regions,
                                  prototypes, segment_sorting,
                                  spherical_kmeans)
from mmpixsort.functional.contrast.queues import pixels_and_regions
from mmpixsort.losses import (DiscriminativeLoss, ImageSentenceLoss,
                              NounRegionLoss, PanopticSegSortLoss,
                              PixelContrastLoss, SegSortLoss)
from mmpixsort.samplers import HardAnchorSampler, KeyMiner
from mmpixsort.structures import KeyBlock

CLASSES = 4
NUMBERS = torch.Generator().manual_seed(0)


def numbers(*shape):
    return normalize(torch.randn(*shape, generator=NUMBERS), dim=1)


def integers(low, high, *shape):
    return torch.randint(low, high, shape, generator=NUMBERS)


MAP, ROWS, KEYS = numbers(2, 8, 12, 16), numbers(40, 8), numbers(30, 8)
LABELS, IDS = integers(-1, CLASSES, 2, 12, 16), integers(-1, 5, 2, 12, 16)
ROW_LABELS, KEY_LABELS = integers(-1, CLASSES, 40), integers(0, CLASSES, 30)
LOGITS = numbers(2, CLASSES, 12, 16)
REGIONS, NOUNS = numbers(2, 8, 6).transpose(1, 2), numbers(5, 8)
NUMBER = torch.arange(40)


def filled_bank():
    bank = ClassQueue(
        num_classes=CLASSES, capacity=6, embed_dims=8, num_sections=2)
    bank.enqueue(KEYS, KEY_LABELS)
    return bank


def with_bank(miner=None):
    bank = filled_bank()
    return lambda anchors: PixelContrastLoss()(
        anchors, ROW_LABELS, [KeyBlock(anchors, ROW_LABELS), bank.read()],
        own_key=0, miner=miner)


def of_sampled(maps):
    """Draws differ from those without compilation: only their number."""
    anchors = HardAnchorSampler(num_classes=CLASSES, max_samples=16)(
        maps, LABELS, LOGITS)
    return anchors.embeddings.norm(dim=1).sum(), anchors.labels.ge(0).sum()


def of_instances(**options):
    return lambda maps: DiscriminativeLoss(**options)(maps, IDS, num_ids=6)


DIFFERENTIABLE = {
    'sampler': (of_sampled, MAP),
    'keys': (lambda rows, keys: PixelContrastLoss()(
        rows, ROW_LABELS, keys, KEY_LABELS), ROWS, KEYS),
    'bank': (with_bank(), ROWS),
    'hardest': (with_bank(KeyMiner(strategy='hardest', num_positives=2)),
                ROWS),
    'semi_hard': (with_bank(KeyMiner(hard_fraction=1.)), ROWS),
    'segments': (lambda rows, keys: SegSortLoss()(
        rows, ROW_LABELS, keys, KEY_LABELS,
        own_key=ROW_LABELS.clamp(min=0)), ROWS, KEYS),
    'own segments': (lambda rows: segment_sorting(
        rows, ROW_LABELS, rows, ROW_LABELS, own_key=NUMBER,
        concentration=10.)[0], ROWS),
    'panoptic': (lambda rows: PanopticSegSortLoss()(
        rows, ROW_LABELS, rows, ROW_LABELS, own_key=NUMBER,
        areas=NUMBER + 1), ROWS),
    'instances': (of_instances(), MAP),
    'cosine': (of_instances(distance='cosine'), MAP),
    'whole batch': (of_instances(push_scope='batch', normalizer='active'),
                    MAP),
    'masks': (lambda maps: DiscriminativeLoss()(
        maps, torch.stack([IDS == 0, IDS > 1], 1)), MAP),
    'prototypes': (lambda maps: prototypes(
        maps.permute(0, 2, 3, 1).flatten(0, 2), IDS.flatten(), 5), MAP),
    'regions': (lambda maps: pool_regions(maps, IDS, 5)[0], MAP),
    'nouns': (lambda nouns, regions: NounRegionLoss()(
        nouns, torch.tensor([0, 0, 1, 1, 1]), regions,
        torch.ones(2, 6, dtype=torch.bool), scale=10., iteration=3),
        NOUNS, REGIONS),
    'sentences': (lambda images, sentences: ImageSentenceLoss()(
        images, sentences, scale=10.), ROWS[:30], KEYS),
}


def flat(result):
    if isinstance(result, torch.Tensor):
        return [result]
    values = result.values() if isinstance(result, dict) else result
    return [part for value in values for part in flat(value)]


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def whole(function):
    return torch.compile(function, fullgraph=True, backend='aot_eager')


@pytest.mark.parametrize('name', DIFFERENTIABLE)
def test_compile__loss_and_gradient(name):
    function, *values = DIFFERENTIABLE[name]
    results = []
    for run in (function, whole(function)):
        inputs = [value.clone().requires_grad_() for value in values]
        found = flat(run(*inputs))
        sum(part.sum() for part in found if part.requires_grad).backward()
        results.append(found + (
            [] if name == 'sampler' else [part.grad for part in inputs]))
    torch.testing.assert_close(results[1], results[0])


@pytest.mark.parametrize('function', [
    lambda: nearest_keys(ROWS, KEYS, num_neighbors=3),
    lambda: spherical_kmeans(MAP, num_iters=3, grid=(3, 3)),
    lambda: tuple(find_segments(IDS.flatten(), 8)),
], ids=['nearest', 'clusters', 'segments'])
def test_compile__without_gradient(function):
    torch.testing.assert_close(flat(whole(function)()), flat(function()))


def test_compile__enqueue():
    banks = [ClassQueue(num_classes=CLASSES, capacity=50, embed_dims=8,
                        num_sections=2) for _ in range(2)]

    def fill(bank, maps):
        bank.enqueue(*pixels_and_regions(
            maps, LABELS, num_classes=CLASSES, num_pixels=1)[:2])
        return bank.written

    fill(banks[0], MAP)
    whole(fill)(banks[1], MAP)
    assert torch.equal(banks[0].written, banks[1].written)
    queues = [PrototypeQueue(capacity=9, embed_dims=8) for _ in range(2)]
    queues[0].enqueue(KEYS, KEY_LABELS)
    whole(queues[1].enqueue)(KEYS, KEY_LABELS)
    assert torch.equal(queues[0].keys, queues[1].keys)
    assert torch.equal(queues[0].read().labels, queues[1].read().labels)


def test_runner__compiled_training_ends_like_the_other(tmp_path):
    """mmengine's `compile` of a whole step, with the host's graph breaks."""
    tiny = pytest.importorskip('tiny')
    states = []
    for options in (None, dict(backend='aot_eager')):
        torch._dynamo.reset()
        model = tiny.sorting(bank=tiny.PROTOTYPE_QUEUE)
        run = tiny.runner(tmp_path / str(options is None), model, iters=2,
                          save=3)
        run.cfg.compile = options
        run.train()
        states.append(run.model.state_dict())
    torch.testing.assert_close(states[1], states[0], rtol=1e-4, atol=1e-4)
