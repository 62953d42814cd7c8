"""Build a model of the zoo with its trained weights."""
from pathlib import Path
from typing import Union

import torch
from torch import nn

from mmpixsort.apis.loading import build_model, load_all, ready
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.reading import read_tensors, reading

from .download import download_model
from .index import find_model, zoo_root


def get_model(name: str,
              *,
              pretrained: bool = True,
              device: Union[str, torch.device] = 'cpu') -> nn.Module:
    """Build a model of the zoo, in evaluation mode.

    The model has the attributes `cfg` and `dataset_meta`, as `init_model`
    and `init_detector` of the hosts set them, so that their functions
    `inference_model` and `inference_detector` take it. A model that predicts
    by retrieval has its bank of prototypes.

    Args:
        name: Name of the model; see :func:`list_models`.
        pretrained: Whether to load the trained weights. False leaves random
            weights and downloads nothing.
        device: Device of the model.

    Raises:
        ValueError: If there is no such model, or no trained weights of it.
        FileNotFoundError: If the place of the zoo lacks a file.
        ConnectionError: If a download breaks off; a later call continues.
    """
    entry = find_model(name)
    files = download_model(name) if pretrained else []
    cfg = read_config(zoo_root() / entry.config)
    model = build_model(cfg)
    if files:
        load_published(model, files[0])
    for bank in files[1:]:
        model.retrieval.bank = cfg.model.test_cfg.retrieval.bank = str(bank)
    model = ready(model, str(device))
    if files[1:]:
        model.retrieval.use(model.retrieval.bank)
    model.cfg = cfg
    return model


def load_published(model: nn.Module, path: Path) -> None:
    """Load weights of the zoo, all of which the model must have.

    Raises:
        ValueError: If the file is damaged, or of another model.
    """
    content = read_tensors(path, 'published weights')
    with reading(path, 'published weights of the model'):
        state, meta = content['state_dict'], content['meta']['dataset_meta']
    load_all(model, state, path)
    model.dataset_meta = meta
