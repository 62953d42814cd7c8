"""Load models with their weights, in evaluation mode."""
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Optional, Tuple, Union

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict
from torch import Tensor, nn

from mmpixsort.banks import ClassQueue, PrototypeQueue
from mmpixsort.registry import MODELS
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.reading import reading

TRAINING_BANKS = (ClassQueue, PrototypeQueue)
ENCODER = 'backbone.'  # prefix of a dual encoder in checkpoints of segmentors
GROUPER = 'decode_head.grouper.'  # prefix of the grouper there


class TextModel(NamedTuple):
    """A config and the model that it describes, in evaluation mode."""

    cfg: Config
    model: nn.Module


def load_weights(checkpoint: Union[str, Path], *, prefix: str,
                 remedy: str) -> Dict[str, Tensor]:
    """Return the weights of a checkpoint.

    Args:
        checkpoint: Path or URL of the checkpoint.
        prefix: Prefix of names; the checkpoint must contain such weights.
        remedy: Advice for the error message if it contains none.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged or has no such weights.
    """
    with reading(checkpoint, 'a checkpoint'):
        content = CheckpointLoader.load_checkpoint(
            str(checkpoint), map_location='cpu')
        weights = content.get('state_dict', content)
        found = any(name.startswith(prefix) for name in weights)
    if not found:
        raise ValueError(
            f'the checkpoint {str(checkpoint)!r} must hold weights '
            f'`{prefix}*`, got none; {remedy}')
    return weights


def ready(model: nn.Module, device: Optional[str]) -> nn.Module:
    """Move a model to a device and set it to evaluation mode.

    Args:
        model: Model with its weights.
        device: Name of the device; None uses a GPU if there is one.
    """
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return model.to(device).eval()


def build_model(cfg: Config, *,
                with_named_weights: bool = False) -> nn.Module:
    """Build the model of a config.

    Args:
        cfg: Config of the model.
        with_named_weights: Whether `init_weights` of the model loads the
            weights that `pretrained` and the backbone of the config name.
    """
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    settings = dict(cfg.model)
    if with_named_weights:
        return MODELS.build(ConfigDict(settings))
    if 'pretrained' in settings:
        settings['pretrained'] = None
    if settings.get('backbone', {}).get('init_cfg'):
        settings['backbone'] = dict(settings['backbone'], init_cfg=None)
    return MODELS.build(ConfigDict(settings))


def training_state(model: nn.Module) -> set:
    """Return the names of buffers that only a training needs: its banks."""
    return {
        f'{prefix}.{name}'
        for prefix, part in model.named_modules()
        if isinstance(part, TRAINING_BANKS)
        for name in part.state_dict()
    }


def named_parts(cfg: Config) -> Tuple[str, ...]:
    """Return prefixes of weights that are loaded when the model is built.

    These are the weights of the feature of a grouper, if the config names a
    file for them. A checkpoint of a dual encoder alone does not have them.
    """
    head = cfg.model.get('decode_head')  # a list in a cascade
    grouper = head.get('grouper') if isinstance(head, dict) else None
    feature = (grouper or {}).get('feature') or {}
    is_named = feature.get('checkpoint') or feature.get('backbone')
    return (GROUPER, ) if is_named else ()


def load_all(model: nn.Module, state: Mapping[str, Tensor],
             source: Union[str, Path], *,
             optional: Tuple[str, ...] = ()) -> None:
    """Load all weights of a model.

    Args:
        model: The model. Banks that only a training needs may be missing.
        state: Weights by their names.
        source: File of the weights, for the error message.
        optional: Prefixes of weights that may be missing.

    Raises:
        ValueError: If weights are missing, unknown or of another shape.
    """
    with reading(source, 'weights of this model'):
        missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [name for name in sorted(set(missing) - training_state(model))
               if not name.startswith(optional)]
    if missing or unexpected:
        raise ValueError(
            f'{str(source)!r} must hold the weights of the model, but '
            f'{len(missing)} are missing {missing[:3]} and '
            f'{len(unexpected)} are unknown {unexpected[:3]}; give the '
            'config that it was trained with')


