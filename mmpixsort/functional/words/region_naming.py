"""Classification of regions by words, and scores of pixels from regions.

Shapes: B images, K regions of an image, C words, H W size.

Papers recognise background by different rules: a constant cosine that
competes with those of the words (as the constant channel of TCL, Cha et al.,
https://arxiv.org/abs/2212.00785), a minimum probability of the best word
(GroupViT, https://arxiv.org/abs/2202.11094), or words for the background,
which are a class like any other and need no rule.
"""
from typing import Optional

import torch
from torch import Tensor

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_labels, check_positive)

BACKGROUNDS = ('cosine', 'probability')
# lowest log-probability; finite, so that averaging and resizing stay finite
FLOOR = -100.


def name_regions(similarity: Tensor,
                 *,
                 scale: float,
                 background: Optional[str] = None,
                 threshold: float = 0.,
                 num_candidates: Optional[int] = None,
                 image_similarity: Optional[Tensor] = None) -> Tensor:
    """Return the log-probability of every word for every region.

    Args:
        similarity: (B, K, C) cosine similarities of regions and words.
        scale: Factor of the cosines (inverse temperature), above 0.
        background: Rule for background. None: there is no background;
            'cosine': background is a class with the constant cosine
            `threshold`; 'probability': background wins where no word has a
            probability above `threshold`.
        threshold: Threshold of the rule; in (0, 1) for 'probability'.
        num_candidates: Number of words that are considered for an image:
            those most similar to the whole image (5 in GroupViT). None
            considers all words.
        image_similarity: (B, C) cosine similarities of images and words;
            required with `num_candidates`.

    Returns:
        Log-probabilities (B, K, C), or (B, K, 1 + C) with the background
        first; at least -100.

    Raises:
        ValueError: If a shape is wrong or a value is out of range.

    Example:
        >>> cosines = torch.tensor([[[.9, .1], [.2, .1]]])
        >>> name_regions(cosines, scale=10., background='cosine',
        ...              threshold=.5).argmax(2)
        tensor([[1, 0]])
    """
    if similarity.dim() != 3 or similarity.shape[2] == 0:
        raise ValueError('`similarity` must have the shape (B, K, C) with at '
                         f'least one word, got {tuple(similarity.shape)}')
    check_positive('scale', scale)
    if background is not None:
        check_choice('background', background, BACKGROUNDS)
    logits = scale * similarity.float()
    if num_candidates is not None:
        near = _nearest_words(similarity, image_similarity, num_candidates)
        logits = logits.masked_fill(~near[:, None], -torch.inf)
    constant = torch.full_like(logits[..., :1], threshold)
    if background == 'cosine':
        logits = torch.cat([scale * constant, logits], 2)
    scores = logits.log_softmax(2)
    if background == 'probability':
        _check_probability(threshold)
        scores = torch.cat([constant.log(), scores], 2)
        scores = scores - constant.log1p()
    return scores.clamp(min=FLOOR)


def _nearest_words(similarity: Tensor, image_similarity: Optional[Tensor],
                   count: int) -> Tensor:
    """Return a mask (B, C) of the words most similar to each image."""
    check_count('num_candidates', count)
    expected = (similarity.shape[0], similarity.shape[2])
    found = None if image_similarity is None else image_similarity.shape
    if found != expected:
        raise ValueError('`image_similarity` must have the shape '
                         f'{expected} with `num_candidates`, got {found}')
    best = image_similarity.topk(min(count, expected[1]), 1).indices
    return torch.zeros(
        expected, dtype=torch.bool, device=similarity.device).scatter_(
            1, best, True)


def _check_probability(threshold: float) -> None:
    if not 0 < threshold < 1:
        raise ValueError(
            "`threshold` must be in (0, 1) for the background 'probability',"
            f' got {threshold}')


def paint_regions(scores: Tensor, region_ids: Tensor) -> Tensor:
    """Give every pixel the scores of its region.

    Args:
        scores: (B, K, C) scores of the regions.
        region_ids: (B, H, W) integer region of each pixel in [0, K),
            negative for pixels in no region.

    Returns:
        (B, C, H, W) scores, 0 for pixels in no region.

    Example:
        >>> scores = torch.tensor([[[1., 2.], [3., 4.]]])
        >>> paint_regions(scores, torch.tensor([[[0, 1, -1]]])).tolist()
        [[[[1.0, 3.0, 0.0]], [[2.0, 4.0, 0.0]]]]
    """
    batch, num_regions, num_words = scores.shape
    spare = scores.new_zeros(batch, 1, num_words)
    table = torch.cat([scores, spare], 1).transpose(1, 2)
    ids = check_labels(
        'region_ids', region_ids, region_ids.shape).flatten(1)
    ids = ids.masked_fill(ids < 0, num_regions)
    painted = table.gather(2, ids[:, None].expand(-1, num_words, -1))
    return painted.unflatten(2, region_ids.shape[1:])
