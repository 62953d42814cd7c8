"""Draw a segmentation with the word of each class on the image."""
from typing import List, Sequence, Tuple

import cv2
import numpy as np
from mmengine.visualization import Visualizer

from .panels import paint_labels

BACKGROUND = 'background'
MIN_SHARE = 1 / 400  # smallest fraction of the image that gets a word
MARGIN = 3  # pixels around a word


def draw_words(image: np.ndarray, labels: np.ndarray,
               classes: Sequence[str], *, alpha: float = .5) -> np.ndarray:
    """Colour the classes of an image, and write each word on its class.

    The word is written on the largest connected part of the class, unless
    that is very small.

    Args:
        image: (H, W, 3) uint8 RGB image.
        labels: (H, W) integer labels, indices into `classes`.
        classes: Words. Pixels of the class 'background' are not coloured.
        alpha: Weight of the colours, in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB picture.

    Raises:
        ValueError: If the sizes of image and labels differ.
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
        # matplotlib, unlike OpenCV, can draw letters of most languages
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
    """Move words that cross the border or overlap another word."""
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
    """Move boxes into an image and apart from each other.

    Each box is moved up or down until it does not overlap the boxes before
    it, by at most three heights. If there is no such place, it stays.

    Args:
        centres: (N, 2) x, y of the centres of the boxes.
        extents: (N, 2) widths and heights of the boxes.
        size: Height and width of the image.

    Returns:
        (N, 2) x, y of the new centres.

    Example:
        >>> arrange_boxes(np.array([[0., 20.], [9., 20.]]),
        ...               np.full((2, 2), 10.), (40, 40)).tolist()
        [[5.0, 20.0], [9.0, 31.0]]
    """
    half = extents / 2
    # a box that is wider than the image starts at its left border
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
    """Return the words to write and their places x, y.

    The place of a word is the pixel of its largest connected part that is
    farthest from the border of the part, so that it lies inside. If there
    are several, as in a strip, it is the one nearest to the centroid. Parts
    of less than MIN_SHARE of the image and the background get no word.
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
    """Return y, x of the True pixel (H, W) that is nearest to x, y."""
    found = np.argwhere(candidates)
    away = np.square(found - centre[::-1]).sum(1)
    return found[away.argmin()]
