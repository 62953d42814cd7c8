"""When a loss counts, and the state of training that it depends on."""
from typing import Tuple

from mmengine.logging import MessageHub

# 5000 of 40,000 iterations in the released configurations
WARMUP_SHARE = 8


def check_warmup(iterations: int, *, warmup_iters: int,
                 owner: str) -> None:
    """Refuse a warm-up that ends after the schedule.

    Args:
        iterations: Number of iterations of the schedule.
        warmup_iters: Number of iterations before the loss counts.
        owner: Name of the head that warms up, for the message.

    Raises:
        ValueError: When the loss never counts.
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
