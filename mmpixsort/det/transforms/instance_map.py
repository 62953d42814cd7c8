"""Transforms that paint instance masks into one map and pack it."""
from functools import partial
from typing import Optional, Tuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures.mask import BaseInstanceMasks
from mmengine.structures import PixelData

from mmpixsort.datasets.id_maps import read_mask_image
from mmpixsort.datasets.panoptic_maps import VOID
from mmpixsort.functional.checks import check_count
from mmpixsort.registry import TRANSFORMS

from .id_map_masks import IdMapMasks


@TRANSFORMS.register_module()
class PaintInstanceMap(BaseTransform):
    """Paint instance masks into `gt_instance_map` (H, W) int32.

    In the map, 0 is background, 1, 2, ... are the visible masks and -1 is
    ignored. Ignored are pixels that only masks with an ignore flag (crowds)
    cover and, with a semantic map, void pixels and pixels of a thing class
    without a mask. Small masks lie on top of large ones. Load the masks with
    `LoadInstanceMap` or `LoadPanopticMap`; the stack of mmdet's
    `LoadAnnotations` gives the same result but takes more memory.

    Put it after all transforms that move pixels, before
    `PackInstanceInputs`. It reads `gt_masks`, `gt_bboxes_labels`,
    `gt_ignore_flags` and, if present, `gt_seg_map`. It replaces `gt_masks` by
    `gt_instance_map` and `gt_instance_labels` (n,), which holds the class of
    id k at index k - 1.

    An image without labels, whose `label_path` is None, has -1 everywhere.
    If it has a mask of all things at `fg_path`, the map is 0 outside this
    mask, and `gt_foreground_map` (H, W) bool is the mask. The mask is not
    transformed, so load the annotations after `Resize`.

    Args:
        num_things: Number of classes of things, which come first in the
            semantic map. None ignores only its void pixels.
        min_pixels: Minimum number of visible pixels of a mask; smaller masks
            are ignored.

    Raises:
        ValueError: If there are no masks, or the mask of all things has
            another size than the map or was flipped.
    """

    def __init__(self,
                 *,
                 num_things: Optional[int] = None,
                 min_pixels: int = 1) -> None:
        if num_things is not None:
            check_count('num_things', num_things)
        check_count('min_pixels', min_pixels)
        self.num_things = num_things
        self.min_pixels = min_pixels

    def transform(self, results: dict) -> dict:
        """Add the map and labels, unless the image has no annotation."""
        masks = results.get('gt_masks')
        if masks is None and any(key.startswith('gt_') for key in results):
            raise ValueError(
                'results must hold `gt_masks`, got none: put '
                'mmpixsort.LoadInstanceMap before PaintInstanceMap, or '
                'LoadAnnotations(with_bbox=True, with_mask=True)')
        if masks is None:
            return results
        labels = np.asarray(results.get(
            'gt_bboxes_labels', np.zeros(len(masks))), dtype=np.int64)
        ignored = np.asarray(results.get(
            'gt_ignore_flags', np.zeros(len(masks))), dtype=bool)
        ids, shown = self._paint(masks, ignored)
        self._void(ids, results.get('gt_seg_map'))
        if results.get('label_path', '') is None:
            _paint_foreground(results, ids)
        results['gt_instance_map'] = ids
        results['gt_instance_labels'] = labels[shown]
        del results['gt_masks']
        return results

    def _paint(self, masks: BaseInstanceMasks,
               ignored: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Return ids (H, W), and the index (n,) of the mask of each id."""
        if isinstance(masks, IdMapMasks):
            areas, paint = masks.areas.astype(np.int64), masks.paint_order
        else:
            stack = masks.to_ndarray()
            areas = np.array([np.count_nonzero(mask) for mask in stack], int)
            paint = partial(_paint_order, stack)
        # ignored masks lie below all others, and large ones below small ones
        order = np.lexsort((-areas, ~ignored))
        painted = paint(order)
        counts = np.bincount(painted.ravel(), minlength=len(masks) + 1)[1:]
        kept = (counts >= self.min_pixels) & ~ignored[order]
        shown = np.sort(order[kept])
        table = np.full(len(masks) + 1, -1, np.int32)
        table[0] = 0
        table[1:][kept] = np.searchsorted(shown, order[kept]) + 1
        return table[painted], shown

    def _void(self, ids: np.ndarray, semantic: Optional[np.ndarray]) -> None:
        """Write -1 where the semantic map says that pixels are ignored."""
        if semantic is None:
            return
        ids[semantic == VOID] = -1
        if self.num_things is not None:
            ids[(semantic < self.num_things) & (ids == 0)] = -1


def _paint_order(stack: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Do as `IdMapMasks.paint_order`, for a stack of masks (n, H, W)."""
    painted = np.zeros(stack.shape[1:], np.int32)
    for level, row in enumerate(order, 1):
        np.copyto(painted, level, where=stack[row] != 0)
    return painted


def _paint_foreground(results: dict, ids: np.ndarray) -> None:
    """Replace the map of an image without labels by its mask of things."""
    ids[:] = -1
    path = results.get('fg_path')
    if path is None:
        return
    inside = read_mask_image(path)
    if results.get('flip') or inside.shape != ids.shape:
        raise ValueError(
            f'`fg_path` {path!r} must have the size {ids.shape} of the '
            f'annotation and must not be flipped, got {inside.shape}: put '
            'mmpixsort.LoadInstanceMap after Resize, and no flip or crop '
            'before PaintInstanceMap')
    ids[~inside] = 0
    results['gt_foreground_map'] = inside


@TRANSFORMS.register_module()
class PackInstanceInputs(PackDetInputs):
    """Pack inputs as mmdet's `PackDetInputs`, with the instance map.

    The data sample gets `gt_instance_map` (1, H, W) int32. Its
    `gt_instances` hold the labels of the ids in the map, but no boxes.
    An image without labels that has a mask of all things also gets
    `gt_foreground` (1, H, W) bool. An image without annotation is packed as
    by `PackDetInputs`; a head raises an error if it is trained on it.

    Raises:
        ValueError: If there is an annotation but no `gt_instance_map`.
    """

    def transform(self, results: dict) -> dict:
        """Return the packed inputs and the data sample."""
        if 'gt_instance_map' not in results:
            if any(key.startswith('gt_') for key in results):
                raise ValueError(
                    'results must hold `gt_instance_map`, got none: put '
                    'mmpixsort.PaintInstanceMap before PackInstanceInputs')
            return super().transform(results)
        instances = {'gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'}
        packed = super().transform(
            {k: v for k, v in results.items() if k not in instances})
        sample = packed['data_samples']
        sample.gt_instance_map = PixelData(
            data=torch.from_numpy(results['gt_instance_map'])[None])
        sample.gt_instances.labels = torch.from_numpy(
            results['gt_instance_labels'])
        if 'gt_foreground_map' in results:
            sample.gt_foreground = PixelData(
                data=torch.from_numpy(results['gt_foreground_map'])[None])
        return packed
