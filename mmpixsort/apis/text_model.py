"""A model that segments by words, with its weights."""
from pathlib import Path
from typing import NamedTuple, Optional, Union

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from torch import nn

from mmpixsort.registry import MODELS
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.reading import reading


class TextModel(NamedTuple):
    """A config and the model that it describes, in the mode of a test."""

    cfg: Config
    model: nn.Module


def load_text_segmentor(config: Union[str, Path, Config],
                        checkpoint: Optional[Union[str, Path]] = None,
                        *,
                        device: Optional[str] = None,
                        cfg_options: Optional[dict] = None) -> TextModel:
    """Build a TextGroupSegmentor.

    Args:
        config: Path or Config.
        checkpoint: Checkpoint with its weights; None: those that the config
            names.
        device: None: a GPU where there is one.
        cfg_options: Settings to override.

    Raises:
        FileNotFoundError: When a file does not exist.
        ValueError: For a config of another model.
    """
    if not isinstance(config, Config):
        config = read_config(config)
    config.merge_from_dict(cfg_options or {})
    init_default_scope(config.get('default_scope') or 'mmseg')
    model = MODELS.build(config.model)
    if not hasattr(model, 'set_vocabulary'):
        raise ValueError('`config` must be of a TextGroupSegmentor, got the '
                         f'model {type(model).__name__}')
    if checkpoint is None:
        model.init_weights()
    else:
        if not Path(checkpoint).is_file():
            raise FileNotFoundError(
                f'checkpoint {str(checkpoint)!r} not found')
        with reading(checkpoint, 'a checkpoint'):
            load_checkpoint(model, str(checkpoint), map_location='cpu')
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return TextModel(config, model.to(device).eval())
