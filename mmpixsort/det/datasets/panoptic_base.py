"""Panoptic data sets whose class order is their own, not that of a file.

mmdet numbers the classes of a panoptic JSON as they stand there, whatever
METAINFO says. Here things come first, then stuff, by name.
"""
from typing import List, Optional

import numpy as np
from mmdet.datasets import BaseDetDataset

from mmpixsort.datasets.panoptic_maps import VOID


class PanopticBaseDataset(BaseDetDataset):
    """Data set with classes of things and of stuff.

    Its metainfo has `thing_classes` and `stuff_classes`; `classes` is both,
    in this order, and `palette` has a colour for each. Samples carry
    `segments_info`, for `mmpixsort.LoadPanopticMap`.

    Args:
        metainfo: `thing_classes`, `stuff_classes`, `palette`, in place of
            those of METAINFO. Colours that are not given are those of
            METAINFO for the same name, else made up.
        kwargs: `data_root`, `ann_file`, `data_prefix`, `indices`,
            `pipeline`, `test_mode`, ... of mmdet's `BaseDetDataset`.

    Raises:
        ValueError: When classes or palette do not fit.
    """

    METAINFO: dict = dict()
    # whether the data has numbers in the order of METAINFO, and no names
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
        """Number of classes of things, the first labels."""
        return len(self.metainfo['thing_classes'])

    def get_cat_ids(self, idx: int) -> List[int]:
        """List the labels of the segments of an image, without crowds."""
        return [
            item['category'] for item in self.get_data_info(idx)[
                'segments_info'] if not item['iscrowd']
        ]


def _metainfo(default: dict, given: dict) -> dict:
    """Complete the metainfo of a user by that of a class."""
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
            f'{len(classes)}: maps of labels hold a byte, {VOID} is void')
    if tuple(given.get('classes', classes)) != classes:
        raise ValueError(
            '`metainfo` classes must be thing_classes, then stuff_classes, '
            f'{list(classes)}, got {list(given["classes"])}; leave classes '
            'out')
    palette = given.get('palette') or _palette(default, classes)
    if len(palette) != len(classes):
        raise ValueError(f'`metainfo` palette must have {len(classes)} '
                         f'colours, one for each class, got {len(palette)}')
    return dict(merged, thing_classes=things, stuff_classes=stuff,
                classes=classes, palette=[tuple(c) for c in palette])


def _palette(default: dict, classes: tuple) -> List[tuple]:
    """Return a colour for each class, the default one if there is one."""
    known = dict(zip((*default.get('thing_classes', ()),
                      *default.get('stuff_classes', ())),
                     default.get('palette', ())))
    made_up = np.random.default_rng(0).integers(0, 256, (len(classes), 3))
    return [known.get(name, colour)
            for name, colour in zip(classes, made_up.tolist())]
