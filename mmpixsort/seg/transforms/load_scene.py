"""Loading transform for scenes that are generated, not read from disk."""
from collections import OrderedDict

from mmcv.transforms import BaseTransform

from mmpixsort.datasets.synthetic import Scene, StreetScenes
from mmpixsort.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadStreetScene(BaseTransform):
    """Generate a street scene in place of reading image and label files.

    Takes the place of `LoadImageFromFile` and `LoadAnnotations` of an mmseg
    pipeline; everything after them works unchanged. In a test pipeline let
    no `Resize` follow: it would resize the labels too, and mmseg scores at
    the original size.

    Required keys: `scene_args` (keywords of `StreetScenes`), `scene_index`,
    `reduce_zero_label`, `label_map`.

    Added keys: `img` (H, W, 3) uint8 BGR, `img_shape`, `ori_shape`,
    `gt_seg_map` (H, W) uint8, and, where asked for, `gt_instance_map` (H, W)
    int32, `objects` (list of dict) and `caption` (str).

    Args:
        with_instances: also store the instance map; it joins `seg_fields`,
            so that resizing, cropping and flipping treat it alike.
        with_objects: also store the list of objects and a caption.
        cache_size: how many scenes to keep in memory, in every worker. A
            scene takes about 27 ms to make and 8 bytes a pixel to keep; 0
            makes it anew each time.

    Raises:
        ValueError: `cache_size` is negative.
    """

    def __init__(self,
                 with_instances: bool = False,
                 with_objects: bool = False,
                 cache_size: int = 0) -> None:
        if cache_size < 0:
            raise ValueError(
                f'`cache_size` must not be negative, got {cache_size}')
        self.with_instances = with_instances
        self.with_objects = with_objects
        self.cache_size = cache_size
        self._cache: OrderedDict = OrderedDict()

    def transform(self, results: dict) -> dict:
        """Generate the scene of `results`."""
        scene = self._scene(results['scene_args'], results['scene_index'])
        results['img'] = scene.image[..., ::-1].copy()
        results['img_shape'] = scene.image.shape[:2]
        results['ori_shape'] = scene.image.shape[:2]
        results['gt_seg_map'] = _relabel(scene.semantic,
                                         results.get('label_map'))
        results['seg_fields'].append('gt_seg_map')
        if self.with_instances:
            results['gt_instance_map'] = scene.instances.copy()
            results['seg_fields'].append('gt_instance_map')
        if self.with_objects:
            results['objects'] = scene.objects
            results['caption'] = scene.caption()
        return results

    def _scene(self, scene_args: dict, index: int) -> Scene:
        """Fetch a scene from the cache, or make it."""
        key = tuple(sorted(scene_args.items())) + (index, )
        if key in self._cache:
            return self._cache[key]
        scene = StreetScenes(**scene_args)[index]
        if self.cache_size:
            self._cache[key] = scene
            if len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
        return scene

    def __repr__(self) -> str:
        return (f'{type(self).__name__}('
                f'with_instances={self.with_instances}, '
                f'with_objects={self.with_objects}, '
                f'cache_size={self.cache_size})')


def _relabel(semantic, label_map):
    """Apply mmseg's `label_map` (old id to new id) to a copy of a map."""
    mapped = semantic.copy()
    for old, new in (label_map or {}).items():
        mapped[semantic == old] = new
    return mapped
