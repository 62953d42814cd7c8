"""The methods that `attach` knows."""
from types import MappingProxyType
from typing import Dict, Mapping, NamedTuple, Sequence


class Method(NamedTuple):
    """A method of metric learning.

    Attributes:
        head: Registered type of its metric head, which takes `in_channels`,
            `source`, `num_classes` and `ignore_index`.
        parts: Argument of the head that takes a config -> the type that is
            meant where an override names none.
        hooks: That a run with this method needs.
        test_cfg: What the model's `test_cfg` gets, where the method predicts
            in its own way; empty where the host's classifier predicts.
    """

    head: str
    parts: Mapping[str, str]
    hooks: Sequence[str] = ('mmpixsort.MemoryBankHook', )
    test_cfg: Mapping[str, object] = MappingProxyType({})


METHODS: Dict[str, Method] = {}


def register_method(name: str, method: Method) -> None:
    """Let `attach` know a method.

    Args:
        name: With underscores.
        method: What it needs.

    Raises:
        ValueError: When the name is taken.
    """
    if name in METHODS:
        raise ValueError(f'`name` must be new, got {name!r}, which is '
                         f'registered for {METHODS[name].head}')
    METHODS[name] = method


register_method(
    'pixel_contrast',
    Method(
        head='mmpixsort.PixelContrastHead',
        parts=dict(
            projection='mmpixsort.ProjectionHead',
            loss='mmpixsort.PixelContrastLoss',
            sampler='mmpixsort.HardAnchorSampler',
            miner='mmpixsort.KeyMiner',
            bank='mmpixsort.ClassQueue')))

register_method(
    'segsort',
    Method(
        head='mmpixsort.SegSortHead',
        parts=dict(
            projection='mmpixsort.ProjectionHead',
            segmenter='mmpixsort.KMeansSegmenter',
            loss='mmpixsort.SegSortLoss',
            sampler='mmpixsort.HardAnchorSampler',
            bank='mmpixsort.PrototypeQueue'),
        hooks=('mmpixsort.MemoryBankHook', 'mmpixsort.PrototypeBankHook'),
        # k of the released script
        test_cfg=dict(retrieval=dict(num_neighbors=15))))


def find_method(name: str) -> Method:
    """Return a method by its name, with underscores or hyphens.

    Raises:
        ValueError: When there is none of this name.
    """
    key = name.replace('-', '_')
    if key not in METHODS:
        raise ValueError(f'`method` must be one of {sorted(METHODS)}, got '
                         f'{name!r}')
    return METHODS[key]
