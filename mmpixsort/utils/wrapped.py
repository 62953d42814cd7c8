"""Access to models inside wrappers and test-time augmentation."""
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside wrappers and test-time augmentation."""
    if is_model_wrapper(model):
        model = model.module
    return model.module if isinstance(model, BaseTTAModel) else model


def first_view(model: nn.Module, batch: dict) -> Any:
    """Return a batch, or its first view under test-time augmentation."""
    model = model.module if is_model_wrapper(model) else model
    if not isinstance(model, BaseTTAModel):
        return batch
    return {name: views[0] for name, views in batch.items()}
