"""Measure where segments should stop to merge."""
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

    Before a validation or test it takes the middle between the mean cosine
    within and between instances of annotated training images. Their regions
    are those of the annotation; of their segments those pairs count that
    touch, as merging starts from these, whatever their classes. Where no two
    instances touch, all pairs of an image count. All ranks share the work,
    and the head keeps the number in its checkpoints, with the iteration it
    is of. As the host saves before it validates, the number is measured
    before a checkpoint is saved; a test measures again where the number is
    of other weights, as under EMA, whose averaged weights come in later.
    Nothing happens for a head with a threshold of its own.

    The data set is built once, beside that of the training. Augmentation is
    seeded by the number of the image, so that only the weights change what
    is measured, and all random states are put back.

    Args:
        num_images: Number of images of the training set to use, evenly spread.
        dataset: Config of annotated images; None: that of
            `train_dataloader` as it is, with its augmentation.

    Raises:
        ValueError: On `num_images` below 1.
    """

    # after hooks that exchange the weights, before checkpoints are saved
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
        """Note of which iteration the weights are."""
        self._loaded_iter = (checkpoint.get('meta') or {}).get('iter', -1)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Measure for the checkpoint that is saved next."""
        if saves_after_iter(runner) and not _averages(runner):
            self._measure(runner, runner.iter + 1)

    def after_train_epoch(self, runner) -> None:
        """Measure for the checkpoint that is saved next."""
        if saves_after_epoch(runner) and not _averages(runner):
            self._measure(runner, runner.iter)

    def before_val_epoch(self, runner) -> None:
        """Measure, unless that was done for a checkpoint just now."""
        head = getattr(unwrap(runner.model), 'head', None)
        # averaged weights are those of no iteration
        iteration = -1 if _averages(runner) else iteration_of(runner)
        if iteration < 0 or getattr(
                head, 'threshold_iter', None) != iteration:
            self._measure(runner, iteration)

    def before_test_epoch(self, runner) -> None:
        """Measure, unless the checkpoint holds the number of its weights."""
        head = getattr(unwrap(runner.model), 'head', None)
        if getattr(head, 'threshold', None) is None:
            return
        loaded = self._loaded_iter
        if head.threshold > 1 or (
                loaded is not None and head.threshold_iter != loaded):
            self._measure(runner, -1 if loaded is None else loaded)

    @torch.no_grad()
    def _measure(self, runner, iteration: int) -> None:
        """Measure with the weights of an iteration, -1: of none."""
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
                'no instance of two segments or no two instances in '
                f'{self.num_images} images: segments merge above 0.5; set '
                '`rules.threshold`, or a smaller `cell_area`', 'current',
                WARNING)
            head.threshold.fill_(.5)
            return
        within, between = (total[0] / total[1]).tolist()
        head.threshold.fill_(linkage_threshold(within, between))
        print_log(
            f'mean cosine within instances {within:.3f}, between {between:.3f}'
            f': segments merge above {float(head.threshold):.3f}', 'current')

    def _config(self, runner) -> dict:
        """Return the config of the data set.

        Raises:
            ValueError: When there is none.
        """
        if self.dataset is not None:
            return copy.deepcopy(self.dataset)
        loader = runner.cfg.get('train_dataloader')
        if loader is None:
            raise ValueError(
                '`train_dataloader` must be in the config, as the threshold '
                'of merging is measured on its images, got None; give '
                '`dataset` to LinkageThresholdHook, or set `rules.threshold` '
                'of the head')
        return copy.deepcopy(loader['dataset'])

    def _statistics(self, model: nn.Module, *, touching: bool) -> Tensor:
        """Return sums over the images of all ranks (2, 2)."""
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
    """Return whether other weights are tested and saved than are trained."""
    return any(isinstance(hook, EMAHook) for hook in runner.hooks)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw what a seed gives, and put all random states back.

    Args:
        seed: Seed of random, numpy and torch.
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
