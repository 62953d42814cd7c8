"""The methods that `attach` can add to a host."""
from types import MappingProxyType
from typing import Dict, Mapping, NamedTuple, Sequence


class Method(NamedTuple):
    """A method of metric learning.

    Attributes:
        head: Registered type of its metric head, which takes `in_channels`,
            `source`, `num_classes` and `ignore_index`.
        parts: Dict from each argument of the head that takes a config to the
            default type of that config.
        hooks: Hooks that a run with this method needs.
        test_cfg: Additions to `test_cfg` of the model, if the method has its
            own way to predict; empty if the classifier of the host predicts.
    """

    head: str
    parts: Mapping[str, str]
    hooks: Sequence[str] = ('mmpixsort.MemoryBankHook', )
    test_cfg: Mapping[str, object] = MappingProxyType({})


METHODS: Dict[str, Method] = {}


def register_method(name: str, method: Method) -> None:
    """Make a method known to `attach`.

    Args:
        name: Name of the method, with underscores.
        method: The method.

    Raises:
        ValueError: If the name is already registered.
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
        # number of neighbours in the authors' released script
        test_cfg=dict(retrieval=dict(num_neighbors=15))))


def find_method(name: str) -> Method:
    """Return a method by its name, with underscores or hyphens.

    Raises:
        ValueError: If there is no method of this name.
    """
    key = name.replace('-', '_')
    if key not in METHODS:
        raise ValueError(f'`method` must be one of {sorted(METHODS)}, got '
                         f'{name!r}')
    return METHODS[key]
