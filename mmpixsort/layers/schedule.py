"""Warm-up of losses, and the iteration and seed of a training."""
from typing import Tuple

from mmengine.logging import MessageHub

# the warm-up is an eighth of the schedule, as in the configs of the authors'
# released code: 5000 of 40,000 iterations
WARMUP_SHARE = 8


def check_warmup(iterations: int, *, warmup_iters: int,
                 owner: str) -> None:
    """Raise unless a warm-up ends before the schedule does.

    Args:
        iterations: Number of iterations of the schedule.
        warmup_iters: Number of first iterations in which the loss is 0.
        owner: Name of the head that warms up, for the error message.

    Raises:
        ValueError: If the loss would be 0 in all iterations.
    """
    if warmup_iters < iterations:
        return
    raise ValueError(
        f'`warmup_iters` of {owner} must end within the schedule of '
        f'{iterations} iterations, got {warmup_iters}, with which its loss '
        'would stay 0 to the end; set `warmup_iters` to '
        f'{iterations // WARMUP_SHARE}, an eighth '
        'of the schedule as in the released configurations, or train longer')


class TrainingClock:
    """Iteration and seed of a training run, from mmengine's message hub.

    Outside a training run, the iteration is the number of earlier calls.
    """

    def __init__(self) -> None:
        self.calls = -1

    def tick(self) -> Tuple[int, int]:
        """Return the seed and the current iteration."""
        hub = MessageHub.get_current_instance()
        self.calls += 1
        if hub.get_info('loop_stage', None) != 'train':
            return 0, self.calls
        return hub.get_info('seed', 0) or 0, hub.get_info('iter', self.calls)
