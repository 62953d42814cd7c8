"""Transforms for text-supervised grouping: groups, nouns, packing."""
from pathlib import Path
from typing import List, Optional, Sequence
from zlib import crc32

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import PackSegInputs
from torch import Tensor

from mmpixsort.datasets.group_maps import group_path, read_groups
from mmpixsort.datasets.map_owners import MapOwners
from mmpixsort.functional.checks import check_count
from mmpixsort.registry import TRANSFORMS

from .id_maps import pack_ids, stack_ids
from .load_oversegmentation import PAD

META_KEYS = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape',
             'pad_shape', 'scale_factor', 'flip', 'flip_direction',
             'reduce_zero_label')
TEXT_KEYS = ('caption', 'nouns', 'caption_nouns')


def shift_groups(ids: np.ndarray) -> np.ndarray:
    """Leave the value 255 to what is in no group, as hosts pad with it.

    Returns:
        (H, W) uint16, a type that every transform of the host takes.
    """
    return np.where(ids < 0, PAD, ids + (ids >= PAD)).astype(np.uint16)


@TRANSFORMS.register_module()
class LoadGroups(BaseTransform):
    """Read the precomputed groups of an image as `gt_group_map`.

    They join `seg_fields`, so that resizing, cropping and flipping treat
    them as labels. Put it right after the loading of the image. Groups of a
    coarser grid are enlarged to the image, each pixel from the cell that it
    lies in. `RandomCrop` needs `cat_max_ratio=1.`, its default, where there
    are no labels.

    Args:
        folder: That tools/precompute_groups.py wrote.

    Raises:
        FileNotFoundError: When an image has no groups.
        ValueError: When the groups of its name are those of another image.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._owners = MapOwners(folder)

    def transform(self, results: dict) -> dict:
        """Read the groups of `img_path`."""
        path = group_path(self.folder, results['img_path'])
        ids = read_groups(path)
        self._owners.check(path, results['img_path'])
        height, width = results['img'].shape[:2]
        results['gt_group_map'] = cv2.resize(
            shift_groups(ids), (width, height),
            interpolation=cv2.INTER_NEAREST)
        results.setdefault('seg_fields', []).append('gt_group_map')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(folder={self.folder!r})'


@TRANSFORMS.register_module()
class SampleNouns(BaseTransform):
    """Keep a few of the nouns of a caption, in its order.

    All of them stay in `caption_nouns`: a loss that spares other images
    with the same noun needs to know what a caption holds.

    Args:
        max_nouns: That are kept.
        seed: None: others at every visit, by numpy's global generator as
            the transforms of the host; a number: always the same ones of an
            image and caption.
    """

    def __init__(self, max_nouns: int, seed: Optional[int] = None) -> None:
        check_count('max_nouns', max_nouns)
        if seed is not None:
            check_count('seed', seed, 0)
        self.max_nouns = max_nouns
        self.seed = seed

    def transform(self, results: dict) -> dict:
        """Draw among `nouns`."""
        nouns = list(dict.fromkeys(results['nouns']))
        results['caption_nouns'] = nouns
        if len(nouns) > self.max_nouns:
            order = self._permutation(results, len(nouns))
            nouns = [nouns[i] for i in sorted(order[:self.max_nouns])]
        results['nouns'] = nouns
        return results

    def _permutation(self, results: dict, count: int) -> np.ndarray:
        if self.seed is None:
            return np.random.permutation(count)
        name = f'{Path(results["img_path"]).name}\n{results["caption"]}'
        key = [self.seed, crc32(name.encode())]
        return np.random.default_rng(key).permutation(count)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(max_nouns={self.max_nouns}, '
                f'seed={self.seed})')


@TRANSFORMS.register_module()
class PackTextInputs(PackSegInputs):
    """`PackSegInputs` with captions, nouns and groups; labels may be missing.

    Adds to the data sample the metainfo `caption` (str), `nouns` and, after
    `SampleNouns`, `caption_nouns` (lists of str); and, after `LoadGroups`,
    `gt_groups` (1, H, W) int64, -1 in no group.

    Without labels the host's preprocessor sets `pad_shape` to None; what
    was padded is in `padding_size`.

    Args:
        meta_keys: Keys of the metainfo of the host, beside those of texts.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=(*meta_keys, *TEXT_KEYS))

    def transform(self, results: dict) -> dict:
        """Pack image, labels, groups and metainfo."""
        packed = super().transform(results)
        if 'gt_group_map' not in results:
            return packed
        return pack_ids(packed, results['gt_group_map'], 'gt_groups')


def stack_groups(data_samples: List) -> Tensor:
    """Return the groups (B, H, W) int64 of a batch, -1 on padding.

    Raises:
        ValueError: When a sample has none.
    """
    return stack_ids(
        data_samples, 'gt_groups',
        'put mmpixsort.LoadGroups into the pipeline and '
        'mmpixsort.PackTextInputs at its end')
