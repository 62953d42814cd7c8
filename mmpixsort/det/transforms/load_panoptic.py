"""The transform that loads panoptic maps, without panopticapi."""
from logging import WARNING
from typing import List, Optional

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.logging import print_log

from mmpixsort.datasets.instance_maps import places_of_ids
from mmpixsort.datasets.panoptic_maps import (MAX_SEGMENTS, VOID, VOID_ID,
                                              read_panoptic_map)
from mmpixsort.functional.checks import check_choice
from mmpixsort.registry import TRANSFORMS

from .id_map_masks import IdMapMasks


@TRANSFORMS.register_module()
class LoadPanopticMap(BaseTransform):
    """Load a panoptic map as classes, masks and boxes.

    Use it in place of mmdet's `LoadPanopticAnnotations`. In a test pipeline,
    put it after `Resize`, because predictions are scored at the size of the
    file. An image without a map, such as one that is only predicted, is left
    unchanged.

    It reads `segments_info`, a list of dicts of `id`, `category` (the
    label), `is_thing` and `iscrowd`, and the map, which is `panoptic_map`
    (H, W) if the data set makes it in memory, else the file at
    `seg_map_path`.

    It adds `gt_seg_map` (H, W) uint8, the class of each pixel, which is 255
    where there is no listed segment, and `ignore_index` 255. For the
    segments of things, in the order of the list, it adds `gt_masks`
    (`IdMapMasks`), `gt_bboxes` (the boxes of the masks), `gt_bboxes_labels`
    and `gt_ignore_flags`, which are True for crowds. The pixels of a crowd
    keep their class in `gt_seg_map`.

    Args:
        missing: What to do about listed segments that have no pixel in the
            map: 'warn' skips them with one warning per transform and
            process, 'error' raises ValueError.
        backend_args: Arguments of mmengine's fileio; None chooses a backend
            by the path.

    Raises:
        TypeError: If a map in memory does not hold integers.
        ValueError: If the map does not fit the image, or the list of
            segments is invalid.
    """

    def __init__(self,
                 *,
                 missing: str = 'warn',
                 backend_args: Optional[dict] = None) -> None:
        check_choice('missing', missing, ('warn', 'error'))
        self.missing = missing
        self.backend_args = backend_args
        self._warned = False

    def transform(self, results: dict) -> dict:
        """Add the ground truth; an image without a map is unchanged."""
        if results.get('panoptic_map') is None and (
                results.get('seg_map_path') is None):
            return results
        ids = self._read(results)
        segments = _checked(results)
        shown = places_of_ids(ids, [item['id'] for item in segments])
        counts = np.bincount(shown.ravel(), minlength=len(segments) + 1)
        self._report(segments, counts, _name(results))
        categories = [item['category'] for item in segments] + [VOID]
        results['gt_seg_map'] = np.array(categories, np.uint8)[shown]
        results['ignore_index'] = VOID
        things = [
            rank for rank, item in enumerate(segments)
            if item['is_thing'] and counts[rank]
        ]
        numbers = np.zeros(len(segments) + 1, np.int32)
        numbers[things] = np.arange(1, len(things) + 1)
        masks = IdMapMasks(numbers[shown][None], numbers[things])
        results['gt_masks'] = masks
        results['gt_bboxes'] = masks.get_bboxes(HorizontalBoxes)
        results['gt_bboxes_labels'] = np.array(
            [categories[rank] for rank in things], np.int64)
        results['gt_ignore_flags'] = np.array(
            [segments[rank].get('iscrowd', 0) for rank in things], bool)
        return results

    def _read(self, results: dict) -> np.ndarray:
        """Return the map (H, W), which has the original image size."""
        ids = results.pop('panoptic_map', None)
        if ids is None:
            ids = read_panoptic_map(
                results['seg_map_path'], backend_args=self.backend_args)
        if ids.dtype.kind not in 'iu':
            raise TypeError(
                f'panoptic map of {_name(results)} must be integers, got '
                f'{ids.dtype}; convert with `.astype(np.int32)`')
        size = tuple(results.get('ori_shape', ids.shape)[:2])
        if ids.shape != size:
            raise ValueError(
                f'panoptic map of {_name(results)} must have the size '
                f'{size} of its image, got {ids.shape}')
        return ids

    def _report(self, segments: List[dict], counts: np.ndarray,
                name: str) -> None:
        """Warn or raise if the map does not show some segments."""
        lost = [
            item['id'] for item, count in zip(segments, counts) if not count
        ]
        if not lost:
            return
        text = (f'segments {lost} of {name} are in the list, but not in the '
                'map')
        if self.missing == 'error':
            raise ValueError(f"{text}; missing='warn' skips them")
        if not self._warned:
            self._warned = True
            print_log(f'{text}; they are skipped, and so are those of later '
                      'images, without another warning', 'current', WARNING)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(missing={self.missing!r}, '
                f'backend_args={self.backend_args})')


def _name(results: dict) -> str:
    """Return a name of the map or image for messages."""
    for key in ('seg_map_path', 'img_path'):
        if results.get(key):
            return repr(results[key])
    return f'image {results.get("img_id")!r}'


def _checked(results: dict) -> List[dict]:
    """Return the list of segments after checking its ids and labels."""
    segments = results.get('segments_info')
    if segments is None:
        raise ValueError(
            'results must hold `segments_info`, got none for '
            f'{_name(results)}; use a data set of panoptic segmentation, '
            'such as mmpixsort.PanopticDataset')
    ids = [item['id'] for item in segments]
    if len(set(ids)) < len(ids):
        twice = sorted({ident for ident in ids if ids.count(ident) > 1})
        raise ValueError(f'`segments_info` of {_name(results)} must have '
                         f'each id once, got {twice} several times')
    if min(ids, default=1) <= VOID_ID:
        raise ValueError(f'`segments_info` of {_name(results)} must have '
                         f'ids above {VOID_ID}, which is void, got '
                         f'{min(ids)}')
    if len(ids) > MAX_SEGMENTS:
        raise ValueError(f'`segments_info` of {_name(results)} must have at '
                         f'most {MAX_SEGMENTS} segments, got {len(ids)}; cut '
                         'the image into tiles')
    wrong = sorted({item['category'] for item in segments}
                   - set(range(VOID)))
    if wrong:
        raise ValueError(f'`segments_info` of {_name(results)} must have '
                         f'categories in [0, {VOID - 1}], got {wrong}')
    return segments
