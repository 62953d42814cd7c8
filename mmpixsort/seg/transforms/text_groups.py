"""Transforms for training on text: load groups, sample nouns and pack."""
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
    """Move ids from 255 on up by one, so that 255 can mean no group.

    255 is also the value with which the hosts pad.

    Returns:
        Shifted ids (H, W), uint16, a type that all transforms of the host
        accept.
    """
    return np.where(ids < 0, PAD, ids + (ids >= PAD)).astype(np.uint16)


@TRANSFORMS.register_module()
class LoadGroups(BaseTransform):
    """Read the precomputed groups of an image as `gt_group_map`.

    The map joins `seg_fields`, so that it is resized, cropped and flipped
    like labels. Put this transform directly after the loading of the image.
    Groups on a coarser grid are enlarged to the size of the image: each
    pixel gets the group of the cell that it lies in. If there are no labels,
    `RandomCrop` needs `cat_max_ratio=1.`, which is its default.

    Args:
        folder: Folder that tools/precompute_groups.py wrote.

    Raises:
        FileNotFoundError: If an image has no groups.
        ValueError: If the groups found under its name belong to another
            image.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._owners = MapOwners(folder)

    def transform(self, results: dict) -> dict:
        """Read the groups of the image at `img_path`."""
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
    """Keep a random selection of the nouns of a caption, in their order.

    All nouns remain in `caption_nouns`, for losses that do not treat an
    image as a negative of a noun that its caption contains.

    Args:
        max_nouns: Largest number of nouns that are kept.
        seed: Seed of the selection, which is then always the same for an
            image and a caption. None selects anew at every visit, with the
            global generator of numpy, as the transforms of the host do.
    """

    def __init__(self, max_nouns: int, seed: Optional[int] = None) -> None:
        check_count('max_nouns', max_nouns)
        if seed is not None:
            check_count('seed', seed, 0)
        self.max_nouns = max_nouns
        self.seed = seed

    def transform(self, results: dict) -> dict:
        """Select among `nouns`."""
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
    """Pack captions, nouns and groups beside what `PackSegInputs` packs.

    It adds to the data sample the metainfo `caption` (str), `nouns` and,
    after `SampleNouns`, `caption_nouns` (lists of str); and, after
    `LoadGroups`, `gt_groups` (1, H, W), int64, -1 for no group. Labels may be
    missing.

    Without labels the preprocessor of the host sets `pad_shape` to None; the
    size of the padding is then in `padding_size`.

    Args:
        meta_keys: Keys of the metainfo of the host, in addition to the keys
            of texts.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=(*meta_keys, *TEXT_KEYS))

    def transform(self, results: dict) -> dict:
        """Pack the image, labels, groups and metainfo."""
        packed = super().transform(results)
        if 'gt_group_map' not in results:
            return packed
        return pack_ids(packed, results['gt_group_map'], 'gt_groups')


def stack_groups(data_samples: List) -> Tensor:
    """Return the group ids (B, H, W), int64, of a batch, -1 on padding.

    Raises:
        ValueError: If a sample has no groups.
    """
    return stack_ids(
        data_samples, 'gt_groups',
        'put mmpixsort.LoadGroups into the pipeline and '
        'mmpixsort.PackTextInputs at its end')
