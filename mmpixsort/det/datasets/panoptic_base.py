"""The base class of panoptic data sets, which fixes the order of classes.

mmdet numbers the classes of a panoptic JSON in the order of the file,
whatever METAINFO says. Here the metainfo decides: first its classes of
things, then its classes of stuff.
"""
from typing import List, Optional

import numpy as np
from mmdet.datasets import BaseDetDataset

from mmpixsort.datasets.panoptic_maps import VOID


class PanopticBaseDataset(BaseDetDataset):
    """Base class of data sets with classes of things and of stuff.

    The metainfo has `thing_classes` and `stuff_classes`. `classes` lists
    both, things first, and `palette` has a colour for each class. Samples
    have `segments_info`, which `mmpixsort.LoadPanopticMap` reads.

    Args:
        metainfo: Dict of `thing_classes`, `stuff_classes` and `palette` that
            replace those of METAINFO. Without a palette, a class has its
            colour in METAINFO or, if it is not there, a random colour.
        kwargs: `data_root`, `ann_file`, `data_prefix`, `indices`,
            `pipeline`, `test_mode` and further arguments of mmdet's
            `BaseDetDataset`.

    Raises:
        ValueError: If classes or palette are invalid.
    """

    METAINFO: dict = dict()
    # whether the files hold class numbers in the order of METAINFO rather
    # than names, so that the classes cannot be changed
    FIXED_CLASSES = False

    def __init__(self, metainfo: Optional[dict] = None, **kwargs) -> None:
        complete = _metainfo(self.METAINFO, dict(metainfo or {}))
        if self.FIXED_CLASSES:
            self._check_classes(complete['classes'])
        super().__init__(metainfo=complete, **kwargs)

    def _check_classes(self, classes: tuple) -> None:
        fixed = (*self.METAINFO['thing_classes'],
                 *self.METAINFO['stuff_classes'])
        if classes != fixed:
            raise ValueError(
                f'`metainfo` of {type(self).__name__} must have the classes '
                f'{list(fixed)}, got {list(classes)}: its maps hold numbers, '
                'not names')

    @property
    def num_things(self) -> int:
        """Number of classes of things, which have the first labels."""
        return len(self.metainfo['thing_classes'])

    def get_cat_ids(self, idx: int) -> List[int]:
        """Return the labels of the segments of an image, without crowds."""
        return [
            item['category'] for item in self.get_data_info(idx)[
                'segments_info'] if not item['iscrowd']
        ]


def _metainfo(default: dict, given: dict) -> dict:
    """Return the user's metainfo, completed by that of the data set."""
    merged = {**default, **given}
    for key in ('thing_classes', 'stuff_classes'):
        if isinstance(merged.get(key), str) or key not in merged:
            raise ValueError(f'`metainfo` must have a sequence of names '
                             f'{key}, got {merged.get(key)!r}')
    things, stuff = (tuple(merged[key])
                     for key in ('thing_classes', 'stuff_classes'))
    classes = things + stuff
    if len(set(classes)) < len(classes):
        raise ValueError('`metainfo` must name each class once, got '
                         f'{list(classes)}')
    if len(classes) > VOID:
        raise ValueError(
            f'`metainfo` must have at most {VOID} classes, got '
            f'{len(classes)}: label maps have one byte per pixel, and {VOID} '
            'is void')
    if tuple(given.get('classes', classes)) != classes:
        raise ValueError(
            '`metainfo` classes must be thing_classes, then stuff_classes, '
            f'{list(classes)}, got {list(given["classes"])}; leave `classes` '
            'out of the metainfo')
    palette = given.get('palette') or _palette(default, classes)
    if len(palette) != len(classes):
        raise ValueError(f'`metainfo` palette must have {len(classes)} '
                         f'colours, one for each class, got {len(palette)}')
    return dict(merged, thing_classes=things, stuff_classes=stuff,
                classes=classes, palette=[tuple(c) for c in palette])


def _palette(default: dict, classes: tuple) -> List[tuple]:
    """Return a colour for each class: its default one, else a random one."""
    known = dict(zip((*default.get('thing_classes', ()),
                      *default.get('stuff_classes', ())),
                     default.get('palette', ())))
    made_up = np.random.default_rng(0).integers(0, 256, (len(classes), 3))
    return [known.get(name, colour)
            for name, colour in zip(classes, made_up.tolist())]
