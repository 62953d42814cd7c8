"""Generated street scenes as a panoptic MMDetection dataset."""
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

# things first: place k holds the class of the scenes that has label k
ORDER = (*THING_CLASSES,
         *(k for k in range(len(CLASSES)) if k not in THING_CLASSES))


@DATASETS.register_module()
class StreetScenesPanopticDataset(PanopticBaseDataset):
    """Street scenes that are generated in memory: 6 things, 5 stuff.

    The pipeline starts with mmdet's `LoadImageFromNDArray` and
    `mmpixsort.LoadPanopticMap`; any transform of mmdet may follow. There is
    no file: `data_root` stays unset. Trees of the horizon are a crowd.

    Args:
        num_images: Number of scenes, 1 or more.
        size: (H, W) of the scenes in pixels.
        seed: Seed of the generator of scenes; the same seed gives the same
            scenes.
        split: 'train', 'val' or 'test', which share no scene.
        cache_size: How many scenes to keep in memory, in every worker; 0
            makes each anew. A scene takes about 27 ms to make and 7 bytes a
            pixel to keep.
        kwargs: `pipeline`, `metainfo`, `indices`, `test_mode`, ... of
            `PanopticBaseDataset`.

    Raises:
        TypeError, ValueError: For arguments outside these ranges.
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
        """List the scenes by number; a name stands in for the path."""
        return scene_infos('street', self.scenes)

    def get_data_info(self, idx: int) -> dict:
        """Return what is known of a scene, its pixels, map and segments."""
        info = super().get_data_info(idx)
        index = info['img_id']
        image, ids, segments = self._kept.get(
            index, lambda: self._make(index))
        # transforms write into what they get
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