def load_model(cfg: Config,
               checkpoint: Union[str, Path],
               device: Optional[str] = None) -> nn.Module:
    """Build a segmentor that predicts by retrieval, and load its weights.

    Args:
        cfg: Config of a model with a metric head that embeds and segments.
        checkpoint: Path or URL of the weights.
        device: Name of the device; None uses a GPU if there is one.

    Raises:
        ValueError: If the model has no such head, or the checkpoint has no
            weights for it.
    """
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    model = dict(cfg.model, pretrained=None, train_cfg=None)
    if 'metric_head' not in model:
        raise ValueError(
            'the config must have a `metric_head`, got none; attach one with '
            'tools/attach.py CONFIG --method segsort')
    model['backbone'] = dict(model['backbone'], init_cfg=None)
    test_cfg = dict(model.get('test_cfg') or dict(mode='whole'))
    test_cfg['retrieval'] = test_cfg.get('retrieval') or dict()
    model['test_cfg'] = ConfigDict(test_cfg)
    built = MODELS.build(ConfigDict(model))
    load_state_dict(built, load_weights(
        checkpoint, prefix='metric_head.', remedy='a checkpoint that was '
        'published for the plain host does not contain them'))
    return ready(built, device)


def load_detector(cfg: Config,
                  checkpoint: Union[str, Path],
                  device: Optional[str] = None) -> nn.Module:
    """Build a detector that embeds instances, and load its weights.

    Args:
        cfg: Config of an EmbeddingInstanceSegmentor or PanopticSegSort.
        checkpoint: Path or URL of the weights.
        device: Name of the device; None uses a GPU if there is one.

    Raises:
        ValueError: If the config describes another detector, or the
            checkpoint has no weights for the embedding.
    """
    from mmpixsort.det import EmbeddingInstanceSegmentor
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    model = dict(cfg.model)
    model['backbone'] = dict(model['backbone'], init_cfg=None)
    built = MODELS.build(ConfigDict(model))
    if not isinstance(built, EmbeddingInstanceSegmentor):
        raise ValueError(
            'the config must describe a detector that embeds instances, as '
            'in configs/panoptic_segsort or configs/discriminative, got '
            f'{type(built).__name__}')
    load_state_dict(built, load_weights(
        checkpoint, prefix='head.conv_embed.',
        remedy='train one with this config'))
    return ready(built, device)


def load_text_segmentor(config: Union[str, Path, Config],
                        checkpoint: Optional[Union[str, Path]] = None,
                        *,
                        device: Optional[str] = None,
                        cfg_options: Optional[dict] = None) -> TextModel:
    """Build a TextGroupSegmentor and load its weights.

    Args:
        config: Config, or its path.
        checkpoint: Checkpoint with the weights; None uses the weights that
            the config names.
        device: Name of the device; None uses a GPU if there is one.
        cfg_options: Settings that override those of the config.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the config describes another model.
    """
    cfg = config if isinstance(config, Config) else read_config(config)
    cfg.merge_from_dict(cfg_options or {})
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    model = MODELS.build(cfg.model)
    if not hasattr(model, 'set_vocabulary'):
        raise ValueError('`config` must describe a TextGroupSegmentor, got '
                         f'the model {type(model).__name__}')
    if checkpoint is None:
        model.init_weights()
    else:
        load_state_dict(model, load_weights(
            checkpoint, prefix=ENCODER, remedy='train one with this config'))
    return TextModel(cfg, ready(model, device))


def load_encoder(cfg: Union[str, Path, Config],
                 checkpoint: Optional[Union[str, Path]] = None) -> nn.Module:
    """Build a dual encoder in evaluation mode, and load its weights.

    Args:
        cfg: Config, or its path, with an `encoder`, or with a `model` whose
            `backbone` is a dual encoder.
        checkpoint: Checkpoint of that model; None uses the weights that the
            config names.

    Raises:
        ValueError: If there is no dual encoder, or the checkpoint has no
            weights for it.
    """
    cfg = cfg if isinstance(cfg, Config) else read_config(cfg)
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    settings = cfg.get('encoder') or cfg.get('model', {}).get('backbone')
    encoder = None if settings is None else MODELS.build(settings)
    if not hasattr(encoder, 'encode_text'):
        raise ValueError(
            'the config must have a dual encoder (OpenCLIPDual, TinyDual) as '
            f'`encoder` or `model.backbone`, got {type(encoder).__name__}')
    if checkpoint is not None:
        weights = load_weights(
            checkpoint, prefix=ENCODER, remedy='it belongs to another model')
        encoder.load_state_dict({
            name[len(ENCODER):]: value for name, value in weights.items()
            if name.startswith(ENCODER)
        })
    elif getattr(encoder, 'init_cfg', None):
        encoder.init_weights()
    return encoder.eval()
