"""Overlapping windows of an image that is seen part by part."""
from typing import Iterator

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
