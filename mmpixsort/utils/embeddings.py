"""Embeddings of a batch of images, without the padding."""
from typing import List, Optional

import torch
from torch import Tensor, nn


@torch.no_grad()
def embed_batch(model: nn.Module, data_batch: dict,
                count: Optional[int] = None) -> List[Tensor]:
    """Return the embedding (D, h, w) of each image of a batch, on the CPU.

    Args:
        model: Model with `extract_embedding(inputs)`, which takes the
            preprocessed images and returns embeddings (B, D, h, w).
        data_batch: Batch of a data loader.
        count: Number of images, the first ones; None takes all.
    """
    data = model.data_preprocessor(data_batch, False)
    inputs = data['inputs'][:count]
    kept = []
    for item, sample in zip(
            model.extract_embedding(inputs), data['data_samples']):
        # cut off the padding at the right and bottom
        rows, cols = (
            max(round(side * shown / full), 1) for side, shown, full in
            zip(item.shape[1:], sample.img_shape, inputs.shape[2:]))
        kept.append(item[:, :rows, :cols].float().cpu())
    return kept
