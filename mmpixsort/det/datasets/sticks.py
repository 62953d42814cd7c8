"""Generated sticks as an MMDetection dataset."""
import copy
from typing import List, Tuple

import numpy as np
from mmdet.datasets import BaseDetDataset

from mmpixsort.datasets.instance_maps import instances_of_map
from mmpixsort.datasets.synthetic.listing import scene_infos
from mmpixsort.datasets.synthetic.sticks import ScatteredSticks
from mmpixsort.functional.checks import check_count
from mmpixsort.registry import DATASETS
from mmpixsort.utils.kept_items import KeptItems


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
        self._kept = KeptItems(cache_size)
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """List the scenes by number; a name stands in for the path."""
        return scene_infos('sticks', self.scenes)

    def get_data_info(self, idx: int) -> dict:
        """Return what is known of a scene, its pixels and its instances."""
        info = super().get_data_info(idx)
        index = info['img_id']
        image, ids, instances = self._kept.get(
            index, lambda: self._make(index))
        # transforms write into what they get
        info['img'] = image.copy()
        info['instance_map'] = ids.copy()
        info['instances'] = copy.deepcopy(instances)
        return info

    def _make(self, index: int) -> Tuple[np.ndarray, np.ndarray, List[dict]]:
        """Return the BGR pixels, the map and the instances of a scene."""
        scene = self.scenes[index]
        return (scene.image[..., ::-1], scene.instances,
                instances_of_map(scene.instances))
