"""Overlapping windows of an image that is seen part by part."""
from typing import Iterator, Sequence, Tuple

MODES = ('whole', 'slide')  # how a test looks at an image


def windows(length: int, crop: int, stride: int) -> Iterator[slice]:
    """Yield overlapping windows, as MMSegmentation's slide inference has them.

    The last one is moved back so that it ends where the image does.

    Args:
        length: Pixels of a side of the image.
        crop: Length of the window in pixels.
        stride: From one window to the next.

    Example:
        >>> [(w.start, w.stop) for w in windows(10, 4, 3)]
        [(0, 4), (3, 7), (6, 10)]
    """
    for i in range(max(length - crop + stride - 1, 0) // stride + 1):
        end = min(i * stride + crop, length)
        yield slice(max(end - crop, 0), end)


def image_windows(size: Sequence[int], crop_size: Sequence[int],
                  stride: Sequence[int]) -> Iterator[Tuple[slice, slice]]:
    """Yield the rows and columns of the windows of an image.

    Args:
        size: H and W of the image.
        crop_size: Height and width of a window.
        stride: Pixels from one window to the next, along y and x.

    Example:
        >>> [(y.start, x.start) for y, x in image_windows(
        ...     (4, 6), (4, 4), (2, 2))]
        [(0, 0), (0, 2)]
    """
    for rows in windows(size[0], crop_size[0], stride[0]):
        for columns in windows(size[1], crop_size[1], stride[1]):
            yield rows, columns
