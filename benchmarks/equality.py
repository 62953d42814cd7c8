"""Both sides of a case must compute the same before they are timed."""
from typing import Dict, NamedTuple, Sequence

from torch import Tensor


class UnequalResults(ValueError):
    """The two sides of a case do not compute the same."""


class Equal(NamedTuple):
    """A result of both sides.

    Attributes:
        what: Its name, 'gradient of the map'.
        ours: Result of this package.
        peer: Result of the peer, of the same shape.
        limit: Largest difference allowed: of numbers the largest absolute
            one as a share of the largest number, of integers the share of
            those that differ.
    """

    what: str
    ours: Tensor
    peer: Tensor
    limit: float


def difference(ours: Tensor, peer: Tensor) -> float:
    """Return how far two results are apart; see :class:`Equal`.

    Two results of different shapes, and one that is not finite, are
    infinitely far apart.
    """
    if ours.shape != peer.shape:
        return float('inf')
    if ours.numel() == 0:
        return 0.
    if not ours.is_floating_point():
        return (ours != peer).double().mean().item()
    gap = (ours.double() - peer.double()).abs().max()
    gap = gap / peer.double().abs().max().clamp(min=1e-30)
    return gap.item() if gap.isfinite() else float('inf')


def check_equal(where: str, equals: Sequence[Equal]) -> Dict[str, float]:
    """Return the differences by name.

    Raises:
        UnequalResults: When one is above its limit, or nothing is compared.
    """
    if not equals:
        raise UnequalResults(f'{where}: nothing is compared')
    gaps = {}
    for equal in equals:
        gap = difference(equal.ours, equal.peer)
        if not gap <= equal.limit:
            raise UnequalResults(
                f'{where}: {equal.what} must be equal to {equal.limit:g}, '
                f'but differs by {gap:.3g} between this package '
                f'{tuple(equal.ours.shape)} and the peer '
                f'{tuple(equal.peer.shape)}; no time is worth measuring')
        gaps[equal.what] = gap
    return gaps
