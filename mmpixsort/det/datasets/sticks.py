"""Generated images of sticks as an MMDetection data set."""
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
    """Images of scattered sticks, generated in memory.

    There is one class, `stick`. The pipeline must start with mmdet's
    `LoadImageFromNDArray` and `mmpixsort.LoadInstanceMap`; any transform of
    mmdet may follow. mmdet's `LoadAnnotations(with_bbox=True,
    with_mask=True)` loads the same masks as a stack. There are no files, so
    leave `data_root` unset.

    Args:
        num_images: Number of scenes, 1 or more.
        size: (H, W) of the scenes in pixels.
        num_sticks: Smallest and largest number of sticks in a scene.
        seed: Seed of the generator of scenes; the same seed gives the same
            scenes.
        split: 'train', 'val' or 'test'. The splits have no common scene.
        cache_size: Number of scenes that every worker keeps in memory; 0
            generates a scene at each access. A scene of 129 x 129 pixels
            takes about 3 ms to generate and 120 kB to keep.
        kwargs: `pipeline`, `metainfo`, `indices`, `test_mode` and further
            arguments of mmdet's `BaseDetDataset`.

    Raises:
        TypeError, ValueError: If an argument is outside these ranges.
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
        """Return a dict for each scene, with a name in place of a path."""
        return scene_infos('sticks', self.scenes)

    def get_data_info(self, idx: int) -> dict:
        """Return the dict of a scene, with its pixels and its instances."""
        info = super().get_data_info(idx)
        index = info['img_id']
        image, ids, instances = self._kept.get(
            index, lambda: self._make(index))
        # copies, because transforms write into their input
        info['img'] = image.copy()
        info['instance_map'] = ids.copy()
        info['instances'] = copy.deepcopy(instances)
        return info

    def _make(self, index: int) -> Tuple[np.ndarray, np.ndarray, List[dict]]:
        """Return the BGR pixels, the map and the instances of a scene."""
        scene = self.scenes[index]
        return (scene.image[..., ::-1], scene.instances,
                instances_of_map(scene.instances))
