"""Fit the metric head of a method to a host model.

Shapes: B images, C channels, h w size of a feature map.
"""
import inspect
from typing import Iterable, Mapping, Optional

import torch
from torch import Tensor

from mmpixsort.apis.attach.host_probe import Host
from mmpixsort.apis.attach.methods import Method
from mmpixsort.layers import select_feature
from mmpixsort.layers.head_parts import Source, check_source
from mmpixsort.registry import MODELS


def feature_source(host: Host) -> Source:
    """Choose the feature of a host that a metric head takes.

    1. If the decode head takes one level, the metric head takes it too (as
       in the paper).
    2. If the decode head resizes and concatenates levels, the metric head
       takes these levels, resized to the first and concatenated (as in the
       paper for HRNet and OCR).
    3. For any other decode head, such as one with a pyramid or queries, the
       metric head takes the feature that enters the classifier, or, if that
       is not found, the finest feature map.

    Returns:
        The `source` of the metric head.

    Raises:
        ValueError: If rule 3 applies and the host did not run.
    """
    index = host.in_index
    if isinstance(index, int) and _channels(host, index) == host.in_channels:
        # -1 is kept: DDRNet returns two maps in training, but one in testing
        return index
    if host.input_transform == 'resize_concat' and all(
            _channels(host, i) for i in index):
        return list(index)
    check_ran(host)
    if host.decoder_feature is not None:
        return 'decoder'
    maps = [i for i, level in enumerate(host.levels) if level is not None]
    if not maps:
        raise ValueError('the backbone must return a feature map (B, C, H, '
                         'W), got none')
    finest = max(maps, key=lambda i: host.levels[i].shape[2:].numel())
    return finest


def check_ran(host: Host) -> None:
    """Raise ValueError if the training step of the host did not run."""
    if host.error is not None:
        raise ValueError(
            'the host must run a training step, got '
            f'{type(host.error).__name__}: {host.error}; or set `source` '
            'to a level of the backbone '
            f'({describe_levels(host)})') from host.error


def _channels(host: Host, index: int) -> Optional[int]:
    """Return the number of channels of a level, None if it is no map."""
    if not -len(host.levels) <= index < len(host.levels):
        return None
    level = host.levels[index]
    return None if level is None else level.shape[1]


def fit_head(method: Method, host: Host, overrides: Mapping) -> dict:
    """Return the config of a metric head that fits a host.

    Args:
        method: Method whose head is fitted.
        host: Description of the host.
        overrides: Arguments of the head; the config of a part may omit its
            `type`.

    Raises:
        ValueError: If a part does not have an argument, or the value does
            not fit the host.
    """
    source = (overrides['source'] if 'source' in overrides else
              feature_source(host))
    config = dict(
        type=method.head,
        source=source,
        in_channels=feature_at(host, source).shape[1])
    config['num_classes'] = host.num_classes
    if host.ignore_index != 255:
        config['ignore_index'] = host.ignore_index
    norm_cfg = kept_norm(host.norm_cfg, config['in_channels'])
    if norm_cfg is not None:
        config['projection'] = dict(
            type=method.parts['projection'], norm_cfg=norm_cfg)
    for name, value in overrides.items():
        if name in method.parts and isinstance(value, Mapping):
            value = _part(method.parts[name], config.get(name, {}), value)
        config[name] = value
    check_built(config, host)
    return config


def feature_at(host: Host, source: Source) -> Tensor:
    """Return the feature map (B, C, h, w) of a source, on the meta device.

    Raises:
        ValueError: If the host has no such feature map.
    """
    if source == 'decoder':
        check_ran(host)
        if host.decoder_feature is None:
            raise ValueError(
                "`source` 'decoder' needs a decode head that calls its "
                '`conv_seg`, which this one does not; use a level '
                f'of the backbone ({describe_levels(host)})')
        return host.decoder_feature
    check_source(source)
    indices = [source] if isinstance(source, int) else source
    wrong = [i for i in indices if _channels(host, i) is None]
    if wrong:
        raise ValueError('`source` must name feature maps of the backbone '
                         f'({describe_levels(host)}), got {source}')
    channels = sum(_channels(host, i) for i in indices)
    return select_feature(host.levels, source, channels, name='source')


def describe_levels(host: Host) -> str:
    """Describe the levels of a host for a message."""
    return ', '.join(
        f'{i}: ' + ('no map' if level is None else f'{level.shape[1]} '
                    'channels') for i, level in enumerate(host.levels))


def kept_norm(norm_cfg: Optional[Mapping], channels: int) -> Optional[dict]:
    """Return the norm config of the host if it differs from the default.

    None means that the metric head keeps its default, SyncBN. It also does so
    if the norm of the host is not one for feature maps, or does not fit the
    number of channels.
    """
    if not norm_cfg or norm_cfg['type'] not in ('BN', 'SyncBN', 'GN'):
        return None
    if channels % norm_cfg.get('num_groups', 1):
        return None
    kept = {k: v for k, v in norm_cfg.items()
            if k != '_scope_' and (k, v) != ('requires_grad', True)}
    return None if kept == dict(type='SyncBN') else kept


def _part(default: str, fitted: Mapping, override: Mapping) -> dict:
    """Merge an override into a fitted config if both have the same type."""
    kind = override.get('type', default)
    config = {'type': kind, **(fitted if kind == default else {}), **override}
    check_names(kind, {k: v for k, v in config.items() if k != 'type'})
    return config


def check_names(kind: str, names: Iterable[str]) -> None:
    """Raise ValueError for arguments that a registered type does not have."""
    target = MODELS.get(kind)
    if target is None:
        raise ValueError(f'`type` must be registered, got {kind!r}')
    signature = inspect.signature(target.__init__).parameters
    valid = [name for name in signature if name != 'self']
    unknown = [name for name in names if name not in valid]
    if unknown:
        raise ValueError(f'{kind} takes the arguments {valid}, got {unknown}')


def check_built(config: Mapping, host: Host) -> None:
    """Build a head on the meta device and pass it the feature of the host.

    Raises:
        ValueError: If the head rejects a value.
    """
    for name in ('num_classes', 'ignore_index'):
        if config.get(name, getattr(host, name)) != getattr(host, name):
            raise ValueError(f'`{name}` must be {getattr(host, name)}, as in '
                             f'the decode head, got {config[name]}')
    with torch.device('meta'):
        head = MODELS.build(dict(config))
    head.feature(host.levels, host.decoder_feature)
