"""Check that both sides of a case compute the same, before they are timed."""
from typing import Dict, NamedTuple, Sequence

from torch import Tensor


class UnequalResults(ValueError):
    """Raised if the two sides of a case do not compute the same."""


class Equal(NamedTuple):
    """A result that both sides computed.

    Attributes:
        what: Name of the result, such as 'gradient of the map'.
        ours: Result of this package.
        peer: Result of the peer, of the same shape.
        limit: Largest allowed difference. For floats, it is the largest
            absolute difference divided by the largest absolute value; for
            integers, the share of values that differ.
    """

    what: str
    ours: Tensor
    peer: Tensor
    limit: float


def difference(ours: Tensor, peer: Tensor) -> float:
    """Return the difference of two results, as defined by :class:`Equal`.

    It is infinite for results of different shapes and for values that are
    not finite.
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
    """Return the differences of all results by name.

    Raises:
        UnequalResults: If one is above its limit, or nothing is compared.
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
