"""Hook that measures the threshold for merging segments to instances."""
import copy
import random
from contextlib import contextmanager
from logging import WARNING
from typing import Iterator, Optional

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from torch import Tensor, nn

from mmpixsort.functional.checks import check_count
from mmpixsort.functional.segments.graph import linkage_threshold
from mmpixsort.registry import HOOKS
from mmpixsort.utils.progress import progress
from mmpixsort.utils.wrapped import unwrap

from .rng_state import get_rng_state, set_rng_state
from .saving import iteration_of, saves_after_epoch, saves_after_iter


@HOOKS.register_module()
class LinkageThresholdHook(Hook):
    """Set the threshold of a head that merges segments into instances.

    The threshold lies half way between the mean cosine of segments of the
    same instance and that of segments of different instances. It is measured
    on the things of annotated training images. Only pairs of segments that
    touch are counted, whatever their classes, because merging starts from
    these. If the images have no such pair within, or none between,
    instances, all pairs of each image are counted.

    The threshold is measured before a checkpoint is saved, or before a
    validation if no checkpoint was saved just then. The checkpoint stores it
    with its iteration, and a test measures it again if it belongs to other
    weights. With EMA it is measured with the averaged weights, before every
    validation and before the test of a checkpoint. All ranks share the work.
    If `rules.threshold` of the head is set, this hook does nothing.

    The hook builds its data set once. Augmentation is seeded with the index
    of the image, so the threshold depends on the weights alone. All random
    states are restored.

    Args:
        num_images: Number of images to use, evenly spread over the data set.
        dataset: Config of the data set of annotated images. None means the
            data set of `train_dataloader`, including its augmentation.

    Raises:
        ValueError: If `num_images` is below 1.
    """

    # after EMAHook has swapped the weights, before CheckpointHook saves
    priority = 'BELOW_NORMAL'

    def __init__(self,
                 *,
                 num_images: int = 64,
                 dataset: Optional[dict] = None) -> None:
        check_count('num_images', num_images)
        self.num_images = num_images
        self.dataset = dataset
        self._built = None
        self._loaded_iter = None

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Remember the iteration of the weights that are loaded."""
        self._loaded_iter = (checkpoint.get('meta') or {}).get('iter', -1)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Measure the threshold if a checkpoint is saved next."""
        if saves_after_iter(runner) and not _averages(runner):
            self._measure(runner, runner.iter + 1)

    def after_train_epoch(self, runner) -> None:
        """Measure the threshold if a checkpoint is saved next."""
        if saves_after_epoch(runner) and not _averages(runner):
            self._measure(runner, runner.iter)

    def before_val_epoch(self, runner) -> None:
        """Measure the threshold unless it belongs to this iteration."""
        head = getattr(unwrap(runner.model), 'head', None)
        # averaged weights do not belong to an iteration
        iteration = -1 if _averages(runner) else iteration_of(runner)
        if iteration < 0 or getattr(
                head, 'threshold_iter', None) != iteration:
            self._measure(runner, iteration)

    def before_test_epoch(self, runner) -> None:
        """Measure the threshold unless the checkpoint holds a valid one."""
        head = getattr(unwrap(runner.model), 'head', None)
        if getattr(head, 'threshold', None) is None:
            return
        loaded = self._loaded_iter
        if head.threshold > 1 or (
                loaded is not None and head.threshold_iter != loaded):
            self._measure(runner, -1 if loaded is None else loaded)

    @torch.no_grad()
    def _measure(self, runner, iteration: int) -> None:
        """Measure the threshold and store it with the iteration.

        Args:
            runner: Runner with the model.
            iteration: Iteration of the weights; -1 if they belong to none.
        """
        model = unwrap(runner.model)
        head = getattr(model, 'head', None)
        rules = getattr(head, 'rules', None)
        if rules is None or rules.threshold is not None:
            return
        if self._built is None:
            self._built = DATASETS.build(self._config(runner))
        training = model.training
        model.eval()
        total = self._statistics(model, touching=True)
        if (total[1] == 0).any():
            total = self._statistics(model, touching=False)
        model.train(training)
        head.threshold_iter.fill_(iteration)
        if (total[1] == 0).any():
            print_log(
                f'no threshold can be measured on {self.num_images} images, '
                'as none has an instance of two segments, or none has two '
                'instances; it is set to 0.5: set `rules.threshold`, or a '
                'smaller `cell_area`', 'current',
                WARNING)
            head.threshold.fill_(.5)
            return
        within, between = (total[0] / total[1]).tolist()
        head.threshold.fill_(linkage_threshold(within, between))
        print_log(
            f'mean cosine {within:.3f} within and {between:.3f} between '
            'instances: segments merge above a cosine of '
            f'{float(head.threshold):.3f}', 'current')

    def _config(self, runner) -> dict:
        """Return the config of the data set.

        Raises:
            ValueError: If neither this hook nor the run has one.
        """
        if self.dataset is not None:
            return copy.deepcopy(self.dataset)
        loader = runner.cfg.get('train_dataloader')
        if loader is None:
            raise ValueError(
                '`train_dataloader` must be in the config, as the merging '
                'threshold is measured on its images, got None; set '
                '`dataset` of LinkageThresholdHook, or `rules.threshold` '
                'of the head')
        return copy.deepcopy(loader['dataset'])

    def _statistics(self, model: nn.Module, *, touching: bool) -> Tensor:
        """Return the pair statistics (2, 2), summed over all ranks."""
        length = len(self._built)
        count = min(self.num_images, length)
        chosen = [i * length // count for i in range(count)]
        total = torch.zeros(2, 2, dtype=torch.float64)
        own = chosen[get_rank()::get_world_size()]
        with progress(len(own), 'merge threshold', bar=False) as advance:
            for i in own:
                with seeded(i):
                    data = self._built[i]
                batch = model.data_preprocessor(pseudo_collate([data]), False)
                total += model.head.pair_statistics(
                    model.extract_feat(batch['inputs']),
                    batch['data_samples'], touching=touching).cpu()
                advance()
        total = total.to(model.head.threshold.device)
        all_reduce(total, 'sum')
        return total


def _averages(runner) -> bool:
    """Return whether averaged weights are validated and saved (EMA)."""
    return any(isinstance(hook, EMAHook) for hook in runner.hooks)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all random generators inside of the block, then restore them.

    Args:
        seed: Seed of `random`, NumPy and torch.
    """
    states = random.getstate(), np.random.get_state(), get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        set_rng_state(states[2])
