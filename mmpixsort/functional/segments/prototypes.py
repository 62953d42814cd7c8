"""Segments from clusters and labels, and their prototypes.

Shapes: B images, H W size, N pixels, D embedding dims, P prototypes (the
number of segments there is room for).

Hwang et al., "SegSort", ICCV 2019, https://arxiv.org/abs/1910.06962,
section 3.1.
"""
from typing import NamedTuple, Optional, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_count, check_labels


class Segments(NamedTuple):
    """Pixels grouped into at most P segments, in order of their codes.

    Attributes:
        segment_ids: (N,) int64 in [0, P), -1 where a pixel has none.
        codes: (P,) int64, what the pixels of a segment share; -1: unused.
        areas: (P,) int64 pixels, 0: unused.
        num_found: () int64, segments that there are; above P the smallest
            were left out.
    """

    segment_ids: Tensor
    codes: Tensor
    areas: Tensor
    num_found: Tensor


CODE_BASE = 1 << 16


def join_codes(*parts: Tensor,
               bounds: Optional[Sequence[int]] = None) -> Tensor:
    """Join integer maps into one whose values differ where any part does.

    A semantic label must be the last part, so that `codes % CODE_BASE` gives
    it back. Negative in any part: the pixel takes no part.

    Args:
        parts: (N,) integers, one to four of them, each below 2^16, but the
            first: below 2^63 for one part, 2^47 for two, 2^31 for three and
            2^15 for four.
        bounds: A number for each part that its values lie below, known
            without a look at them; None: the largest values are read, for
            which the host waits for the device.

    Returns:
        (N,) int64, -1 where a pixel takes no part.

    Raises:
        ValueError: On a part that may reach a larger number: two pixels of
            different parts would get one code.

    Example:
        >>> join_codes(torch.tensor([0, 1]), torch.tensor([3, -1]))
        tensor([ 3, -1])
    """
    parts = [check_labels('parts', part, parts[0].shape) for part in parts]
    _check_bounds(_bounds_of(parts) if bounds is None else bounds, len(parts))
    code = torch.zeros_like(parts[0], dtype=torch.long)
    ignored = torch.zeros_like(code, dtype=torch.bool)
    for part in parts:
        code = code * CODE_BASE + part
        ignored = ignored | (part < 0)
    return code.masked_fill(ignored, -1)


def _bounds_of(parts: Sequence[Tensor]) -> Sequence[int]:
    """Return what the values of each part lie below."""
    if not parts or not parts[0].numel():
        return [0] * len(parts)
    return [
        largest + 1 for largest in torch.stack(
            [part.amax() for part in parts]).tolist()
    ]


def _check_bounds(bounds: Sequence[int], count: int) -> None:
    if not 1 <= count <= 4 or len(bounds) != count:
        raise ValueError('`parts` must be one to four, with a number each in '
                         f'`bounds`, got {count} and {list(bounds)}')
    limits = [CODE_BASE**4 // 2 // CODE_BASE**(count - 1)]
    limits += [CODE_BASE] * (count - 1)
    for i, (bound, limit) in enumerate(zip(bounds, limits)):
        if bound > limit:
            raise ValueError(
                f'`parts[{i}]` of {count} must be below {limit}, got '
                f'{bound - 1}: codes would be equal, or negative; put the '
                'part of the largest numbers first, or renumber it')


def find_segments(codes: Tensor, max_segments: int) -> Segments:
    """Number the distinct codes, with no wait for their count.

    Where there are more than P, the largest stay.

    Args:
        codes: (N,) int64; negative: the pixel takes no part.
        max_segments: P.

    Returns:
        Segments in increasing order of their codes, as torch.unique has it.

    Example:
        >>> found = find_segments(torch.tensor([7, 4, 7, -1]), 3)
        >>> found.segment_ids.tolist(), found.codes.tolist()
        ([1, 0, 1, -1], [4, 7, -1])
    """
    check_count('max_segments', max_segments)
    codes = check_labels('codes', codes, codes.shape[:1])
    num_pixels = len(codes)
    if num_pixels == 0:
        empty = codes.new_full((max_segments, ), -1)
        return Segments(codes, empty, torch.zeros_like(empty),
                        codes.new_zeros(()))
    ordered, order = codes.sort(stable=True)
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    starts &= ordered >= 0
    # 0 is a dump for the pixels that take no part
    ranks = starts.cumsum(0)
    areas = codes.new_zeros(num_pixels + 1)
    areas.scatter_add_(0, ranks, torch.ones_like(ranks))
    areas[0] = 0
    code_of_rank = codes.new_full((num_pixels + 1, ), -1)
    code_of_rank.scatter_(0, ranks, ordered)
    code_of_rank[0] = -1
    rank = torch.empty_like(ranks).scatter_(0, order, ranks)
    kept = _largest(areas, max_segments)
    slots = codes.new_full((num_pixels + 2, ), -1)
    slots.scatter_(0, kept, torch.arange(max_segments, device=codes.device))
    slots[num_pixels + 1] = -1
    return Segments(slots[rank], *_pad(code_of_rank, areas, kept),
                    ranks[-1])


def _largest(areas: Tensor, count: int) -> Tensor:
    """Return the ranks of the largest areas, increasing; spare ones last."""
    spare = len(areas)
    last = torch.arange(spare, 0, -1, device=areas.device)
    order = areas * (spare + 1) + last  # of equal areas the first
    top = order.topk(min(count, spare)).indices
    top = top.masked_fill(areas[top] == 0, spare)
    pad = top.new_full((count - len(top), ), spare)
    return torch.cat([top, pad]).sort().values


def _pad(codes: Tensor, areas: Tensor, kept: Tensor) -> tuple:
    """Take codes and areas at the ranks kept, nothing at the spare one."""
    codes = torch.cat([codes, codes.new_full((1, ), -1)])
    areas = torch.cat([areas, areas.new_zeros(1)])
    return codes[kept], areas[kept]


def segment_sums(embeddings: Tensor, segment_ids: Tensor,
                 num_segments: int) -> Tensor:
    """Sum embeddings by segment.

    Args:
        embeddings: (N, D).
        segment_ids: (N,) int64 in [0, P), negative: takes no part, whatever
            its values.
        num_segments: P.

    Returns:
        (P, D).
    """
    segment_ids = check_labels(
        'segment_ids', segment_ids, embeddings.shape[:1])
    sums = embeddings.new_zeros(num_segments + 1, embeddings.shape[1])
    return sums.index_add(0, segment_ids.clamp(min=-1) + 1, embeddings)[1:]


def prototypes(embeddings: Tensor, segment_ids: Tensor,
               num_segments: int) -> Tensor:
    r"""Return the prototype of each segment, its normalised mean.

    :math:`\mu_p = \sum_{i \in p} v_i / \|\sum_{i \in p} v_i\|` (SegSort,
    eq. 2), differentiable; 0 for an empty segment.

    Args:
        embeddings: (N, D), unit rows.
        segment_ids: (N,) int64 in [0, P), negative: takes no part.
        num_segments: P.

    Returns:
        (P, D).

    Example:
        >>> prototypes(torch.eye(2), torch.tensor([0, 0]), 2)
        tensor([[0.7071, 0.7071],
                [0.0000, 0.0000]])
    """
    return normalize(
        segment_sums(embeddings, segment_ids, num_segments), dim=1)
