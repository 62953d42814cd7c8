"""Generated sticks as an MMDetection dataset."""
import copy
from collections import OrderedDict
from typing import List, Tuple

import numpy as np
from mmdet.datasets import BaseDetDataset

from mmpixsort.datasets.instance_maps import instances_of_map
from mmpixsort.datasets.synthetic.sticks import ScatteredSticks
from mmpixsort.functional.checks import check_count
from mmpixsort.registry import DATASETS


@DATASETS.register_module()
class ScatteredSticksDataset(BaseDetDataset):
    """Scattered sticks that are generated in memory, one class.

    The pipeline starts with mmdet's `LoadImageFromNDArray` and
    `mmpixsort.LoadInstanceMap`; any transform of mmdet may follow. mmdet's
    `LoadAnnotations(with_bbox=True, with_mask=True)` gives the same masks,
    in a stack. There is no file: `data_root` stays unset.

    Args:
        num_images: Number of scenes, 1 or more.
        size: (H, W) of the scenes in pixels.
        num_sticks: The fewest and the most in a scene.
        seed: Seed of the generator of scenes; the same seed gives the same
            scenes.
        split: 'train', 'val' or 'test', which share no scene.
        cache_size: How many scenes to keep in memory, in every worker; 0
            makes each anew. A scene of 129 x 129 pixels takes some 3 ms to
            make and 120 kB to keep.
        kwargs: `pipeline`, `metainfo`, `indices`, `test_mode`, ... of
            mmdet's `BaseDetDataset`.
    """

    METAINFO = dict(classes=('stick', ), palette=[(220, 120, 40)])

    def __init__(self,
                 num_images: int,
                 size: Tuple[int, int] = (129, 129),
                 num_sticks: Tuple[int, int] = (6, 12),
                 seed: int = 0,
                 split: str = 'train',
                 cache_size: int = 64,
                 **kwargs) -> None:
        check_count('num_images', num_images)
        check_count('cache_size', cache_size, 0)
        self.scenes = ScatteredSticks(
            num_images, split, seed, size=size, num_sticks=num_sticks)
        self.cache_size = cache_size
        self._cache: OrderedDict = OrderedDict()
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """List the scenes by number; a name stands in for the path."""
        height, width = self.scenes.size
        name = f'sticks_{self.scenes.split}_{self.scenes.seed}'
        return [
            dict(
                img_id=index,
                img_path=f'{name}_{index:05d}.png',
                height=height,
                width=width) for index in range(len(self.scenes))
        ]

    def get_data_info(self, idx: int) -> dict:
        """Return what is known of a scene, its pixels and its instances."""
        info = super().get_data_info(idx)
        image, ids, instances = self._scene(info['img_id'])
        # transforms write into what they get
        info['img'] = image.copy()
        info['instance_map'] = ids.copy()
        info['instances'] = copy.deepcopy(instances)
        return info

    def _scene(self, index: int) -> Tuple[np.ndarray, np.ndarray, List[dict]]:
        """Fetch BGR pixels, map and instances from the cache, or make them.
        """
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        scene = self.scenes[index]
        made = (scene.image[..., ::-1], scene.instances,
                instances_of_map(scene.instances))
        self._cache[index] = made
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)
        return made
