"""What each process does in the distributed tests.

A started process imports this by name; it could not import a test module.
"""
import tiny
import tiny_instances
import tiny_text
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData

from mmpixsort.banks import ClassQueue
from mmpixsort.functional.contrast.queues import pixels_and_regions
from mmpixsort.hooks import MemoryBankHook
from mmpixsort.registry import MODELS
from mmpixsort.utils.cpu_ddp import CPUDistributedDataParallel

QUEUE = tiny.PROTOTYPE_QUEUE
METRIC_LOSSES = {'loss_pixel_contrast', 'loss_segsort'}
RESUMED = ('plain', 'sorting')


def rows(rank, step):
    """Bank entries of images of a rank: one on rank 0, more on rank 1."""
    g = torch.Generator().manual_seed(10 * step + rank)
    images = 1 + rank * (step % 3)
    embeddings = torch.nn.functional.normalize(
        torch.randn(images, 4, 6, 6, generator=g), dim=1)
    labels = torch.randint(-1, 3, (images, 6, 6), generator=g)
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


def steps(rank, config, empty_rank):
    """Train a few steps under DDP; `empty_rank` sees no labels."""
    model = tiny.build(config).train()
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
        losses += [parts[name].item() for name in METRIC_LOSSES & set(parts)]
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


def resume(rank, work_dir, config):
    """States of an unbroken run and of one that resumes at half."""
    torch.manual_seed(0)
    whole = tiny.runner(work_dir, config, iters=4, save=2, ranks=True)
    whole.train()
    rest = tiny.runner(
        f'{work_dir}_rest', config, iters=4, resume=True,
        load_from=f'{work_dir}/iter_2.pth', ranks=True)
    rest.train()
    return [run.model.module.state_dict() for run in (whole, rest)]


def sorting_part(bank, segments='clusters', num_views=1):
    """Head of segment sorting, and the loss of images of a seed."""
    head = MODELS.build(tiny.sorting_head(
        bank=bank, segments=segments, num_views=num_views, projection=dict(
            type='mmpixsort.ProjectionHead', norm_cfg=None)))
    g = torch.Generator().manual_seed(1)
    features = torch.randn(4, num_views, 16, 8, 8, generator=g)
    labels = torch.randint(0, 4, (4, 1, 32, 32), generator=g)
    labels[0, :, :20] = labels[3] = 255  # pixels count, not images
    samples = [[tiny.sample(label)] * num_views for label in labels]
    for views in samples:
        views[0].gt_overseg = PixelData(
            data=torch.arange(4).repeat_interleave(256).view(1, 32, 32))
    return head, lambda share: head.loss(
        (None, features[share].flatten(0, 1)), sum(samples[share], []))


def detector_part(config):
    """Head of a detector, and the loss of images of a seed."""
    init_default_scope('mmdet')
    head = config['head']
    head = MODELS.build(
        dict(head, trunk=dict(head['trunk'], norm_cfg=None)))
    g = torch.Generator().manual_seed(1)
    levels = [torch.randn(4, size, 16, 16, generator=g) for size in (8, 16)]
    items = [tiny_instances.item(seed=i, blobs=2 + i) for i in range(4)]
    samples = tiny_instances.with_stuff([sample for _, sample in items])
    samples[3].gt_instance_map.data[:] = -1
    samples[3].gt_sem_seg.sem_seg[:] = 255
    for sample in samples:
        sample.set_metainfo(dict(batch_input_shape=(32, 32)))
    return head, lambda share: head.loss(
        [level[share] for level in levels], samples[share])


JOINT = dict(
    sorting=(sorting_part, (QUEUE, ), ('loss_segsort', )),
    regions=(sorting_part, (None, 'oversegmentation'), ('loss_segsort', )),
    views=(sorting_part, (None, 'oversegmentation', 2), ('loss_segsort', )),
    panoptic=(detector_part, (
        tiny_instances.panoptic(dict(bank=QUEUE)), ),
              ('loss_panoptic_segsort', )),
    instances=(detector_part, (tiny_instances.config(), ),
               ('loss_pull', 'loss_push', 'loss_reg')))
