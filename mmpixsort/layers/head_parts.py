"""Functions that the metric heads of all methods use."""
from typing import List, NamedTuple, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from .features import select_feature

# Source of the feature of a metric head: 'decoder', the index of a level of
# the backbone, or indices of several levels.
Source = Union[str, int, Sequence[int]]


def check_source(source: Source) -> None:
    """Raise ValueError unless `source` is a valid source of a feature."""
    if isinstance(source, str) and source != 'decoder':
        raise ValueError(
            "`source` must be 'decoder', the index of a level of the "
            f'backbone, or indices of levels, got {source!r}')


def head_feature(inputs: Union[Tensor, Sequence[Tensor]],
                 decoder_feature: Optional[Tensor], *, source: Source,
                 in_channels: int) -> Tensor:
    """Return the feature (B, in_channels, h, w) that a head projects.

    Args:
        inputs: Levels (B, C, h, w) of the backbone or neck.
        decoder_feature: Input (B, C, h, w) of the classifier; None if it is
            not known.
        source: 'decoder', the index of a level, or indices of levels.
        in_channels: Number of channels that the feature must have.

    Raises:
        ValueError: If the feature does not exist or has another number of
            channels.
    """
    if source != 'decoder':
        return select_feature(inputs, source, in_channels, name='source')
    if decoder_feature is None:
        raise ValueError(
            "`source` 'decoder' needs a decode head that calls its "
            '`conv_seg`; this one does not: set `source` to a level of the '
            'backbone, as in source=-1')
    if decoder_feature.shape[1] != in_channels:
        raise ValueError(
            f'`in_channels` must be {decoder_feature.shape[1]}, the channels '
            f'of the decoder feature, got {in_channels}')
    return decoder_feature


def read_fields(kind: type, name: str, given: dict) -> NamedTuple:
    """Return a named tuple with the values of a config.

    Args:
        kind: Class of the named tuple; all its fields must have defaults.
        name: Name of the argument of the head, for the error message.
        given: Dict from fields to values.

    Raises:
        ValueError: If a key is not a field.
    """
    unknown = [field for field in given if field not in kind._fields]
    if unknown:
        raise ValueError(f'`{name}` takes {list(kind._fields)}, got {unknown}')
    return kind(**given)


def with_fixed(cfg: dict, **fixed: int) -> dict:
    """Return a config with values that the metric head determines.

    Raises:
        ValueError: If the config has another value for one of them.
    """
    for name, value in fixed.items():
        if cfg.get(name, value) != value:
            raise ValueError(f'`{name}` of {cfg["type"]} must be {value}, '
                             f'that of the metric head, got {cfg[name]}')
    return {**cfg, **fixed}


def stack_labels(batch_data_samples: List) -> Tensor:
    """Return the semantic labels (B, H, W) of data samples.

    They may be those of MMSegmentation or of MMDetection.
    """
    maps = [sample.gt_sem_seg for sample in batch_data_samples]
    return torch.stack([
        (m.data if 'data' in m else m.sem_seg).squeeze(0) for m in maps
    ])


def zero_loss(head: nn.Module) -> Tensor:
    """Return a zero that is connected to every parameter of a head.

    It is zero even if a parameter holds NaN.
    """
    zero = head.nonfinite_iter.new_zeros((), dtype=torch.float32)
    return sum((p.flatten()[:0].sum() for p in head.parameters()), zero)


def has_no_length(embeddings: Tensor) -> Tensor:
    """Return a mask (N,) of the embeddings that are zero.

    The normalisation of a feature that is zero returns zero and has an
    unbounded gradient, so such rows must be ignored. A row with NaN is not
    in the mask.

    Args:
        embeddings: (N, D) rows of length 1 or 0.
    """
    return torch.linalg.vector_norm(embeddings.detach(), dim=1) < .5


@torch.no_grad()
def note_nonfinite(nonfinite_iter: Tensor, embeddings: Tensor,
                   labels: Tensor, iteration: int) -> Tensor:
    """Record the first iteration in which a used row is not finite.

    Args:
        nonfinite_iter: () int64 buffer of the head, -1 before such an
            iteration; it is updated in place.
        embeddings: (N, D) rows to check.
        labels: (N,) integer labels; rows with a negative label are not used.
        iteration: Iteration of the training.

    Returns:
        Mask (N,) of the rows that are finite.
    """
    finite = embeddings.isfinite().all(1)
    first = ((labels >= 0) > finite).any() & (nonfinite_iter < 0)
    nonfinite_iter.masked_fill_(first, iteration)
    return finite
