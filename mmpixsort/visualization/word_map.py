"""Pictures of an image with words on the pixels that they name."""
from typing import List, Sequence, Tuple

import cv2
import numpy as np
from mmengine.visualization import Visualizer

from .panels import paint_labels

BACKGROUND = 'background'
MIN_SHARE = 1 / 400  # of the image, of a part that gets its word
MARGIN = 3  # pixels around a word


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
        _arrange(visualizer, labels.shape)
    return visualizer.get_image()


def _arrange(visualizer: Visualizer, size: Tuple[int, int]) -> None:
    """Move words that the border would cut, or another word hide."""
    renderer = visualizer.fig_save.canvas.get_renderer()
    texts = visualizer.ax_save.texts
    boxes = [text.get_window_extent(renderer) for text in texts]
    places = arrange_boxes(
        np.array([text.get_position() for text in texts]),
        np.array([(box.width, box.height) for box in boxes]) + 2 * MARGIN,
        size)
    for text, place in zip(texts, places):
        text.set_position(place)


def arrange_boxes(centres: np.ndarray, extents: np.ndarray,
                  size: Tuple[int, int]) -> np.ndarray:
    """Move boxes into an image, then up or down off the ones before them.

    A box that finds no room so stays where it is.

    Args:
        centres: (N, 2) x, y.
        extents: (N, 2) width and height.
        size: Height and width of the image.

    Returns:
        (N, 2) x, y of the centres.

    Example:
        >>> arrange_boxes(np.array([[0., 20.], [9., 20.]]),
        ...               np.full((2, 2), 10.), (40, 40)).tolist()
        [[5.0, 20.0], [9.0, 31.0]]
    """
    half = extents / 2
    # a box wider than the image begins with it
    upper = np.maximum(np.array(size[::-1]) - half, half)
    centres = np.clip(centres, half, upper)
    for i in range(1, len(centres)):
        for step in (0, 1, -1, 2, -2, 3, -3):
            moved = centres[i] + [0, step * (extents[i, 1] + 1)]
            apart = (np.abs(moved - centres[:i]) >=
                     half[i] + half[:i]).any(1).all()
            if apart and half[i, 1] <= moved[1] <= upper[i, 1]:
                centres[i] = moved
                break
    return centres


def word_places(labels: np.ndarray, classes: Sequence[str]
                ) -> List[Tuple[str, Tuple[int, int]]]:
    """Return the words to write and x, y of the middle of their largest part.

    The middle is the pixel farthest from the border of the part, so that it
    lies inside; of several, as in a strip, the nearest to the centre.
    """
    places = []
    for i in np.unique(labels).tolist():
        if classes[i] == BACKGROUND:
            continue
        count, parts, stats, centres = cv2.connectedComponentsWithStats(
            (labels == i).astype(np.uint8), connectivity=4)
        largest = 1 + int(stats[1:count, cv2.CC_STAT_AREA].argmax())
        if stats[largest, cv2.CC_STAT_AREA] < MIN_SHARE * labels.size:
            continue
        inside = np.pad((parts == largest).astype(np.uint8), 1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
        y, x = _nearest(depth == depth.max(), centres[largest])
        places.append((classes[i], (int(x), int(y))))
    return places


def _nearest(candidates: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return y, x of the candidate (H, W) nearest to x, y."""
    found = np.argwhere(candidates)
    away = np.square(found - centre[::-1]).sum(1)
    return found[away.argmin()]
