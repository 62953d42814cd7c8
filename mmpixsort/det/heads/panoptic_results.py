"""Panoptic results of one image from its class logits and embeddings.

Shapes: C classes of which the first T are things, D embedding dims, h w size
of the embedding map, H W size of the result, K instances. A cell is a pixel
of the embedding map.
"""
import math
from typing import Iterator, List, NamedTuple, Optional, Sequence

import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmpixsort.datasets.panoptic_maps import INSTANCE_OFFSET
from mmpixsort.functional.instances.id_masks import boxes_of_ids, masks_of_ids

from .enlarging import enlarge_cells
from .panoptic_instances import CellInstances, instances_of_cells
from .panoptic_rules import PanopticRules


@torch.no_grad()
def panoptic_of_image(logits: Tensor, embeddings: Tensor,
                      size: Sequence[int], *, num_things: int, cut: dict,
                      rules: PanopticRules,
                      extent: Optional[Sequence[float]] = None) -> dict:
    """Return the panoptic map, the class map and the instances of an image.

    Segments are cut and merged on the grid of the embedding map. The logits
    are enlarged to the size of the result. A pixel whose most likely class
    is a thing goes to the instance with the largest bilinear weight among
    the cells around it, and takes the class of that instance. To save
    memory, the masks of the result are the only map per instance.

    Args:
        logits: (C, h, w) class logits.
        embeddings: (D, h, w) unit embeddings.
        size: H and W in pixels.
        num_things: Number of classes of things T, which come first.
        cut: Options of `partition_regions`.
        rules: Rules for merging segments and dropping small areas.
        extent: Numbers of cells that the image covers along y and x, with
            fractions where its padding begins inside a cell. None takes h
            and w.

    Returns:
        Dict of `pan_results`, PixelData with `sem_seg` (1, H, W) int32 that
        holds class + 1000 * instance, and C for void; `sem_results`,
        PixelData with `sem_seg` (1, H, W) int32 that holds the most likely
        class; and `ins_results`, InstanceData.
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
    """Return the results of an image whose instances of cells are known.

    The results are those of :func:`panoptic_of_image`.

    Args:
        cells: Instances on the grid of the logits.
        logits: (C, h, w) class logits.
        size: H and W in pixels.
        num_things: Number of classes of things T, which come first.
        rules: Rules for dropping small areas.
        extent: Numbers of cells that the image covers along y and x.
    """
    labels, owners = enlarge_cells(logits, cells.ids, size, extent)
    owners = owners.masked_fill(labels >= num_things, -1)
    return _results(labels, owners, cells, num_things, len(logits), rules)


class ImageMaps(NamedTuple):
    """Logits and embeddings of one image, without its padding.

    Attributes:
        logits: (C, h, w) class logits.
        embeddings: (D, h, w) embeddings.
        size: H and W of the result in pixels.
        extent: Numbers of cells that the image covers along y and x, with
            fractions where its padding begins inside a cell.
    """

    logits: Tensor
    embeddings: Tensor
    size: Sequence[int]
    extent: Sequence[float]


def maps_of_images(logits: Tensor, embeddings: Tensor, data_samples: List,
                   rescale: bool) -> Iterator[ImageMaps]:
    """Yield the maps of every image of a batch, without the padding.

    Args:
        logits: (B, C, h, w) class logits.
        embeddings: (B, D, h, w) embeddings.
        data_samples: Data samples of the images. Padding must be at the
            right and at the bottom.
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


def _results(labels: Tensor, owners: Tensor, cells: CellInstances,
             num_things: int, num_classes: int,
             rules: PanopticRules) -> dict:
    """Drop small areas, number the instances, and return the results."""
    count = len(cells.labels)
    areas = owners[owners >= 0].bincount(minlength=count)
    areas[areas < max(1, rules.min_area)] = 0
    largest = areas.topk(min(count, rules.max_instances)).indices
    kept = largest[areas[largest] > 0].sort().values
    number = owners.new_zeros(count + 1)
    number[kept] = torch.arange(1, len(kept) + 1, device=owners.device)
    ids = number[owners]  # owner -1 reads the last entry, which is 0
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
