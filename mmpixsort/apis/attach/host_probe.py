"""Describe a host model by building it and running one training step.

Shapes: B images, C channels, H W size.
"""
import copy
import random
import warnings
from contextlib import contextmanager
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor, nn

from mmpixsort.functional.contrast.labels import count_labels
from mmpixsort.layers import tap

# most hosts run at this size, the others at the crop size of their config
SMALL = (128, 128)


class Host(NamedTuple):
    """Properties of a host model that a metric head depends on.

    Attributes:
        levels: Outputs (B, C, h, w) of the backbone, or of the neck, on the
            meta device; None for an output that is no feature map.
        decoder_feature: Feature (B, C, h, w) that enters the classifier, on
            the meta device; None if the tap does not fire.
        in_index: Index or indices of the levels that the decode head takes;
            None if it has no such attribute.
        in_channels: Numbers of channels of these levels, as the decode head
            expects them.
        input_transform: How the decode head combines several levels.
        num_classes: Number of classes of the labels; 2 for a decode head
            with one output.
        ignore_index: Label that the decode head ignores.
        norm_cfg: Config of the normalisation of the decode head.
        error: Error that stopped the training step of the host, if any.
    """

    levels: Tuple[Optional[Tensor], ...]
    decoder_feature: Optional[Tensor]
    in_index: object
    in_channels: object
    input_transform: Optional[str]
    num_classes: int
    ignore_index: int
    norm_cfg: Optional[dict]
    error: Optional[Exception]


def probe(cfg: Config) -> Host:
    """Build the model of a config without weights and run a training step.

    This has no side effects: random states are restored, no file is read or
    written, and the model is discarded.

    Args:
        cfg: Config of a host with an encoder and a decoder.

    Raises:
        ValueError: If the backbone runs neither on a small image nor on one
            of the size in the config.
    """
    scope = cfg.get('default_scope') or 'mmseg'
    with _unchanged_rng(), warnings.catch_warnings(), \
            DefaultScope.overwrite_default_scope(scope), torch.no_grad():
        # these warnings concern the random images, not the config
        warnings.simplefilter('ignore')
        warnings.filterwarnings('default', module='mmpixsort')
        model = revert_sync_batchnorm(MODELS.build(without_weights(cfg.model)))
        model.train()
        head = last_head(model)
        for size in (SMALL, *_own_sizes(cfg)):
            images = torch.rand(2, image_channels(cfg), *size)
            levels, classified, error = _run(model, head, images)
            if error is None:
                break
    if levels is None:
        raise ValueError(
            'the backbone must run on a batch of two images of size '
            f'{size}, got {type(error).__name__}: {error}; check that the '
            'config trains without the metric head') from error
    # K-Net reads the backbone with a head inside its decode head
    reader = getattr(head, 'kernel_generate_head', head)
    return Host(
        levels=levels,
        decoder_feature=classified,
        in_index=getattr(reader, 'in_index', None),
        in_channels=getattr(reader, 'in_channels', None),
        input_transform=getattr(reader, 'input_transform', None),
        num_classes=labels_of(head),
        ignore_index=head.ignore_index,
        norm_cfg=getattr(reader, 'norm_cfg', None),
        error=error)


def check_trains(host: Host) -> None:
    """Raise an error if the training step of the host raised one.

    If the step could not be tried, because the random samples lack annotation
    that the host needs or an operator is not installed, there is only a
    warning.

    Raises:
        ValueError: If the step raised an error, with the message of it.
    """
    if host.error is None:
        return
    found = f'{type(host.error).__name__}: {host.error}'
    if _cannot_be_tried(host.error):
        warnings.warn(
            f'the training step of the host could not be tried ({found}): '
            'whether the config trains is not known; train a few iterations '
            'of it without the metric head first', stacklevel=2)
        return
    raise ValueError(
        '`cfg` must hold a host that runs a training step on two random '
        f'images without its metric head, got {found}; repair the host '
        'first. If it needs images of a certain size, set this size as '
        '`model.data_preprocessor.size` or `crop_size`') from host.error


def _cannot_be_tried(error: Exception) -> bool:
    """Return whether a step failed for lack of annotation or operators."""
    is_annotation = isinstance(error, AttributeError) and isinstance(
        error.obj, BaseDataElement)
    is_device = not torch.cuda.is_available() and 'CUDA' in str(error)
    return is_annotation or is_device or isinstance(error, ImportError)


def last_head(model: nn.Module) -> nn.Module:
    """Return the decode head of a model, or the last one of a cascade."""
    head = model.decode_head
    return head[-1] if isinstance(head, nn.ModuleList) else head


def labels_of(head: nn.Module) -> int:
    """Return the number of classes in the labels of a decode head."""
    return count_labels(
        head.num_classes, getattr(head, 'out_channels', head.num_classes))


def without_weights(model: dict) -> dict:
    """Return a copy of a model config that downloads no weights."""
    if isinstance(model, dict):
        return type(model)({
            key: None if key == 'pretrained' else without_weights(value)
            for key, value in model.items() if key != 'init_cfg'
        })
    if isinstance(model, (list, tuple)):
        return type(model)(without_weights(part) for part in model)
    return copy.copy(model)


def _own_sizes(cfg: Config) -> List[Tuple[int, int]]:
    """Return the size of training images in a config, if it has one."""
    size = (cfg.model.get('data_preprocessor') or {}).get('size')
    size = size or cfg.get('crop_size')
    if isinstance(size, int):
        size = (size, size)
    return [tuple(size)] if size else []


def image_channels(cfg: Config) -> int:
    """Return the number of image channels of a config, by default 3."""
    mean = (cfg.model.get('data_preprocessor') or {}).get('mean')
    return len(mean) if mean else cfg.model.backbone.get('in_channels', 3)


def _run(model: nn.Module, head: nn.Module, images: Tensor) -> tuple:
    """Run a training step; return levels, decoder feature and error.

    Each of them is None if there is none.
    """
    samples = blank_samples(images.shape[2:], labels_of(head))
    error = None
    with tap(model.neck if model.with_neck else model.backbone) as features, \
            tap(getattr(head, 'conv_seg', None)) as calls:
        try:
            model.loss(images, samples)
        except Exception as problem:  # hosts may raise anything
            error = problem
    levels = _levels(features[-1][1]) if features else None
    classified = None
    if calls and error is None and calls[-1][1].dim() == 4:
        classified = calls[-1][0].to('meta')
    return levels, classified, error


def _levels(output: object) -> Tuple[Optional[Tensor], ...]:
    outputs = [output] if isinstance(output, Tensor) else output
    return tuple(
        level.to('meta') if isinstance(level, Tensor) and level.dim() == 4
        else None for level in outputs)


def blank_samples(size: Sequence[int], num_classes: int) -> List:
    """Return two samples with one stripe per class, for up to 8 classes."""
    height, width = size
    stripes = torch.arange(width) * min(num_classes, 8) // width
    samples = []
    for _ in range(2):
        sample = BaseDataElement(
            metainfo=dict(
                img_path='random', seg_map_path='stripes',
                img_shape=(height, width),
                ori_shape=(height, width),
                pad_shape=(height, width),
                scale_factor=(1., 1.), flip=False, flip_direction=None,
                reduce_zero_label=False))
        labels = stripes.expand(1, height, width).clone()
        sample.gt_sem_seg = PixelData(data=labels)
        # PIDNet also learns edges
        sample.gt_edge_map = PixelData(data=labels % 2)
        samples.append(sample)
    return samples


@contextmanager
def _unchanged_rng() -> Iterator[None]:
    """Restore the random states on exit."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
