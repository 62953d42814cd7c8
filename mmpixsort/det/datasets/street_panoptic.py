"""Generated street scenes as a panoptic MMDetection data set."""
import copy
from typing import List, Tuple

import numpy as np

from mmpixsort.datasets.panoptic_maps import VOID, join_maps
from mmpixsort.datasets.synthetic.listing import scene_infos
from mmpixsort.datasets.synthetic.street_classes import (CLASSES, PALETTE,
                                                         THING_CLASSES)
from mmpixsort.datasets.synthetic.street_scenes import StreetScenes
from mmpixsort.functional.checks import check_count
from mmpixsort.registry import DATASETS
from mmpixsort.utils.kept_items import KeptItems

from .panoptic_base import PanopticBaseDataset

# item k is the number in the scenes of the class with label k; the classes of
# things come first
ORDER = (*THING_CLASSES,
         *(k for k in range(len(CLASSES)) if k not in THING_CLASSES))


@DATASETS.register_module()
class StreetScenesPanopticDataset(PanopticBaseDataset):
    """Street scenes with 6 classes of things and 5 of stuff, made in memory.

    The pipeline must start with mmdet's `LoadImageFromNDArray` and
    `mmpixsort.LoadPanopticMap`; any transform of mmdet may follow. There are
    no files, so leave `data_root` unset. The trees at the horizon are a
    crowd.

    Args:
        num_images: Number of scenes, 1 or more.
        size: (H, W) of the scenes in pixels.
        seed: Seed of the generator of scenes; the same seed gives the same
            scenes.
        split: 'train', 'val' or 'test'. The splits have no common scene.
        cache_size: Number of scenes that every worker keeps in memory; 0
            generates a scene at each access. A scene takes about 27 ms to
            generate and 7 bytes per pixel to keep.
        kwargs: `pipeline`, `metainfo`, `indices`, `test_mode` and further
            arguments of `PanopticBaseDataset`.

    Raises:
        TypeError, ValueError: If an argument is outside these ranges.
    """

    METAINFO = dict(
        thing_classes=tuple(CLASSES[k] for k in THING_CLASSES),
        stuff_classes=tuple(CLASSES[k] for k in ORDER[len(THING_CLASSES):]),
        palette=[PALETTE[k] for k in ORDER])
    FIXED_CLASSES = True

    def __init__(self,
                 num_images: int,
                 size: Tuple[int, int] = (180, 240),
                 seed: int = 0,
                 split: str = 'train',
                 cache_size: int = 64,
                 **kwargs) -> None:
        check_count('cache_size', cache_size, 0)
        self.scenes = StreetScenes(num_images, tuple(size), seed, split)
        self._kept = KeptItems(cache_size)
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        """Return a dict for each scene, with a name in place of a path."""
        return scene_infos('street', self.scenes)

    def get_data_info(self, idx: int) -> dict:
        """Return the dict of a scene, with its pixels, map and segments."""
        info = super().get_data_info(idx)
        index = info['img_id']
        image, ids, segments = self._kept.get(
            index, lambda: self._make(index))
        # copies, because transforms write into their input
        return dict(
            info,
            img=image.copy(),
            panoptic_map=ids.copy(),
            segments_info=copy.deepcopy(segments))

    def _make(self, index: int) -> Tuple[np.ndarray, np.ndarray, List[dict]]:
        """Return the BGR pixels, the map and the segments of a scene."""
        scene = self.scenes[index]
        table = np.full(VOID + 1, VOID)
        table[list(ORDER)] = range(len(ORDER))
        return scene.image[..., ::-1], *join_maps(
            table[scene.semantic],
            scene.instances,
            num_things=len(THING_CLASSES))
