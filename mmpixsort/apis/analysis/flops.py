"""Count the operations of a segmentor and of its metric heads."""
from typing import List, NamedTuple, Optional, Sequence

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmpixsort.apis.attach.host_probe import last_head
from mmpixsort.layers import tap

from .random_batch import build_head, build_segmentor, random_batch

TRAINING = 3  # a forward and a backward pass, in forward passes


class HeadCost(NamedTuple):
    """Cost of a metric head.

    Attributes:
        name: Class of the head.
        parameters: Number of its parameters.
        projection: Multiply-adds of the projection of one image.
        loss: Multiply-adds of the loss of a batch, forward and backward, with
            clustering and sampling.
        bank_bytes: Size of its bank.
    """

    name: str
    parameters: int
    projection: int
    loss: int
    bank_bytes: int


class Cost(NamedTuple):
    """Cost of a segmentor.

    Attributes:
        size: Height and width of the images.
        num_images: Number of images of a batch of training.
        parameters: Number of parameters of the host.
        host: Multiply-adds of the host for one image, as in a test.
        heads: Costs of the metric heads.
    """

    size: Sequence[int]
    num_images: int
    parameters: int
    host: int
    heads: List[HeadCost]

    @property
    def share(self) -> float:
        """Share of the metric heads in a training step, by operations."""
        extra = sum(self.num_images * TRAINING * head.projection + head.loss
                    for head in self.heads)
        return extra / (extra + self.num_images * TRAINING * self.host)


def count_flops(cfg: Config, *, size: Sequence[int],
                num_images: Optional[int] = None) -> Cost:
    """Count the multiply-adds of convolutions and matrix products.

    The network runs on tensors without data, so that a large image takes no
    time. The losses of the metric heads run on random features. Auxiliary
    heads are not counted, as in a test.

    Args:
        cfg: Config of a segmentor.
        size: Height and width of the images.
        num_images: Number of images of a batch of training; None takes that
            of the config.
    """
    if num_images is None:
        num_images = (cfg.get('train_dataloader') or {}).get('batch_size', 1)
    model = build_segmentor(cfg, 'meta').eval()
    one = random_batch(cfg, model, size=size, num_images=1, device='meta')
    features = model.neck if model.with_neck else model.backbone
    with tap(features) as levels, torch.no_grad(), tap(
            getattr(last_head(model), 'conv_seg', None)) as classified:
        host = _count(lambda: model(one.inputs, mode='tensor'))
    heads = list(getattr(model, 'metric_heads', ()))
    costs = []
    if heads:
        decoder, logits = _of_batch(classified[-1] if classified else None,
                                    num_images)
        maps = _of_batch(levels[-1][1], num_images)
        batch = random_batch(cfg, model, size=size, num_images=num_images)
        parts = cfg.model.metric_head
        costs = [_head_cost(build_head(part), maps, decoder, logits,
                            batch.data_samples)
                 for part in (parts if isinstance(parts, list) else [parts])]
    extra = sum(_parameters(head) for head in heads)
    auxiliary = getattr(model, 'auxiliary_head', None)
    extra += 0 if auxiliary is None else _parameters(auxiliary)
    return Cost(tuple(size), num_images, _parameters(model) - extra, host,
                costs)


def _head_cost(head: nn.Module, levels: Sequence[Tensor],
               decoder: Optional[Tensor], logits: Optional[Tensor],
               samples: List) -> HeadCost:
    """Return the cost of a head on random features of a batch."""
    head.warmup_iters = 0
    with torch.no_grad():
        feature = head.feature(levels, decoder)
        projection = _count(lambda: head.projection(feature))

    def step() -> None:
        losses = head.loss(levels, samples, logits=logits,
                           decoder_feature=decoder)
        sum(value for name, value in losses.items()
            if 'loss' in name).backward()

    # a backward pass of the projection has twice the products of a forward
    loss = _count(step) - TRAINING * projection
    bank = getattr(head, 'bank', None)
    size = 0 if bank is None else sum(
        buffer.numel() * buffer.element_size() for buffer in bank.buffers())
    return HeadCost(type(head).__name__, _parameters(head),
                    projection // len(feature), max(loss, 0), size)


def _of_batch(maps, num_images: int):
    """Return random maps on the CPU, of the sizes of maps of one image."""
    if maps is None:  # of a classifier that was not called
        return None, None
    return tuple(
        torch.randn(num_images, *one.shape[1:], requires_grad=True)
        if isinstance(one, Tensor) and one.dim() == 4 else None
        for one in maps)


def _count(run) -> int:
    """Return the multiply-adds of a call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def describe_cost(cost: Cost) -> str:
    """Return the cost as lines of text."""
    height, width = cost.size
    lines = [
        f'image: {height} x {width}',
        f'host, as in a test: {cost.parameters / 1e6:.2f} M parameters, '
        f'{cost.host / 1e9:.2f} G multiply-adds for an image',
    ]
    for head in cost.heads:
        lines.append(
            f'{head.name}, in training only: {head.parameters / 1e6:.2f} M '
            f'parameters, {head.projection / 1e9:.2f} G multiply-adds of the '
            f'projection for an image, {head.loss / 1e9:.2f} G of the loss '
            f'for a batch of {cost.num_images}, bank of '
            f'{head.bank_bytes / 1e6:.1f} MB')
    if cost.heads:
        lines.append('share of the metric heads in the multiply-adds of a '
                     f'training step: {cost.share:.1%}')
    return '\n'.join(lines)
