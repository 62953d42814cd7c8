"""What metric heads of every method do alike."""
from typing import List, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import check_choice

from .features import select_feature

SOURCES = ('backbone', 'decoder')


def check_source(source: str) -> None:
    """Raise ValueError unless a feature can come from `source`."""
    check_choice('source', source, SOURCES)


def head_feature(inputs: Union[Tensor, Sequence[Tensor]],
                 decoder_feature: Optional[Tensor], *, source: str,
                 in_index: Union[int, Sequence[int]],
                 in_channels: int) -> Tensor:
    """Return the feature (B, in_channels, h, w) that a head projects.

    Args:
        inputs: Levels of the backbone or neck.
        decoder_feature: The feature that entered the classifier, if known.
        source: 'backbone' or 'decoder'.
        in_index: Level or levels of the backbone.
        in_channels: Channels that the feature must have.

    Raises:
        ValueError: When the feature does not exist or has other channels.
    """
    if source == 'backbone':
        return select_feature(inputs, in_index, in_channels)
    if decoder_feature is None:
        raise ValueError(
            "`source` 'decoder' needs a decode head that calls its "
            "`conv_seg`; this one does not: use source='backbone'")
    return select_feature(decoder_feature, 0, in_channels)


def with_fixed(cfg: dict, **fixed: int) -> dict:
    """Set what the head knows, and refuse a config that says otherwise."""
    for name, value in fixed.items():
        if cfg.get(name, value) != value:
            raise ValueError(f'`{name}` of {cfg["type"]} must be {value}, '
                             f'that of the metric head, got {cfg[name]}')
    return {**cfg, **fixed}


def stack_labels(batch_data_samples: List) -> Tensor:
    """Return the semantic labels (B, H, W) of mmseg or mmdet samples."""
    maps = [sample.gt_sem_seg for sample in batch_data_samples]
    return torch.stack([
        (m.data if 'data' in m else m.sem_seg).squeeze(0) for m in maps
    ])


def zero_loss(head: nn.Module) -> Tensor:
    """Return a zero that touches every trainable tensor, NaN or not."""
    zero = head.nonfinite_iter.new_zeros((), dtype=torch.float32)
    return sum((p.flatten()[:0].sum() for p in head.parameters()), zero)


def has_no_length(embeddings: Tensor) -> Tensor:
    """Return which unit rows are zero, and so point nowhere (N,).

    Such a row, of a feature that is zero, must take no part: the gradient
    of its normalisation is without bound. NaN counts as a length.

    Args:
        embeddings: (N, D), rows of length 1 or 0.
    """
    return torch.linalg.vector_norm(embeddings.detach(), dim=1) < .5


@torch.no_grad()
def note_nonfinite(nonfinite_iter: Tensor, embeddings: Tensor,
                   labels: Tensor, iteration: int) -> Tensor:
    """Note the first iteration with a used row that is not finite.

    Args:
        nonfinite_iter: () int64 buffer of the head, -1: none so far.
        embeddings: (N, D).
        labels: (N,), negative: not used.
        iteration: Iteration of the training.

    Returns:
        Which rows are finite (N,).
    """
    finite = embeddings.isfinite().all(1)
    first = ((labels >= 0) > finite).any() & (nonfinite_iter < 0)
    nonfinite_iter.masked_fill_(first, iteration)
    return finite
