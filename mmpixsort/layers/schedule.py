"""When a loss counts, and the state of training that it depends on."""
from typing import Tuple

from mmengine.logging import MessageHub

# 5000 of 40,000 iterations in the released configurations
WARMUP_SHARE = 8


def warmup_weight(iteration: int, *, warmup_iters: int,
                  ramp_iters: int) -> float:
    """Return the weight of a loss: 0, then a linear ramp, then 1.

    Args:
        iteration: Iteration of the training, from 0.
        warmup_iters: Iterations of weight 0.
        ramp_iters: Iterations of the ramp that follows.

    Example:
        >>> [warmup_weight(i, warmup_iters=10, ramp_iters=4)
        ...  for i in (9, 10, 11, 14)]
        [0.0, 0.2, 0.4, 1.0]
    """
    passed = iteration - warmup_iters
    if passed < 0:
        return 0.
    return min(1., (passed + 1) / (ramp_iters + 1))


def check_warmup(iterations: int, *, warmup_iters: int, ramp_iters: int,
                 owner: str) -> None:
    """Refuse a warm-up that ends after the schedule.

    Args:
        iterations: Number of iterations of the schedule.
        warmup_iters: Iterations of weight 0.
        ramp_iters: Iterations of the ramp that follows.
        owner: What warms up, as the message names it.

    Raises:
        ValueError: When the loss never counts, or never in full.
    """
    if warmup_iters < iterations and (
            warmup_iters + ramp_iters <= iterations):
        return
    raise ValueError(
        f'`warmup_iters` of {owner} must end within the schedule of '
        f'{iterations} iterations, got {warmup_iters} and `ramp_iters` '
        f'{ramp_iters}, with which its loss would '
        + ('stay 0 to the end' if warmup_iters >= iterations else
           'never reach its weight')
        + f'; set `warmup_iters` to {iterations // WARMUP_SHARE}, an eighth '
        'of the schedule as in the released configurations, or train longer')


class TrainingClock:
    """Iteration and seed of the run, from mmengine's message hub.

    Outside a run, where the hub knows none, calls are counted instead.
    """

    def __init__(self) -> None:
        self.calls = -1

    def tick(self) -> Tuple[int, int]:
        """Return the seed and the iteration of this call."""
        hub = MessageHub.get_current_instance()
        self.calls += 1
        if hub.get_info('loop_stage', None) != 'train':
            return 0, self.calls
        return hub.get_info('seed', 0) or 0, hub.get_info('iter', self.calls)
