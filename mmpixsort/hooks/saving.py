"""Tell at which iteration a run is, and when it saves a checkpoint."""
from typing import Iterator

from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop


def checkpoint_hooks(runner) -> Iterator[CheckpointHook]:
    """Yield the hooks of a run that save checkpoints."""
    return (hook for hook in runner.hooks
            if isinstance(hook, CheckpointHook))


def saves_after_iter(runner) -> bool:
    """Return whether a checkpoint is saved after this iteration."""
    return any(
        not hook.by_epoch and
        (hook.every_n_train_iters(runner, hook.interval, hook.save_begin) or
         (hook.save_last and hook.is_last_train_iter(runner)))
        for hook in checkpoint_hooks(runner))


def saves_after_epoch(runner) -> bool:
    """Return whether a checkpoint is saved after this epoch."""
    return any(
        hook.by_epoch and
        (hook.every_n_epochs(runner, hook.interval, hook.save_begin) or
         (hook.save_last and hook.is_last_train_epoch(runner)))
        for hook in checkpoint_hooks(runner))


def iteration_of(runner) -> int:
    """Return the iteration of a run, or -1 for a run that does not train."""
    # `runner.iter` would build the training loop and its data set
    loop = runner._train_loop
    return loop.iter if isinstance(loop, BaseLoop) else -1
