"""Read a checkpoint of another code base, and write one of this package."""
import os
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

import mmpixsort
from mmpixsort.apis.attach.host_probe import without_weights
from mmpixsort.registry import MODELS
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.reading import read_tensors

from .layout import Conversion

Converter = Callable[[Mapping[str, Any], Mapping[str, Tensor]], Conversion]


def convert_checkpoint(source: Union[str, Path], target: Union[str, Path],
                       config: Union[str, Path, Config],
                       converter: Converter,
                       *,
                       cfg_options: Optional[dict] = None) -> Conversion:
    """Convert a checkpoint to one that a config of this package loads.

    The file is written completely or not at all. The result is for
    `load_from` in a config, and for tools/test.py; it holds no optimizer.

    Args:
        source: Path of the checkpoint. It is read as tensors and plain types
            alone.
        target: Path of the checkpoint to write, .pth.
        config: Config of the model that shall load it, or its path.
        converter: Function of the layout, which takes the content of the
            source and the state dict of the model:
            :func:`convert_contrastiveseg` or :func:`convert_spml`.
        cfg_options: Settings that override those of the config.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If `target` has another ending, or if the source cannot
            be read or does not fit the config.
    """
    target = Path(target)
    if target.suffix != '.pth':
        raise ValueError(f'`target` must end in .pth, got {target.name!r}')
    content = read_tensors(source, 'a checkpoint')
    if not isinstance(content, Mapping):
        raise ValueError(f'{str(source)!r} must hold a state dict, got '
                         f'{type(content).__name__}')
    expected = model_state(config, cfg_options)
    try:
        done = converter(content, expected)
    except ValueError as error:
        raise ValueError(f'{str(source)!r} cannot be converted: {error}'
                         ) from error
    meta = dict(mmpixsort_version=mmpixsort.__version__,
                converted_from=done.layout)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f'.{target.name}.{os.getpid()}.part'
    try:
        torch.save(dict(meta=meta, state_dict=done.weights), draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return done


def model_state(config: Union[str, Path, Config],
                cfg_options: Optional[dict] = None) -> Dict[str, Tensor]:
    """Return the state dict of the model of a config, on the meta device.

    Args:
        config: Config, or its path.
        cfg_options: Settings that override those of the config.
    """
    cfg = config if isinstance(config, Config) else read_config(config)
    cfg.merge_from_dict(cfg_options or {})
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    with torch.device('meta'):
        model = MODELS.build(without_weights(cfg.model))
    return model.state_dict()


def describe_conversion(done: Conversion, *, verbose: bool = False) -> str:
    """Return a report of a conversion, one fact a line.

    Args:
        done: Result of a conversion.
        verbose: Whether to list every tensor. By default tensors of one
            part of the model share a line.
    """
    lines = [f'layout: {done.layout}',
             f'mapped: {len(done.pairs)} tensors']
    if verbose:
        lines += [f'  {name} -> {target}' for name, target in done.pairs]
    else:
        parts = Counter((_part(name), _part(target))
                        for name, target in done.pairs)
        lines += [f'  {name}.* -> {target}.*: {count}'
                  for (name, target), count in parts.items()]
    lines += done.notes
    for what, names in (('left out', done.left_out),
                        ('kept at initial values', done.initial)):
        lines += _grouped(what, names, verbose)
    return '\n'.join(lines)


def _grouped(what: str, reasons: Mapping[str, str],
             verbose: bool) -> List[str]:
    if verbose:
        return [f'{what}: {name} ({why})' for name, why in reasons.items()]
    groups: Dict[str, List[str]] = {}
    for name, why in reasons.items():
        groups.setdefault(why, []).append(name)
    return [f'{what}: {_shared(names)}: {len(names)} ({why})'
            for why, names in groups.items()]


def _shared(names: List[str]) -> str:
    """Return what names have in common, up to a dot: 'head.bank.*'."""
    if len(names) == 1:
        return names[0]
    return os.path.commonprefix(names).rpartition('.')[0] + '.*'


def _part(name: str) -> str:
    """Return the part of a model that a name belongs to: two words of it."""
    return '.'.join(name.split('.')[:-1][:2]) or name
