"""Transforms that load or make over-segmentations, for unlabelled training."""
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from mmpixsort.datasets.map_owners import MapOwners
from mmpixsort.datasets.oversegment import (MAX_REGIONS, felzenszwalb_segments,
                                            read_segments)
from mmpixsort.registry import TRANSFORMS
from mmpixsort.utils.kept_items import KeptItems

PAD = 255  # value with which transforms and preprocessors of hosts pad maps


def shift_ids(ids: np.ndarray) -> np.ndarray:
    """Move ids from 255 on up by one, so that 255 can mean padding.

    Returns:
        Shifted ids (H, W), uint16, a type that all transforms of the host
        accept.
    """
    if ids.max() >= MAX_REGIONS:
        raise ValueError(f'ids of regions must be below {MAX_REGIONS}, got '
                         f'{ids.max()}')
    return (ids + (ids >= PAD)).astype(np.uint16)


def unshift_ids(shifted: np.ndarray) -> np.ndarray:
    """Undo `shift_ids`: return ids (H, W), int64, -1 where 255 was padded."""
    ids = shifted.astype(np.int64)
    return np.where(ids == PAD, -1, ids - (ids > PAD))


@TRANSFORMS.register_module()
class LoadOverSegmentation(BaseTransform):
    """Read the region map of an image as `gt_overseg_map`.

    The map joins `seg_fields`, so that it is resized, cropped and flipped
    like labels. Region 255 is kept apart from padding. If there are no
    labels, `RandomCrop` needs `cat_max_ratio=1.`, which is its default.

    Args:
        folder: Folder of the maps.
        img_folder: Leading part of the path of an image, which `folder`
            replaces. If it is empty, a map is found by the file name of the
            image alone.
        suffix: Ending of the map files.

    Raises:
        FileNotFoundError: If an image has no map.
        ValueError: If the size of the map differs from that of the image, or
            the map belongs to another image.
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
        """Read the map of the image at `img_path`."""
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
    """Segment the image by Felzenszwalb's method, as `gt_overseg_map`.

    Use it for generated images and small data sets, directly after the
    loading transform.

    Args:
        scale: Threshold of merging; a larger one gives larger regions.
        min_size: Smallest number of pixels of a region.
        cache_size: Number of maps that every worker keeps in memory, under
            the names of the images.
    """

    def __init__(self,
                 scale: float = 200.,
                 min_size: int = 50,
                 cache_size: int = 0) -> None:
        self.scale = scale
        self.min_size = min_size
        self.cache_size = cache_size
        self._kept = KeptItems(cache_size)

    def transform(self, results: dict) -> dict:
        """Segment the image of `results`."""
        ids = self._kept.get(
            results['img_path'], lambda: self._cut(results['img']))
        return _store(results, ids.astype(np.int64))

    def _cut(self, image: np.ndarray) -> np.ndarray:
        """Return ids in the smallest type: mostly one or two bytes a pixel."""
        ids = felzenszwalb_segments(
            image, scale=self.scale, min_size=self.min_size)
        return ids.astype(np.min_scalar_type(ids.max()))

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(scale={self.scale}, '
                f'min_size={self.min_size}, cache_size={self.cache_size})')


def _store(results: dict, ids: np.ndarray) -> dict:
    results['gt_overseg_map'] = shift_ids(ids)
    results.setdefault('seg_fields', []).append('gt_overseg_map')
    return results
