"""A panoptic map from class scores and embeddings of one image.

Shapes: C classes of which the first T are things, D embedding dims, h w size
of the embedding, H W size of the result, K instances.
"""
import math
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmpixsort.functional.instances.id_masks import boxes_of_ids, masks_of_ids

from .panoptic_instances import CellInstances, instances_of_cells
from .panoptic_rules import PanopticRules

INSTANCE_OFFSET = 1000  # of MMDetection's panoptic maps
MAX_VALUES = 1 << 22  # logits that are enlarged at once, 16 MiB


class Axis(NamedTuple):
    """Where the pixels of a side lie between the centres of two cells.

    Attributes:
        low: (n,) int64 cell before a pixel.
        high: (n,) cell after it.
        share: (n,) of the cell after it.
    """

    low: Tensor
    high: Tensor
    share: Tensor


@torch.no_grad()
def panoptic_of_image(logits: Tensor, embeddings: Tensor,
                      size: Sequence[int], *, num_things: int, cut: dict,
                      rules: PanopticRules,
                      extent: Optional[Sequence[float]] = None) -> dict:
    """Return the panoptic map of an image.

    Segments are made and merged on the grid of the embedding. Logits are
    enlarged, and a pixel of a thing goes to the instance with the largest
    bilinear weight of the cells around it, and takes its class. No map of a
    number per instance and pixel is made but the masks of the result.

    Args:
        logits: (C, h, w).
        embeddings: (D, h, w), unit.
        size: H and W.
        num_things: T.
        cut: Options of partition_regions.
        rules: Rules of merging and cleaning.
        extent: Cells that the image takes along y and x, where padding
            begins inside one; None: h and w.

    Returns:
        dict of `pan_results`, PixelData(sem_seg=(1, H, W) int32) with class
        + 1000 * instance and C for void, `sem_results`,
        PixelData(sem_seg=(1, H, W) int32) with the most likely class, and
        `ins_results`, InstanceData.
    """
    extent = logits.shape[1:] if extent is None else extent
    cell_pixels = size[0] * size[1] / (extent[0] * extent[1])
    cells = instances_of_cells(
        logits, embeddings, num_things=num_things, cut=cut, rules=rules,
        min_cells=rules.min_area / cell_pixels)
    return panoptic_of_cells(
        cells, logits, size, num_things=num_things, rules=rules,
        extent=extent)


@torch.no_grad()
def panoptic_of_cells(cells: CellInstances, logits: Tensor,
                      size: Sequence[int], *, num_things: int,
                      rules: PanopticRules,
                      extent: Sequence[float]) -> dict:
    """Return what :func:`panoptic_of_image` does, of instances of cells.

    Args:
        cells: On the grid of the logits.
        logits: (C, h, w).
        size: H and W.
        num_things: T.
        rules: Rules of cleaning.
        extent: Cells that the image takes along y and x.
    """
    labels, owners = _enlarge(logits, cells.ids, size, extent)
    owners = owners.masked_fill(labels >= num_things, -1)
    return _results(labels, owners, cells, num_things, len(logits), rules)


class ImageMaps(NamedTuple):
    """What a head found in one image, without its padding.

    Attributes:
        logits: (C, h, w).
        embeddings: (D, h, w).
        size: H and W of the result.
        extent: Cells that the image takes along y and x.
    """

    logits: Tensor
    embeddings: Tensor
    size: Sequence[int]
    extent: Sequence[float]


def maps_of_images(logits: Tensor, embeddings: Tensor, data_samples: List,
                   rescale: bool) -> Iterator[ImageMaps]:
    """Yield the maps of every image of a batch.

    Args:
        logits: (B, C, h, w).
        embeddings: (B, D, h, w).
        data_samples: Data samples of the images; padding is at the right and
            the bottom.
        rescale: Whether results have the original size of the image.
    """
    for i, sample in enumerate(data_samples):
        meta = sample.metainfo
        height, width = meta['img_shape'][:2]
        extent = [
            inner / whole * side for inner, whole, side in zip(
                (height, width), meta['batch_input_shape'],
                embeddings.shape[2:])]
        rows, columns = (math.ceil(round(side, 6)) for side in extent)
        yield ImageMaps(
            logits[i, :, :rows, :columns].float(),
            embeddings[i, :, :rows, :columns].float(),
            meta['ori_shape'][:2] if rescale else (height, width), extent)


def axis_of(length: int, cells: int, extent: float,
            device: torch.device) -> Axis:
    """Place pixels between cells, centre to centre.

    As bilinear interpolation does with align_corners=False.

    Args:
        length: Pixels of the side.
        cells: Cells of the side.
        extent: Cells that the pixels take, at most `cells`.
        device: Device of the result.

    Example:
        >>> axis_of(4, 2, 2., torch.device('cpu')).share
        tensor([0.0000, 0.2500, 0.7500, 0.2500])
    """
    place = torch.arange(length, device=device, dtype=torch.float64)
    place = ((place + .5) * (extent / length) - .5).clamp(0)
    low = place.long().clamp(max=cells - 1)
    return Axis(low, (low + 1).clamp(max=cells - 1), (place - low).float())


def _enlarge(logits: Tensor, ids: Tensor, size: Sequence[int],
             extent: Sequence[float]) -> Tuple[Tensor, Tensor]:
    """Return classes (H, W) and instances (H, W), some rows at a time."""
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
        # max takes an eighth of the time of argmax here
        parts.append((found.max(0).indices, _vote(ids, band, x)))
    return tuple(torch.cat(maps) for maps in zip(*parts))


def _vote(ids: Tensor, y: Axis, x: Axis) -> Tensor:
    """Return the id with the largest bilinear weight, -1 where none has any.
    """
    near = torch.stack([ids[rows][:, columns] for rows in y[:2]
                        for columns in x[:2]])
    found = near[0].clone()
    # most pixels lie between cells of one instance
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


def _results(labels: Tensor, owners: Tensor, cells: CellInstances,
             num_things: int, num_classes: int,
             rules: PanopticRules) -> dict:
    """Number instances from 1, drop what is small, collect the masks."""
    count = len(cells.labels)
    areas = owners[owners >= 0].bincount(minlength=count)
    areas[areas < max(1, rules.min_area)] = 0
    largest = areas.topk(min(count, rules.max_instances)).indices
    kept = largest[areas[largest] > 0].sort().values
    number = owners.new_zeros(count + 1)
    number[kept] = torch.arange(1, len(kept) + 1, device=owners.device)
    ids = number[owners]  # the last is 0: owner -1
    stuff_areas = labels.flatten().bincount(minlength=num_classes)
    small = stuff_areas[labels] < rules.min_stuff_area
    is_thing = labels < num_things
    classes = torch.cat([labels.new_zeros(1), cells.labels[kept]])
    panoptic = torch.where(
        is_thing, classes[ids] + INSTANCE_OFFSET * ids, labels)
    void = torch.where(is_thing, ids == 0, small)
    panoptic = panoptic.masked_fill(void, num_classes).int()
    numbers = torch.arange(1, len(kept) + 1, device=ids.device)
    return dict(
        pan_results=PixelData(sem_seg=panoptic[None]),
        sem_results=PixelData(sem_seg=labels[None].int()),
        ins_results=InstanceData(
            masks=masks_of_ids(ids, numbers),
            labels=cells.labels[kept], scores=cells.scores[kept],
            bboxes=boxes_of_ids(ids, len(kept))))
