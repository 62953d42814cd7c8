"""Logits and embeddings of an image, computed window by window.

Shapes: B images, C classes, D embedding dims, H W size of the input, h w
size of the maps.
"""
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.windows import MODES, image_windows


class SlideRules(NamedTuple):
    """Options `test_cfg` of a detector for the input of the network.

    Attributes:
        mode: 'whole' takes the whole image at once, 'slide' takes windows.
        crop_size: Height and width of a window in input pixels.
        stride: Distance in input pixels between the starts of two windows,
            along y and along x; at most `crop_size`.
    """

    mode: str = 'whole'
    crop_size: Optional[Sequence[int]] = None
    stride: Optional[Sequence[int]] = None

    def check(self) -> 'SlideRules':
        """Return the rules, or raise ValueError on a bad value."""
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
                    f' got {step}: windows would not cover the image')
        return self


def slide_maps(embed: Callable[[Tensor], Tuple[Tensor, Tensor]],
               inputs: Tensor, rules: SlideRules, *,
               unit: bool) -> Tuple[Tensor, Tensor]:
    """Average the logits and embeddings of overlapping windows.

    The average is taken on the grid of the embedding map rather than that of
    the input, so that one clustering sees the whole image at the scale of
    the training. A cell is a pixel of this map. The sums take
    B * (C + D) * h * w numbers.

    Args:
        embed: Function from a window (B, 3, H', W') to its logits
            (B, C, h', w') and embeddings (B, D, h', w').
        inputs: (B, 3, H, W) preprocessed images.
        rules: Size and stride of the windows. A window that is larger than
            the input is cut to it.
        unit: Whether the embeddings are unit vectors, so that their mean is
            normalised.

    Returns:
        Logits (B, C, h, w) and embeddings (B, D, h, w).

    Raises:
        ValueError: If a window begins or ends inside a cell.
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
    """Return the row slice and the column slice of the cells of a window."""
    found = []
    for window, side in zip((rows, columns), cell):
        borders = window.start / side, window.stop / side
        if any(border != round(border) for border in borders):
            raise ValueError(
                f'a window must begin and end at a multiple of {side:g} '
                'pixels, the size of a cell of the embedding map, got '
                f'{window.start} to {window.stop}; make '
                '`test_cfg.crop_size`, `test_cfg.stride` and '
                '`pad_size_divisor` of the data preprocessor such multiples')
        found.append(slice(*map(round, borders)))
    return tuple(found)
