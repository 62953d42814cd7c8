"""One compact map of instances in place of a mask for each."""
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
    """Paint masks into `gt_instance_map` (H, W) int32.

    0 is background, 1, 2, ... are the masks that are visible, -1 takes no
    part: what masks to be ignored cover (crowds), and with a semantic map
    what is void there, or of a class of things without a mask. Small masks
    lie on top of large ones, as objects on others do. Masks that
    `LoadInstanceMap` or `LoadPanopticMap` loaded are a map up to here; those
    of mmdet's `LoadAnnotations`, a stack, give the same result in more
    memory.

    Takes `gt_masks`, `gt_bboxes_labels`, `gt_ignore_flags` and, if there,
    `gt_seg_map`; adds `gt_instance_map` and `gt_instance_labels` (n,), the
    class of id k at k - 1. Put it after what moves pixels, before
    `PackInstanceInputs`.

    An image without labels (`label_path` None) has -1 everywhere. Where it
    has a mask of all things, `fg_path`, it has 0 outside of that, and
    `gt_foreground_map` (H, W) bool is the mask; then no step before may have
    moved pixels: load annotations after `Resize`.

    Args:
        num_things: Classes of things, which come first in a semantic map;
            None: it says what is void only.
        min_pixels: Smaller masks are ignored.
        keep_masks: Whether to leave `gt_masks` for the host.

    Raises:
        ValueError: When there are no masks, or the mask of all things has
            another size.
    """

    def __init__(self,
                 *,
                 num_things: Optional[int] = None,
                 min_pixels: int = 1,
                 keep_masks: bool = False) -> None:
        if num_things is not None:
            check_count('num_things', num_things)
        check_count('min_pixels', min_pixels)
        self.num_things = num_things
        self.min_pixels = min_pixels
        self.keep_masks = keep_masks

    def transform(self, results: dict) -> dict:
        """Paint, or pass an image without annotation through."""
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
        if not self.keep_masks:
            del results['gt_masks']
        return results

    def _paint(self, masks: BaseInstanceMasks,
               ignored: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Return ids (H, W), and which masks they stand for, in order."""
        if isinstance(masks, IdMapMasks):
            areas, paint = masks.areas.astype(np.int64), masks.paint_order
        else:
            stack = masks.to_ndarray()
            areas = np.array([np.count_nonzero(mask) for mask in stack], int)
            paint = partial(_paint_order, stack)
        # what is to be ignored lies below everything else
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
        """Mark what takes no part by a semantic map."""
        if semantic is None:
            return
        ids[semantic == VOID] = -1
        if self.num_things is not None:
            ids[(semantic < self.num_things) & (ids == 0)] = -1


def _paint_order(stack: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Paint masks (n, H, W), as `IdMapMasks.paint_order` does."""
    painted = np.zeros(stack.shape[1:], np.int32)
    for level, row in enumerate(order, 1):
        np.copyto(painted, level, where=stack[row] != 0)
    return painted


def _paint_foreground(results: dict, ids: np.ndarray) -> None:
    """Paint what is known of an image without labels."""
    ids[:] = -1
    path = results.get('fg_path')
    if path is None:
        return
    inside = read_mask_image(path)
    if results.get('flip') or inside.shape != ids.shape:
        raise ValueError(
            f'`fg_path` {path!r} must have the size {ids.shape} of the '
            f'annotation, not flipped, got {inside.shape}: put '
            'LoadAnnotations after Resize, and no flip or crop before '
            'PaintInstanceMap')
    ids[~inside] = 0
    results['gt_foreground_map'] = inside


@TRANSFORMS.register_module()
class PackInstanceInputs(PackDetInputs):
    """`PackDetInputs` that also packs `gt_instance_map`.

    The data sample gets `gt_instance_map` (1, H, W) int32, and as the
    labels of `gt_instances` those of its ids; and `gt_foreground` (1, H, W)
    bool, where an image without labels has it. Boxes of masks that are not
    seen are left out with them. An image without annotation is packed as by
    `PackDetInputs`; a head that trains on it says what is missing.
    """

    def transform(self, results: dict) -> dict:
        """Pack image, map, labels and metainfo."""
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
