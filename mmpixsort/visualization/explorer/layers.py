"""Draw the layers that an explorer page lays over an image.

Shapes: H W size of the layer, S segments.
"""
import cv2
import numpy as np

MAX_SIDE = 1600  # pixels; a larger image is shown smaller on a page


def shrink(picture: np.ndarray, side: int, *,
           nearest: bool = False) -> np.ndarray:
    """Return a picture whose longer side is at most `side` pixels.

    Args:
        picture: (H, W) or (H, W, 3) array.
        side: Largest number of pixels of the longer side.
        nearest: Whether to take the nearest pixel, so that ids and colours
            of classes do not mix.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if nearest:
        rows = np.arange(size[1]) * height // size[1]
        columns = np.arange(size[0]) * width // size[0]
        return picture[rows[:, None], columns]
    return cv2.resize(
        np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)


def segment_lines(ids: np.ndarray) -> np.ndarray:
    """Return the borders between segments as an RGBA picture (H, W, 4).

    The borders are white; everything else is transparent.

    Args:
        ids: (H, W) segment ids.
    """
    border = np.zeros(ids.shape, bool)
    border[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    border[1:] |= ids[1:] != ids[:-1]
    return np.repeat(border[..., None], 4, 2).astype(np.uint8) * 255


def confidence_layer(ids: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Return the vote share of each segment as an RGB picture (H, W, 3).

    Colours go from dark blue, no agreement, to yellow, all votes for one
    class.

    Args:
        ids: (H, W) segment ids in [0, S).
        confidence: Shares (S,) in [0, 1].
    """
    values = np.clip(np.asarray(confidence, np.float64), 0, 1) * 255
    grey = np.round(values).astype(np.uint8)[ids]
    return cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1]
