"""What the processes of the tests of metrics run; they import this file."""
import torch
import torch.distributed as dist

from mmpixsort.metrics import BoundaryFMetric

NAMES = ('road', 'car', 'tree')


def sample(prediction, truth):
    return dict(pred_sem_seg=dict(data=prediction[None]),
                gt_sem_seg=dict(data=truth[None]))


def data_set(count=5, size=(12, 14)):
    g = torch.Generator().manual_seed(0)
    samples = []
    for i in range(count):
        truth = torch.randint(i % 2 + 2, size, generator=g)
        truth[:4], truth[4:8, :6] = 0, 1
        prediction = truth.roll(i, 1)
        truth[-1, :3] = 255
        samples.append(sample(prediction, truth.byte()))
    return samples


def evaluate_rank(rank):
    metric = BoundaryFMetric(tolerance=1)
    metric.dataset_meta = dict(classes=NAMES)
    # as the sampler of the engine pads: the first again, for an equal share
    samples = data_set() + data_set()[:1]
    metric.process({}, samples[rank::dist.get_world_size()])
    return metric.evaluate(5)
