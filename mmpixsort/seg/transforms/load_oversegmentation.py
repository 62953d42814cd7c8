"""Over-segmentations for training without annotation."""
from collections import OrderedDict
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from mmpixsort.datasets.map_owners import MapOwners
from mmpixsort.datasets.oversegment import (MAX_REGIONS, felzenszwalb_segments,
                                            read_segments)
from mmpixsort.registry import TRANSFORMS

PAD = 255  # what transforms and preprocessors of the host pad maps with


def shift_ids(ids: np.ndarray) -> np.ndarray:
    """Leave the value 255 to the padding of the host.

    Returns:
        (H, W) uint16, a type that every transform of the host takes.
    """
    if ids.max() >= MAX_REGIONS:
        raise ValueError(f'ids of regions must be below {MAX_REGIONS}, got '
                         f'{ids.max()}')
    return (ids + (ids >= PAD)).astype(np.uint16)


def unshift_ids(shifted: np.ndarray) -> np.ndarray:
    """Return the ids (H, W) int64, -1 where the host padded."""
    ids = shifted.astype(np.int64)
    return np.where(ids == PAD, -1, ids - (ids > PAD))


@TRANSFORMS.register_module()
class LoadOverSegmentation(BaseTransform):
    """Read the region map of an image as `gt_overseg_map`.

    It joins `seg_fields`, so that resizing, cropping and flipping treat it
    as labels. Region 255 is told from padding. `RandomCrop` needs
    `cat_max_ratio=1.`, its default, where there are no labels.

    Args:
        folder: Folder of the maps.
        img_folder: Part of the image's path that `folder` replaces; empty:
            the map has the name of the image, without its folders.
        suffix: Ending of a map.

    Raises:
        FileNotFoundError: When an image has no map.
        ValueError: When the map is of another size or another image.
    """

    def __init__(self,
                 folder: str,
                 img_folder: str = '',
                 suffix: str = '.png') -> None:
        self.folder = folder
        self.img_folder = img_folder
        self.suffix = suffix
        self._owners = MapOwners(folder)

    def transform(self, results: dict) -> dict:
        """Read the map of `img_path`."""
        image = Path(results['img_path'])
        inside = Path(image.name)
        if self.img_folder:
            inside = image.relative_to(self.img_folder)
        path = (Path(self.folder) / inside).with_suffix(self.suffix)
        ids = read_segments(path)
        self._owners.check(path, results['img_path'])
        if ids.shape != results['img'].shape[:2]:
            raise ValueError(
                f'over-segmentation {str(path)!r} must have the size of its '
                f'image {results["img"].shape[:2]}, got {ids.shape}')
        return _store(results, ids)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(folder={self.folder!r}, '
                f'img_folder={self.img_folder!r}, suffix={self.suffix!r})')


@TRANSFORMS.register_module()
class MakeOverSegmentation(BaseTransform):
    """Cut the image itself by Felzenszwalb's method, as `gt_overseg_map`.

    For generated images and small sets; put it right after the loading.

    Args:
        scale: Larger gives larger regions.
        min_size: Pixels of a region.
        cache_size: Maps to keep in memory, in every worker; the name of the
            image tells them apart.
    """

    def __init__(self,
                 scale: float = 200.,
                 min_size: int = 50,
                 cache_size: int = 0) -> None:
        self.scale = scale
        self.min_size = min_size
        self.cache_size = cache_size
        self._cache: OrderedDict = OrderedDict()

    def transform(self, results: dict) -> dict:
        """Cut the image of `results`."""
        key = results['img_path']
        if key not in self._cache:
            ids = felzenszwalb_segments(
                results['img'], scale=self.scale, min_size=self.min_size)
            if not self.cache_size:
                return _store(results, ids)
            # two bytes a pixel, or four for many segments
            self._cache[key] = ids.astype(np.min_scalar_type(ids.max()))
            if len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
        return _store(results, self._cache[key].astype(np.int64))

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(scale={self.scale}, '
                f'min_size={self.min_size}, cache_size={self.cache_size})')


def _store(results: dict, ids: np.ndarray) -> dict:
    results['gt_overseg_map'] = shift_ids(ids)
    results.setdefault('seg_fields', []).append('gt_overseg_map')
    return results
