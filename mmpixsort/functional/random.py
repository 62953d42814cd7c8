"""Random numbers that repeat."""
import torch


def keyed_generator(seed: int, iteration: int, rank: int,
                    device: torch.device) -> torch.Generator:
    """Return a generator keyed by seed, iteration and rank.

    A draw does not depend on what was drawn before, so a resumed run draws
    what the unbroken one did, and no state has to be kept.

    Args:
        seed: Seed of the run.
        iteration: Iteration of the training, from 0.
        rank: Rank of the process, from 0.
        device: Where the numbers are drawn.

    Example:
        >>> generator = keyed_generator(0, 7, 0, torch.device('cpu'))
        >>> torch.randint(10, (3,), generator=generator).shape
        torch.Size([3])
    """
    key = 0
    for part in (seed, iteration, rank):
        key = (key * 1_000_003 + part + 1) % (1 << 63)
    return torch.Generator(device=device).manual_seed(key)
