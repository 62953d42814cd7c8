"""Measure images a second, and the share of metric heads in training."""
import statistics
import time
from contextlib import contextmanager
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence

import torch
from mmengine.config import Config
from torch import nn

from mmpixsort.functional.checks import check_count
from mmpixsort.utils.progress import progress

from .random_batch import Batch, build_segmentor, random_batch

WARMUP = 2  # calls that are not measured


class Speed(NamedTuple):
    """Times of a segmentor in seconds, one for each repetition.

    Attributes:
        size: Height and width of the images.
        num_images: Number of images of a training step.
        device: Name of the device.
        predict: Prediction of one image.
        step: Training step.
        plain_step: Training step without metric heads; empty if there are
            none.
    """

    size: Sequence[int]
    num_images: int
    device: str
    predict: List[float]
    step: List[float]
    plain_step: List[float]

    @property
    def share(self) -> Optional[float]:
        """Share of the metric heads in a training step, None without."""
        if not self.plain_step:
            return None
        return 1 - statistics.median(self.plain_step) / statistics.median(
            self.step)


def measure_speed(cfg: Config, *, size: Sequence[int],
                  num_images: Optional[int] = None, repeats: int = 10,
                  device: Optional[str] = None) -> Speed:
    """Measure a segmentor on random images.

    A training step is a forward pass with losses, a backward pass, and a step
    of SGD. Steps with and without the metric heads take turns, so that both
    see the same load of the machine. Metric heads are measured as after the
    warm-up. Loading of data is not measured.

    Args:
        cfg: Config of a segmentor.
        size: Height and width of the images.
        num_images: Number of images of a training step; None takes that of
            the config.
        repeats: Number of measured calls of each kind.
        device: Name of the device; None uses a GPU if there is one.

    Raises:
        ValueError: If a number is below 1.
    """
    check_count('repeats', repeats)
    if num_images is None:
        num_images = (cfg.get('train_dataloader') or {}).get('batch_size', 1)
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    model = build_segmentor(cfg, 'cpu').to(device)
    one = random_batch(cfg, model, size=size, num_images=1, device=device)
    batch = random_batch(cfg, model, size=size, num_images=num_images,
                         device=device)
    heads = list(getattr(model, 'metric_heads', ()))
    for head in heads:
        head.warmup_iters = 0
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    predict: List[float] = []
    steps: List[float] = []
    plain: List[float] = []
    with progress(WARMUP + repeats, 'measuring', unit='rounds') as advance:
        for number in range(WARMUP + repeats):
            found = [
                _seconds(lambda: _predict(model, one), device),
                _seconds(lambda: _step(model, optimizer, batch), device)]
            if heads:
                with without_metric_heads(model):
                    found.append(_seconds(
                        lambda: _step(model, optimizer, batch), device))
            if number >= WARMUP:
                for times, seconds in zip((predict, steps, plain), found):
                    times.append(seconds)
            advance()
    return Speed(tuple(size), num_images, device, predict, steps, plain)


@contextmanager
def without_metric_heads(model: nn.Module) -> Iterator[None]:
    """Let the metric heads of a segmentor compute nothing for a while."""
    heads = model.metric_heads
    for head in heads:
        head.loss = _no_loss
    try:
        yield
    finally:
        for head in heads:
            del head.loss


def _no_loss(*args, **kwargs) -> dict:
    return {}


def _predict(model: nn.Module, batch: Batch) -> None:
    model.eval()
    if getattr(model, 'retrieval', None) is not None:
        model.extract_embedding(batch.inputs)  # a bank would be needed
        return
    with torch.no_grad():
        model(batch.inputs, batch.data_samples, mode='predict')


def _step(model: nn.Module, optimizer: torch.optim.Optimizer,
          batch: Batch) -> None:
    model.train()
    losses = model(batch.inputs, batch.data_samples, mode='loss')
    total = sum(value for name, value in losses.items() if 'loss' in name)
    optimizer.zero_grad()
    if total.requires_grad:
        total.backward()
    optimizer.step()


def _seconds(run: Callable[[], None], device: str) -> float:
    """Return the time of a call, after the device has finished."""
    is_gpu = device.startswith('cuda')
    if is_gpu:
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if is_gpu:
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def describe_speed(speed: Speed) -> str:
    """Return the times as lines of text, with medians and ranges."""
    height, width = speed.size
    lines = [
        f'image: {height} x {width}, device: {speed.device}, threads: '
        f'{torch.get_num_threads()}',
        f'prediction: {1 / statistics.median(speed.predict):.2f} images a '
        f'second ({_range(speed.predict)} s an image)',
        f'training step of {speed.num_images} images: '
        f'{_range(speed.step)} s, '
        f'{speed.num_images / statistics.median(speed.step):.2f} images a '
        'second',
    ]
    if speed.share is not None:
        lines += [
            f'without metric heads: {_range(speed.plain_step)} s',
            f'share of the metric heads in a step: {speed.share:.1%}']
    return '\n'.join(lines)


def _range(times: List[float]) -> str:
    """Return median, minimum and maximum."""
    return (f'{statistics.median(times):.4f} '
            f'[{min(times):.4f}, {max(times):.4f}]')
