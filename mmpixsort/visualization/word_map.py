"""Pictures of an image with words on the pixels that they name."""
from typing import List, Sequence, Tuple

import cv2
import numpy as np
from mmengine.visualization import Visualizer

from .panels import paint_labels

BACKGROUND = 'background'
MIN_SHARE = 1 / 400  # of the image, of a part that gets its word


def draw_words(image: np.ndarray, labels: np.ndarray,
               classes: Sequence[str], *, alpha: float = .5) -> np.ndarray:
    """Colour what is named, and write each word on its largest part.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) places in `classes`.
        classes: Words; 'background' stays as it is.
        alpha: Weight of the colours, in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: On other sizes.
    """
    if image.shape[:2] != labels.shape:
        raise ValueError(f'`labels` must have the size {image.shape[:2]} of '
                         f'`image`, got {labels.shape}')
    colours = paint_labels(labels, ())
    shown = np.isin(labels, [
        i for i, word in enumerate(classes) if word != BACKGROUND])
    mixed = np.where(shown[..., None],
                     alpha * colours + (1 - alpha) * image, image)
    visualizer = Visualizer(
        name='words', image=np.round(mixed).astype(np.uint8))
    places = word_places(labels, classes)
    if places:
        # of matplotlib, which has letters of most languages
        visualizer.draw_texts(
            [word for word, _ in places],
            np.array([place for _, place in places], np.float32),
            font_sizes=max(8, labels.shape[1] // 40),
            colors='white',
            horizontal_alignments='center',
            vertical_alignments='center',
            bboxes=[dict(facecolor='black', alpha=.6, pad=.8,
                         edgecolor='none')] * len(places))
    return visualizer.get_image()


def word_places(labels: np.ndarray, classes: Sequence[str]
                ) -> List[Tuple[str, Tuple[int, int]]]:
    """Return the words to write and x, y of the middle of their largest part.

    The middle is the pixel farthest from the border of the part, so that it
    lies inside.
    """
    places = []
    for i in np.unique(labels).tolist():
        if classes[i] == BACKGROUND:
            continue
        count, parts, stats, _ = cv2.connectedComponentsWithStats(
            (labels == i).astype(np.uint8), connectivity=4)
        largest = 1 + int(stats[1:count, cv2.CC_STAT_AREA].argmax())
        if stats[largest, cv2.CC_STAT_AREA] < MIN_SHARE * labels.size:
            continue
        inside = np.pad((parts == largest).astype(np.uint8), 1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        places.append((classes[i], (int(x), int(y))))
    return places
