"""Embed names with the text tower of an encoder.

Shapes: N names, T templates, E dimensions of the joint space.
"""
from typing import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.text.templates import fill_template

Encode = Callable[[Sequence[str]], Tensor]
TEXTS = 256  # number of texts that are encoded at once


@torch.no_grad()
def embed_names(names: Sequence[str], templates: Sequence[str],
                encode: Encode) -> Tensor:
    """Embed names, each by the normalised mean over all templates.

    Args:
        names: One or more names.
        templates: T sentences with `{}` in place of the name.
        encode: Function that maps texts to rows (number of texts, E).

    Returns:
        Unit rows (N, E), float32, on the CPU.

    Raises:
        ValueError: If `encode` returns a wrong number of rows, or a row that
            is zero or not finite.
    """
    step = max(1, TEXTS // len(templates))
    return torch.cat([
        _embed(names[start:start + step], templates, encode)
        for start in range(0, len(names), step)
    ])


def _embed(names: Sequence[str], templates: Sequence[str],
           encode: Encode) -> Tensor:
    texts = [
        fill_template(template, name) for name in names
        for template in templates
    ]
    rows = encode(texts)
    if rows.dim() != 2 or len(rows) != len(texts):
        raise ValueError(
            f'`encode` must return a row for each of {len(texts)} texts, got '
            f'shape {tuple(rows.shape)}')
    rows = rows.detach().float().cpu().view(len(names), len(templates), -1)
    rows = normalize(normalize(rows, dim=2).mean(1), dim=1)
    # weights that were never loaded produce rows of NaN or zeros
    good = rows.norm(dim=1) > .5
    if not good.all():
        bad = names[int((~good).nonzero()[0])]
        raise ValueError(
            '`encode` must return finite rows that are not 0, got NaN, '
            f'infinity or zeros for {bad!r}; check that the weights of the '
            'text tower are loaded')
    return rows