SHARES = dict(equal=(0, 2, 4), unequal=(0, 3, 4), empty=(0, 1, 4))


def joint(name, share):
    """Loss, and gradients of the weights, of a share of four images."""
    make, arguments, names = JOINT[name]
    torch.manual_seed(0)
    head, loss_of = make(*arguments)
    losses = []
    for _ in range(2):  # the second with a bank
        head.zero_grad()
        parts = loss_of(share)
        loss = sum(parts[part] for part in names)
        loss.backward()
        losses.append(loss.item())
    bank = getattr(head, 'bank', None)
    return dict(losses=losses, bank=bank and bank.state_dict(),
                grads=[p.grad for p in head.parameters()
                       if p.grad is not None])


def joint_shares(rank):
    """What :func:`joint` says of the share of a rank."""
    return {(name, how): joint(name, slice(*bounds[rank:rank + 2]))
            for name in JOINT for how, bounds in SHARES.items()}


def detector(rank, config, loss_name):
    """Train a detector a few steps under DDP; one rank sees nothing."""
    model = CPUDistributedDataParallel(
        tiny_instances.build_config(config).train())
    optimizer = torch.optim.SGD(model.parameters(), lr=.01)
    losses = []
    for step in range(3):
        inputs, samples = tiny_instances.batch(
            (32, 32), (32, 32), model=model.module)
        tiny_instances.with_stuff(samples)
        if rank == 1:
            for sample in samples:
                sample.gt_instance_map.data[:] = -1
                sample.gt_sem_seg.sem_seg[:] = 255
        parts = model(inputs, samples, mode='loss')
        total, log = model.module.parse_losses(parts)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(log[loss_name].item())
    return dict(losses=losses, state=model.module.state_dict())


def text_grouping(rank):
    """Train from captions under DDP; one rank has none."""
    model = CPUDistributedDataParallel(tiny_text.build().train())
    optimizer = torch.optim.SGD(model.parameters(), lr=.01)
    losses = []
    for _ in range(3):
        texts = ('', '') if rank == 1 else ('a disk and a ring', 'a square')
        total, log = model.module.parse_losses(model(
            *tiny_text.captioned(model.module, texts), mode='loss'))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(log['loss_n2r'].item())
    return dict(losses=losses, state=model.module.state_dict())


DETECTORS = dict(
    instances=(tiny_instances.config(), 'loss_pull'),
    panoptic=(tiny_instances.panoptic(dict(bank=QUEUE)),
              'loss_panoptic_segsort'))
SCENARIOS = dict(
    plain=(tiny.attached(), None),
    default_norm=(tiny.attached(
        projection=dict(type='mmpixsort.ProjectionHead')), None),
    warm_up=(tiny.attached(warmup_iters=2), None),
    gathered_keys=(tiny.attached(
        keys=dict(gather=True, scope='batch')), None),
    empty_rank=(tiny.attached(bank=None), 1),
    empty_rank_gathered=(tiny.attached(keys=dict(gather=True)), 1),
    sorting=(tiny.sorting(bank=QUEUE), None),
    sorting_without_classifier=(tiny.sorting('decoder', 'none'), None),
    sorting_warm_up=(tiny.sorting(bank=QUEUE, warmup_iters=2), None),
    sorting_empty_rank=(tiny.sorting(bank=QUEUE), 1),
)


def everything(rank, work_dir):
    """All of it, since starting the processes takes longest."""
    return dict(
        fill=fill(rank), nan=nan_on_one_rank(rank),
        joint=joint_shares(rank),
        text=text_grouping(rank),
        detectors={name: detector(rank, *job)
                   for name, job in DETECTORS.items()},
        resume={
            name: resume(rank, f'{work_dir}_{name}', SCENARIOS[name][0])
            for name in RESUMED},
        steps={name: steps(rank, *scenario)
               for name, scenario in SCENARIOS.items()})
