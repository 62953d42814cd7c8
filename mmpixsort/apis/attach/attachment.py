"""Attach a metric head to any segmentation config of the host."""
import copy
import math
from pathlib import Path
from typing import List, Mapping, NamedTuple, Union

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, DefaultScope

from mmpixsort.apis.fit_head import check_names, fit_head
from mmpixsort.layers.schedule import WARMUP_SHARE, check_warmup
from mmpixsort.utils.configs import load_config

from .host_probe import Host, check_trains, probe
from .methods import Method, find_method

# segmentors of the host, and the same ones with metric heads
SEGMENTORS = dict(
    EncoderDecoder='mmpixsort.MetricEncoderDecoder',
    CascadeEncoderDecoder='mmpixsort.MetricCascadeEncoderDecoder')
# as in the authors' released configs: 5000 of 40,000 iterations, an eighth
MAX_WARMUP = 5000


class Attachment(NamedTuple):
    """Settings that `attach` adds to a config.

    Attributes:
        base: Config that they are added to.
        model: `type` and `metric_head` of the new model, and additions to
            its `test_cfg`.
        hooks: Hooks that are added to `custom_hooks`.
        host: Description of the host model of `base`.
    """

    base: Config
    model: dict
    hooks: List[dict]
    host: Host


def attach(cfg: Union[str, Path, Config],
           method: str = 'pixel_contrast',
           **overrides) -> Config:
    """Return a config of the host with the metric head of a method added.

    The host is built without weights and runs one training step on two
    random images. This determines the input of the metric head and its
    number of channels:

    1. If the decode head takes one level of the backbone or neck, the metric
       head takes it too (as in the paper for DeepLabV3).
    2. If the decode head resizes and concatenates levels, the metric head
       takes all of these (as in the paper for HRNet and OCR).
    3. For other decode heads, such as those with pyramids or queries, it
       takes the feature that enters the classifier, or the finest feature
       map if that feature is not found.

    The number of classes, the ignored label and the norm are those of the
    decode head. The loss warms up for 5000 iterations, or for an eighth of a
    shorter schedule. A method that predicts in its own way, such as segment
    sorting by retrieval, adds settings to `test_cfg`. Hooks that the method
    needs are added to `custom_hooks`.

    Args:
        cfg: Config, or its path, also as ``mmseg::folder/name.py``.
        method: Name of a method.
        overrides: Arguments of the metric head, such as ``source=3`` or
            ``bank=dict(capacity=5000)``.

    Raises:
        ValueError: If no head can be attached to this host, its training
            step raises an error, or an override is unknown or invalid.

    Example:
        >>> cfg = attach('mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-'
        ...              '512x1024.py', bank=dict(capacity=5000))
        >>> cfg.model.metric_head.in_channels
        2048
    """
    return attached(plan(cfg, method, **overrides))


def attached(found: Attachment) -> Config:
    """Return a copy of the base config with the attachment added."""
    new = Config(copy.deepcopy(dict(found.base.items())))
    added = copy.deepcopy(found.model)
    test_cfg = added.pop('test_cfg', {})
    for key, value in added.items():
        new.model[key] = (
            ConfigDict(value) if isinstance(value, dict) else value)
    if test_cfg:
        new.model.test_cfg = ConfigDict(
            {**(new.model.get('test_cfg') or {}), **test_cfg})
    new.custom_hooks = [
        *(new.get('custom_hooks') or []), *map(ConfigDict, found.hooks)
    ]
    return new


def plan(cfg: Union[str, Path, Config],
         method: str = 'pixel_contrast',
         **overrides) -> Attachment:
    """Return the settings that :func:`attach` would add to a config."""
    chosen = find_method(method)
    base = cfg if isinstance(cfg, Config) else load_config(cfg)
    kind = segmentor_type(base)
    check_names(chosen.head, overrides)
    if 'warmup_iters' not in overrides:
        overrides['warmup_iters'] = warmup_iters(base)
    host = probe(base)
    check_trains(host)
    head = fit_head(chosen, host, overrides)
    if 'max_iters' in (base.get('train_cfg') or {}):
        # schedules in epochs are checked by MemoryBankHook
        check_warmup(
            base.train_cfg.max_iters,
            warmup_iters=head.get('warmup_iters', 0),
            owner='`metric_head`')
    model = dict(type=kind, metric_head=head)
    if chosen.test_cfg:
        model['test_cfg'] = dict(chosen.test_cfg)
    return Attachment(base, model, missing_hooks(base, chosen), host)


def segmentor_type(cfg: Config) -> str:
    """Return the type of segmentor with metric heads for a config.

    Raises:
        ValueError: If there is no replacement for the type of the host.
    """
    kind = (cfg.get('model') or {}).get('type')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', kind)
    # the name of a class in a pure Python config includes its module
    short = str(name).rsplit('.', 1)[-1] if str(name).startswith(
        'mmseg.') else str(name)
    if short in SEGMENTORS:
        return SEGMENTORS[short]
    if name in SEGMENTORS.values():
        remedy = 'its `metric_head` may be a list of heads'
    elif cfg.get('default_scope') == 'mmdet':
        remedy = (
            'a metric head needs a pixel classifier, which detectors do not '
            'have; the detectors of this package, '
            'mmpixsort.EmbeddingInstanceSegmentor and '
            'mmpixsort.PanopticSegSort, take the `backbone` and `neck` of '
            'this config (docs/discriminative.md, docs/panoptic_segsort.md)')
    else:
        remedy = 'a head can also be an `auxiliary_head` of a host segmentor'
    raise ValueError(f'`model.type` must be one of {list(SEGMENTORS)}, got '
                     f'{name!r}; {remedy}')


def warmup_iters(cfg: Config) -> int:
    """Return the number of warm-up iterations for a config's schedule.

    Raises:
        ValueError: If the length of the schedule is unknown.
    """
    schedule = cfg.get('train_cfg') or {}
    if 'max_iters' in schedule:
        iterations = schedule['max_iters']
    elif 'max_epochs' in schedule:
        iterations = schedule['max_epochs'] * epoch_length(cfg)
    else:
        raise ValueError('`warmup_iters` must be given for a config without '
                         '`train_cfg.max_iters` or `train_cfg.max_epochs`')
    return min(MAX_WARMUP, iterations // WARMUP_SHARE)


def epoch_length(cfg: Config) -> int:
    """Return the number of iterations of an epoch on one device.

    Raises:
        ValueError: If the training set cannot be read.
    """
    loader = cfg.get('train_dataloader') or {}
    scope = cfg.get('default_scope') or 'mmseg'
    try:
        with DefaultScope.overwrite_default_scope(scope):
            images = len(DATASETS.build(copy.deepcopy(loader['dataset'])))
    except Exception as error:  # data sets may raise anything for a bad file
        raise ValueError(
            '`warmup_iters` must be given: the schedule counts epochs, and '
            f'the training set cannot be read ({type(error).__name__}: '
            f'{error})') from error
    return math.ceil(images / loader.get('batch_size', 1))


def missing_hooks(cfg: Config, method: Method) -> List[dict]:
    """Return the hooks that a method needs and a config does not have."""
    present = [hook['type'] for hook in cfg.get('custom_hooks') or []
               if isinstance(hook, Mapping)]
    return [dict(type=hook) for hook in method.hooks if hook not in present]
