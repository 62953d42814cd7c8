"""Overlapping windows for inference on an image part by part."""
from typing import Iterator, Sequence, Tuple

MODES = ('whole', 'slide')  # inference on the whole image or on windows


def windows(length: int, crop: int, stride: int) -> Iterator[slice]:
    """Yield the overlapping windows that cover one side of an image.

    The windows are those of MMSegmentation's `slide_inference`. The last
    window is moved back so that it ends where the image ends.

    Args:
        length: Length of the side of the image in pixels.
        crop: Length of a window in pixels.
        stride: Distance in pixels between the starts of two windows.

    Example:
        >>> [(w.start, w.stop) for w in windows(10, 4, 3)]
        [(0, 4), (3, 7), (6, 10)]
    """
    for i in range(max(length - crop + stride - 1, 0) // stride + 1):
        end = min(i * stride + crop, length)
        yield slice(max(end - crop, 0), end)


def image_windows(size: Sequence[int], crop_size: Sequence[int],
                  stride: Sequence[int]) -> Iterator[Tuple[slice, slice]]:
    """Yield the row slice and the column slice of each window of an image.

    Args:
        size: H and W of the image in pixels.
        crop_size: Height and width of a window in pixels.
        stride: Distance in pixels between the starts of two windows, along
            y and along x.

    Example:
        >>> [(y.start, x.start) for y, x in image_windows(
        ...     (4, 6), (4, 4), (2, 2))]
        [(0, 0), (0, 2)]
    """
    for rows in windows(size[0], crop_size[0], stride[0]):
        for columns in windows(size[1], crop_size[1], stride[1]):
            yield rows, columns
