"""A hook for the runs of a study: random states, hashes and progress.

With equal seeds, the order and augmentation of images start from the same
random state in all arms. Hashes of the images and of the initial weights are
stored, so that a report can tell whether they were equal in all arms.
Checkpoints contain torch's random state, so that a resumed run gives the same
result as an uninterrupted one.
"""
import hashlib
import json
import random
import time
from pathlib import Path
from statistics import median
from typing import Dict, List, Mapping, Optional, Tuple

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmpixsort.hooks.rng_state import get_rng_state, set_rng_state
from mmpixsort.utils.files import write_whole
from mmpixsort.utils.hashing import value_bytes
from mmpixsort.utils.wrapped import unwrap

KEY = 'mmpixsort_study'  # key of the hook's state in checkpoints
WARM = 5  # number of first iterations of a process that are not timed


class StudyHook(Hook):
    """Seed a run, hash its weights and images, and report its progress.

    Args:
        seed: Seed of the run.
        progress: Path of the file that the progress is written to.
        every: Number of seconds between two writes.
    """

    # it must run before hooks that read the weights or draw random numbers
    priority = 'VERY_HIGH'

    def __init__(self,
                 *,
                 seed: int,
                 progress: Path,
                 every: float = 5.) -> None:
        self.seed = seed
        self.progress = progress
        self.every = every
        self.state = dict(initial_weights={}, images='', seconds=0.)
        self._times = []
        self._last = self._written = None
        self._rng = None

    def before_train(self, runner: Runner) -> None:
        """Hash the weights and set the seeds, unless the run is resumed."""
        self._last = time.perf_counter()
        if self._rng is not None:
            return
        self.state['initial_weights'] = part_hashes(unwrap(runner.model))
        random.seed(self.seed)
        np.random.seed(self.seed)
        torch.manual_seed(self.seed)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Optional[dict] = None) -> None:
        """Restore the random state of a resumed run, and hash the images."""
        if self._rng is not None:
            set_rng_state(self._rng)
            self._rng = None
        digest = hashlib.blake2b(self.state['images'].encode(), digest_size=8)
        inputs = data_batch['inputs']
        for image in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
            digest.update(np.ascontiguousarray(image.cpu().numpy()).data)
        self.state['images'] = digest.hexdigest()

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Time the iteration, and write the progress every few seconds."""
        now = time.perf_counter()
        self._times.append(now - self._last)
        self.state['seconds'] += now - self._last
        self._last = now
        if self._written is None or now - self._written > self.every:
            self._written = now
            write_progress(
                self.progress, phase='train', done=runner.iter + 1,
                of=runner.max_iters, step=self.step_time())

    def before_save_checkpoint(self, runner: Runner,
                               checkpoint: dict) -> None:
        """Store hashes and random state in the checkpoint."""
        # JSON makes a deep copy, which does not change later
        checkpoint[KEY] = dict(
            state=json.dumps(self.state), rng=get_rng_state())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore hashes and random state of an interrupted run."""
        if runner._resume and KEY in checkpoint:
            self.state = json.loads(checkpoint[KEY]['state'])
            self._rng = checkpoint[KEY]['rng']

    def step_time(self) -> float:
        """Return the median time of an iteration in seconds."""
        return median(self._times[WARM:] or self._times or [0.])


def part_hashes(model: nn.Module) -> Dict[str, str]:
    """Return hashes of the parameters of every part of a model.

    Args:
        model: Model whose parts are children of its children, such as
            `backbone.layer1`.

    Returns:
        A dict from the name of each part to ``NAMES:VALUES``: 8 hex digits
        of the names and shapes of its parameters, and 16 of their values.
    """
    parts: Dict[str, list] = {}
    for name, value in model.named_parameters():
        part = '.'.join(name.split('.')[:2])
        parts.setdefault(part, []).append((name, value))
    return {part: _hash(named) for part, named in parts.items()}


def _hash(named: List[Tuple[str, Tensor]]) -> str:
    names, values = (hashlib.blake2b(digest_size=n) for n in (4, 8))
    for name, value in named:
        names.update(f'{name} {tuple(value.shape)}'.encode())
        values.update(value_bytes(value))
    return f'{names.hexdigest()}:{values.hexdigest()}'


def same_weights(first: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two models agree in the parameters that both have.

    Args:
        first: Hashes of the parts of a model; see :func:`part_hashes`.
        other: Hashes of the parts of another model.
    """
    return not any(
        first[part] != other[part] for part in first if part in other
        and first[part].split(':')[0] == other[part].split(':')[0])


def write_progress(path: Path, **progress) -> None:
    """Write the progress of a run to a file that other processes read."""
    write_whole(path, json.dumps(dict(progress, time=time.time())))
