"""Random generators that a resumed training reproduces."""
import torch


def keyed_generator(seed: int, iteration: int, rank: int,
                    device: torch.device) -> torch.Generator:
    """Return a generator that is seeded by a run, an iteration and a rank.

    The draws do not depend on earlier draws, so a resumed run draws the same
    numbers as an unbroken one, and no generator state has to be saved.

    Args:
        seed: Seed of the run.
        iteration: Iteration of the training, from 0.
        rank: Rank of the process, from 0.
        device: Device on which the numbers are drawn.

    Example:
        >>> generator = keyed_generator(0, 7, 0, torch.device('cpu'))
        >>> torch.randint(10, (3,), generator=generator).shape
        torch.Size([3])
    """
    key = 0
    for part in (seed, iteration, rank):
        key = (key * 1_000_003 + part + 1) % (1 << 63)
    return torch.Generator(device=device).manual_seed(key)
