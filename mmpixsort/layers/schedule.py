"""When a loss counts, and the state of training that it depends on."""
from typing import Tuple

from mmengine.logging import MessageHub


def warmup_weight(iteration: int, *, warmup_iters: int,
                  ramp_iters: int) -> float:
    """Return the weight of a loss: 0, then a linear ramp, then 1.

    Args:
        iteration: Of training, from 0.
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
