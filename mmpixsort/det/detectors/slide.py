"""Logits and embeddings of an image, window by window.

Shapes: B images, C classes, D embedding dims, H W size of the input, h w of
the maps.
"""
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.windows import MODES, image_windows


class SlideRules(NamedTuple):
    """How an image is seen: `test_cfg` of a detector.

    Attributes:
        mode: 'whole' or 'slide'.
        crop_size: Height and width of a window, input pixels.
        stride: From one window to the next, no more than `crop_size`.
    """

    mode: str = 'whole'
    crop_size: Optional[Sequence[int]] = None
    stride: Optional[Sequence[int]] = None

    def check(self) -> 'SlideRules':
        """Raise ValueError unless there are windows that cover an image."""
        check_choice('test_cfg.mode', self.mode, MODES)
        if self.mode == 'whole':
            return self
        for name in ('crop_size', 'stride'):
            sides = getattr(self, name)
            if sides is None or isinstance(sides, int) or len(sides) != 2:
                raise ValueError(f'`test_cfg.{name}` must be (height, width) '
                                 f'where `mode` is slide, got {sides!r}')
            for side in sides:
                check_count(f'test_cfg.{name}', side)
        for crop, step in zip(self.crop_size, self.stride):
            if step > crop:
                raise ValueError(
                    f'`test_cfg.stride` must be at most `crop_size` ({crop}),'
                    f' got {step}: pixels between windows would be unseen')
        return self


def slide_maps(embed: Callable[[Tensor], Tuple[Tensor, Tensor]],
               inputs: Tensor, rules: SlideRules, *,
               unit: bool) -> Tuple[Tensor, Tensor]:
    """Average logits and embeddings over windows, cell by cell.

    On the grid of the embedding rather than of the input: one clustering
    sees the whole image at the scale of the training, and the sums take B
    (C + D) h w numbers.

    Args:
        embed: (B, 3, H', W') -> logits (B, C, h', w') and embeddings
            (B, D, h', w').
        inputs: (B, 3, H, W).
        rules: Rules of the windows; one larger than the input is cut to it.
        unit: Whether embeddings are unit vectors, and their mean is made one.

    Returns:
        Logits (B, C, h, w) and embeddings (B, D, h, w).

    Raises:
        ValueError: When a window does not begin and end where cells do.
    """
    totals = counts = cell = None
    for rows, columns in image_windows(
            inputs.shape[2:], rules.crop_size, rules.stride):
        crop = inputs[:, :, rows, columns]
        parts = embed(crop)
        if totals is None:
            cell = [whole / side for whole, side in zip(
                crop.shape[2:], parts[0].shape[2:])]
            size = [round(whole / side) for whole, side in zip(
                inputs.shape[2:], cell)]
            totals = [part.new_zeros(*part.shape[:2], *size)
                      for part in parts]
            counts = inputs.new_zeros(size)
        place = _cells(rows, columns, cell)
        for total, part in zip(totals, parts):
            total[(..., *place)] += part
        counts[place] += 1
    logits, embeddings = (total / counts for total in totals)
    return logits, normalize(embeddings, dim=1) if unit else embeddings


def _cells(rows: slice, columns: slice,
           cell: List[float]) -> Tuple[slice, slice]:
    """Return the cells of a window."""
    found = []
    for window, side in zip((rows, columns), cell):
        borders = window.start / side, window.stop / side
        if any(border != round(border) for border in borders):
            raise ValueError(
                f'a window must begin and end at a multiple of {side:g} '
                f'pixels, a cell of the embedding, got {window.start} to '
                f'{window.stop}; choose `test_cfg.crop_size`, '
                '`test_cfg.stride` and `pad_size_divisor` of the '
                'data preprocessor so')
        found.append(slice(*map(round, borders)))
    return tuple(found)
