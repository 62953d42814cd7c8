"""Segments made from clusters and labels, and their prototypes.

Shapes: B images, H W size, N pixels, D embedding dims, P the maximum number
of segments, which is the fixed number of prototypes.

Hwang et al., "SegSort", ICCV 2019, https://arxiv.org/abs/1910.06962,
section 3.1.
"""
from typing import NamedTuple, Optional, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_count, check_labels


class Segments(NamedTuple):
    """Pixels grouped into at most P segments, in increasing order of codes.

    Attributes:
        segment_ids: (N,) int64 segment of each pixel in [0, P), -1 for
            pixels without a segment.
        codes: (P,) int64 code that all pixels of a segment share, -1 for an
            unused row.
        areas: (P,) int64 areas in pixels, 0 for an unused row.
        num_found: () int64 number of distinct codes. If it exceeds P, the
            smallest segments were left out.
    """

    segment_ids: Tensor
    codes: Tensor
    areas: Tensor
    num_found: Tensor


CODE_BASE = 1 << 16


def join_codes(*parts: Tensor,
               bounds: Optional[Sequence[int]] = None) -> Tensor:
    """Join integer labels into one code per pixel.

    Two pixels have equal codes exactly if they agree in every part. A
    semantic label must be the last part, so that `codes % CODE_BASE` returns
    it. A pixel with a negative number in any part is ignored.

    Args:
        parts: One to four integer tensors (N,). Their values must be below
            2^16, except those of the first part: below 2^63 for one part,
            2^47 for two, 2^31 for three and 2^15 for four.
        bounds: One number per part that all its values lie below, where it
            is known in advance. None reads the largest values, for which
            the host waits for the device.

    Returns:
        (N,) int64 codes, -1 for ignored pixels.

    Raises:
        ValueError: If a part may reach too large a number, so that two
            different pixels would get one code.
        TypeError: If a part is not of integers.

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
    """Return for each part the smallest integer above all its values."""
    if not parts or not parts[0].numel():
        return [0] * len(parts)
    return [
        largest + 1 for largest in torch.stack(
            [part.amax() for part in parts]).tolist()
    ]


def _check_bounds(bounds: Sequence[int], count: int) -> None:
    if not 1 <= count <= 4 or len(bounds) != count:
        raise ValueError('`parts` must be one to four tensors, with one '
                         f'number for each in `bounds`, got {count} and '
                         f'{list(bounds)}')
    limits = [CODE_BASE**4 // 2 // CODE_BASE**(count - 1)]
    limits += [CODE_BASE] * (count - 1)
    for i, (bound, limit) in enumerate(zip(bounds, limits)):
        if bound > limit:
            raise ValueError(
                f'`parts[{i}]` of {count} must be below {limit}, got '
                f'{bound - 1}: different pixels would get equal codes; put '
                'the part with the largest numbers first, or renumber it')


def find_segments(codes: Tensor, max_segments: int) -> Segments:
    """Group pixels of equal codes into at most P segments.

    The result has a fixed shape, so the host does not wait for the number of
    segments. If there are more than P, the largest ones are kept.

    Args:
        codes: (N,) integer code of each pixel, see :func:`join_codes`;
            pixels with a negative code are ignored.
        max_segments: P.

    Returns:
        :class:`Segments` in increasing order of their codes, as in
        torch.unique.

    Raises:
        ValueError: If `max_segments` is below 1.
        TypeError: If `codes` are not integers.

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
    # rank 0 collects the ignored pixels
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
    """Return the ranks of the largest areas in increasing order.

    Rows without a segment come last and hold the rank `len(areas)`.
    """
    spare = len(areas)
    last = torch.arange(spare, 0, -1, device=areas.device)
    order = areas * (spare + 1) + last  # prefers the first of equal areas
    top = order.topk(min(count, spare)).indices
    top = top.masked_fill(areas[top] == 0, spare)
    pad = top.new_full((count - len(top), ), spare)
    return torch.cat([top, pad]).sort().values


def _pad(codes: Tensor, areas: Tensor, kept: Tensor) -> tuple:
    """Take codes and areas at the given ranks; the last rank is unused."""
    codes = torch.cat([codes, codes.new_full((1, ), -1)])
    areas = torch.cat([areas, areas.new_zeros(1)])
    return codes[kept], areas[kept]


def segment_sums(embeddings: Tensor, segment_ids: Tensor,
                 num_segments: int) -> Tensor:
    """Sum the embeddings of each segment.

    Args:
        embeddings: (N, D) floating tensor.
        segment_ids: (N,) integer segment of each pixel in [0, P). Pixels
            with a negative number are ignored, whatever their embeddings.
        num_segments: P.

    Returns:
        (P, D) sums, 0 for an empty segment.
    """
    segment_ids = check_labels(
        'segment_ids', segment_ids, embeddings.shape[:1])
    sums = embeddings.new_zeros(num_segments + 1, embeddings.shape[1])
    return sums.index_add(0, segment_ids.clamp(min=-1) + 1, embeddings)[1:]


def prototypes(embeddings: Tensor, segment_ids: Tensor,
               num_segments: int) -> Tensor:
    r"""Return the prototype of each segment: its normalised mean embedding.

    :math:`\mu_p = \sum_{i \in p} v_i / \|\sum_{i \in p} v_i\|` (SegSort,
    eq. 2). It is differentiable.

    Args:
        embeddings: (N, D) unit rows.
        segment_ids: (N,) integer segment of each pixel in [0, P); pixels
            with a negative number are ignored.
        num_segments: P.

    Returns:
        (P, D) unit rows, 0 for an empty segment.

    Raises:
        ValueError: If the shapes do not fit.
        TypeError: If `segment_ids` are not integers.

    Example:
        >>> prototypes(torch.eye(2), torch.tensor([0, 0]), 2)
        tensor([[0.7071, 0.7071],
                [0.0000, 0.0000]])
    """
    return normalize(
        segment_sums(embeddings, segment_ids, num_segments), dim=1)
