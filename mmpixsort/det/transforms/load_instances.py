"""The transform that loads annotated instances as one map of ids."""
from typing import Optional

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations

from mmpixsort.datasets.instance_maps import places_of_ids, read_instance_map
from mmpixsort.registry import TRANSFORMS

from .id_map_masks import IdMapMasks


@TRANSFORMS.register_module()
class LoadInstanceMap(LoadAnnotations):
    """Load boxes, labels and masks of instances, the masks as a map of ids.

    Use it in place of mmdet's `LoadAnnotations(with_bbox=True,
    with_mask=True)`. Boxes, labels and flags are the same. `gt_masks` are
    `IdMapMasks`, which give the same results as `BitmapMasks` but take 4
    bytes per pixel for all masks together. Any transform of mmdet may
    follow. For an image without instances, `gt_masks` are empty.

    The map is `instance_map` (H, W) in the results if the data set makes it
    in memory, else it is read from the file at `label_path`. The `id` of
    each of the `instances` is its value in the map, as `instances_of_map`
    writes it. If there is no map, as in COCO's format, the run lengths or
    polygons of the `instances` are painted into one. Masks that overlap go
    to different maps, so that nothing is lost.

    Args:
        box_type: Type of the boxes, one of those registered in mmdet.
        backend_args: Arguments of mmengine's fileio, by which the file at
            `label_path` is read; None chooses a backend by the path.

    Raises:
        TypeError: If a map in memory does not hold integers.
        ValueError: If a map and its image differ in size, or an instance has
            no `id`.
    """

    def __init__(self,
                 *,
                 box_type: str = 'hbox',
                 backend_args: Optional[dict] = None) -> None:
        super().__init__(
            with_bbox=True,
            with_mask=True,
            box_type=box_type,
            backend_args=backend_args)

    def _load_masks(self, results: dict) -> None:
        """Load the masks; mmdet calls this after boxes and labels."""
        ids = results.pop('instance_map', None)
        if ids is None and results.get('label_path') is not None:
            ids = read_instance_map(
                results['label_path'], backend_args=self.backend_args)
        if ids is None:
            results['gt_masks'] = self._paint(results)
            return
        instances = results.get('instances', [])
        _check(ids, instances, results)
        places = places_of_ids(ids, [item['id'] for item in instances])
        numbers = np.arange(1, len(instances) + 2, dtype=np.int32)
        numbers[-1] = 0
        results['gt_masks'] = IdMapMasks(numbers[places][None], numbers[:-1])

    def _paint(self, results: dict) -> IdMapMasks:
        """Return the masks of instances with run lengths or polygons."""
        height, width = results['ori_shape']
        return IdMapMasks.from_masks(
            (self._poly2mask(mask, height, width)
             for mask in self._process_masks(results)), (height, width))


def _check(ids: np.ndarray, instances: list, results: dict) -> None:
    """Raise if a map does not fit its image or its list of instances."""
    name = next((repr(results[key]) for key in ('label_path', 'img_path')
                 if results.get(key)), f'image {results.get("img_id")!r}')
    if ids.dtype.kind not in 'iu':
        raise TypeError(f'instance map of {name} must be integers, got '
                        f'{ids.dtype}; convert with `.astype(np.int32)`')
    size = tuple(results.get('ori_shape', ids.shape)[:2])
    if ids.shape != size:
        raise ValueError(f'instance map of {name} must have the size {size} '
                         f'of its image, got {ids.shape}')
    if not all('id' in item for item in instances):
        raise ValueError(
            f'each of the `instances` of {name} must have the `id` that it '
            'has in the map; make them with `instances_of_map`')
