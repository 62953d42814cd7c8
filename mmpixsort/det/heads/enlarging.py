"""Classes and instances of pixels from those of the cells of a grid.

Shapes: C classes, h w size of the grid, H W size of the image.
"""
from typing import NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

MAX_VALUES = 1 << 22  # logits that are enlarged at once, 16 MiB


class Axis(NamedTuple):
    """Positions of the n pixels of one side between the centres of cells.

    Attributes:
        low: (n,) int64 index of the cell before each pixel.
        high: (n,) int64 index of the cell after it.
        share: (n,) float32 weight of the cell `high` in [0, 1].
    """

    low: Tensor
    high: Tensor
    share: Tensor


def axis_of(length: int, cells: int, extent: float,
            device: torch.device) -> Axis:
    """Return the positions of the pixels of one side between cells.

    They are the positions of bilinear interpolation with
    align_corners=False.

    Args:
        length: Number of pixels of the side.
        cells: Number of cells of the side.
        extent: Number of cells that the pixels cover, at most `cells`.
        device: Device of the result.

    Example:
        >>> axis_of(4, 2, 2., torch.device('cpu')).share
        tensor([0.0000, 0.2500, 0.7500, 0.2500])
    """
    place = torch.arange(length, device=device, dtype=torch.float64)
    place = ((place + .5) * (extent / length) - .5).clamp(0)
    low = place.long().clamp(max=cells - 1)
    return Axis(low, (low + 1).clamp(max=cells - 1), (place - low).float())


def enlarge_cells(logits: Tensor, ids: Tensor, size: Sequence[int],
                  extent: Sequence[float]) -> Tuple[Tensor, Tensor]:
    """Return the most likely class and the instance of each pixel (H, W).

    Some rows are enlarged at a time, to bound the memory.

    Args:
        logits: (C, h, w) class logits of the cells, interpolated bilinearly.
        ids: (h, w) instance of each cell, -1 for none. A pixel takes the
            instance with the largest bilinear weight.
        size: H and W in pixels.
        extent: Numbers of cells that the image covers along y and x.
    """
    y, x = (axis_of(length, cells, taken, ids.device) for length, cells, taken
            in zip(size, ids.shape, extent))
    step = max(1, MAX_VALUES // (len(logits) * size[1]))
    parts = []
    for band in (Axis(*rows) for rows in zip(
            *(part.split(step) for part in y))):
        first = int(band.low[0])
        cells = logits[:, first:int(band.high[-1]) + 1]
        wide = torch.lerp(cells[:, :, x.low], cells[:, :, x.high],
                          x.share.to(logits))
        found = torch.lerp(wide[:, band.low - first],
                           wide[:, band.high - first],
                           band.share[:, None].to(logits))
        # on this layout, max takes an eighth of the time of argmax
        parts.append((found.max(0).indices, _vote(ids, band, x)))
    return tuple(torch.cat(maps) for maps in zip(*parts))


def _vote(ids: Tensor, y: Axis, x: Axis) -> Tensor:
    """Return the instance with the largest bilinear weight at each pixel.

    It is -1 where none of the four cells around belongs to an instance.
    """
    near = torch.stack([ids[rows][:, columns] for rows in y[:2]
                        for columns in x[:2]])
    found = near[0].clone()
    # to vote only where the cells differ is faster: for most pixels all
    # four cells belong to one instance
    mixed = (near[1:] != near[:1]).any(0)
    row, column = mixed.nonzero().T
    near = near[:, mixed]
    weights = torch.stack([
        a[row] * b[column] for a in (1 - y.share, y.share)
        for b in (1 - x.share, x.share)])
    votes = torch.stack([((near == own) * weights).sum(0) for own in near])
    best = votes.masked_fill(near < 0, 0.).argmax(0, keepdim=True)
    found[mixed] = near.gather(0, best)[0]
    return found
