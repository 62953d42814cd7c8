"""What each process does in the distributed tests.

A started process imports this by name; it could not import a test module.
"""
import tiny
import torch

from mmpixsort.banks import ClassQueue
from mmpixsort.functional.queues import pixels_and_regions
from mmpixsort.hooks import MemoryBankHook
from mmpixsort.utils.cpu_ddp import CPUDistributedDataParallel


def rows(rank, step):
    """Bank entries of one image of a rank."""
    g = torch.Generator().manual_seed(10 * step + rank)
    embeddings = torch.nn.functional.normalize(
        torch.randn(1, 4, 6, 6, generator=g), dim=1)
    labels = torch.randint(-1, 3, (1, 6, 6), generator=g)
    return pixels_and_regions(
        embeddings, labels, num_classes=3, num_pixels=2, generator=g)


def queue():
    return ClassQueue(
        num_classes=3, capacity=5, embed_dims=4, num_sections=2)


def fill(rank):
    """State of a bank after a few steps."""
    bank = queue()
    for step in range(4):
        bank.enqueue(*rows(rank, step))
    return bank.state_dict()


def steps(rank, changes, empty_rank):
    """Train a few steps under DDP; `empty_rank` sees no labels."""
    model = tiny.build(tiny.attached(**changes)).train()
    model = CPUDistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for step in range(4):
        images, samples = tiny.batch(seed=2 * step + rank)
        if rank == empty_rank:
            for sample in samples:
                sample.gt_sem_seg.data[:] = 255
        parts = model(images, samples, mode='loss')
        loss = sum(v for k, v in parts.items() if 'loss' in k)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(parts['loss_pixel_contrast'].item())
    return dict(losses=losses, state=model.module.state_dict())


def nan_on_one_rank(rank):
    """What the hook says when one rank has met NaN."""
    model = tiny.build(tiny.attached())
    if rank == 1:
        model.metric_head.nonfinite_iter.fill_(3)
    run = type('Run', (), dict(
        iter=0, max_iters=9, hooks=[], model=model))()
    try:
        MemoryBankHook(interval=1).after_train_iter(run, 0)
    except FloatingPointError as error:
        return str(error)
    return None


def resume(rank, work_dir):
    """States of an unbroken run and of one that resumes at half."""
    torch.manual_seed(0)
    whole = tiny.runner(
        work_dir, tiny.attached(), iters=4, save=2, ranks=True)
    whole.train()
    rest = tiny.runner(
        f'{work_dir}_rest', tiny.attached(), iters=4, resume=True,
        load_from=f'{work_dir}/iter_2.pth', ranks=True)
    rest.train()
    return [run.model.module.state_dict() for run in (whole, rest)]


SCENARIOS = dict(
    plain=(dict(), None),
    default_norm=(dict(
        projection=dict(type='mmpixsort.ProjectionHead')), None),
    warm_up=(dict(warmup_iters=2), None),
    gathered_keys=(dict(gather_keys=True, key_scope='batch'), None),
    empty_rank=(dict(bank=None), 1),
    empty_rank_gathered=(dict(gather_keys=True), 1),
)


def everything(rank, work_dir):
    """All of it, since starting the processes takes longest."""
    return dict(
        fill=fill(rank), nan=nan_on_one_rank(rank),
        resume=resume(rank, work_dir=work_dir),
        steps={name: steps(rank, *scenario)
               for name, scenario in SCENARIOS.items()})
