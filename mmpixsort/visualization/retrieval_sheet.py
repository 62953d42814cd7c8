"""Draw segments beside the annotated segments retrieved for them.

All pictures are (H, W, 3) uint8 RGB arrays.
"""
import base64
import html
from typing import List, NamedTuple, Optional, Sequence

import cv2
import numpy as np

TILE = 112  # side of a crop in pixels
LINE = 34  # pixels for two lines of text below a crop
OUTLINE = (255, 230, 0)
RING = (255, 255, 255)
CAPTION = (
    'Left: a segment of the image, the class that most of the annotated '
    'segments nearest to it have, and how many of them. Right: the nearest '
    'of them, with similarity and source.')

STYLE = '''
body { font: 14px sans-serif; margin: 24px; color: #222; }
table { border-collapse: collapse; }
td { padding: 4px 6px; vertical-align: top; font-size: 12px; }
td:first-child { border-right: 2px solid #999; }
img { display: block; image-rendering: auto; }
.share { color: #666; }
'''


class Crop(NamedTuple):
    """Picture of a segment and its surroundings, with texts.

    Attributes:
        picture: Picture with the outline of the segment.
        title: Class of the segment.
        note: Similarity or votes, as text.
        source: Name of the image that the segment is from.
    """

    picture: np.ndarray
    title: str
    note: str
    source: str


class Row(NamedTuple):
    """A segment and its neighbours, most similar first."""

    segment: Crop
    neighbors: List[Crop]


def crop_segment(image: np.ndarray,
                 mask: np.ndarray,
                 *,
                 ring: Optional[np.ndarray] = None,
                 tile: int = TILE) -> np.ndarray:
    """Return the square of an image around a mask, with its outline drawn.

    Args:
        image: (H, W, 3) picture.
        mask: (H, W) bool mask, not empty.
        ring: (H, W) bool surroundings of the mask. The square contains them,
            and their outer outline is drawn as a thin line. None means a
            wider margin instead.
        tile: Side of the result in pixels.

    Returns:
        (tile, tile, 3) picture.
    """
    around, margin = (mask, 1.5) if ring is None else (mask | ring, 1.1)
    rows, columns = np.nonzero(around)
    top, left = rows.min(), columns.min()
    height, width = rows.max() + 1 - top, columns.max() + 1 - left
    side = max(16, int(margin * max(height, width)))
    y = top + height // 2 - side // 2
    x = left + width // 2 - side // 2
    frame = (side, side, side, side)
    padded = cv2.copyMakeBorder(
        image, *frame, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    window = slice(y + side, y + 2 * side), slice(x + side, x + 2 * side)
    part = np.ascontiguousarray(cv2.resize(
        np.ascontiguousarray(padded[window]), (tile, tile),
        interpolation=cv2.INTER_AREA if side > tile else cv2.INTER_LINEAR))
    shapes = [(mask, OUTLINE, 2)]
    if ring is not None:
        shapes.insert(0, (around, RING, 1))
    for shape, colour, thickness in shapes:
        shape = cv2.copyMakeBorder(
            shape.astype(np.uint8), *frame, cv2.BORDER_CONSTANT,
            value=0)[window]
        shape = cv2.resize(
            shape, (tile, tile), interpolation=cv2.INTER_NEAREST)
        lines, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL,
                                    cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(part, lines, -1, colour, thickness)
    return part


def sheet(rows: Sequence[Row], *, sources: bool = False) -> np.ndarray:
    """Return one picture with a row for each segment and its neighbours.

    The first column shows the segments.

    Args:
        rows: Segments and neighbours, whose pictures have the same size.
        sources: Whether to write the names of the images below the crops.

    Raises:
        ValueError: If there are no rows.
    """
    if not rows:
        raise ValueError('`rows` must hold at least one segment, got none')
    columns = 1 + max(len(row.neighbors) for row in rows)
    tile = len(rows[0].segment.picture)
    below = LINE + 15 * sources
    step = tile + 8
    page = np.full((len(rows) * (step + below), columns * step + 12, 3), 255,
                   np.uint8)
    for i, row in enumerate(rows):
        for j, crop in enumerate([row.segment, *row.neighbors]):
            top = i * (step + below)
            left = j * step + (12 if j else 0)
            page[top:top + tile, left:left + tile] = crop.picture
            texts = (crop.title, crop.note, crop.source)[:2 + sources]
            page[top + tile:top + tile + below,
                 left:left + tile] = _text(texts, (below, tile))
    return page


def _text(lines: Sequence[str], size: Sequence[int]) -> np.ndarray:
    """Return a white picture of a size with lines of text, cut at its edge."""
    space = np.full((*size, 3), 255, np.uint8)
    for number, line in enumerate(lines):
        cv2.putText(space, line, (1, 13 + 15 * number),
                    cv2.FONT_HERSHEY_SIMPLEX, .4, (0, 0, 0), 1, cv2.LINE_AA)
    return space


def page(rows: Sequence[Row], *, title: str,
         overview: Sequence[np.ndarray],
         caption: str = CAPTION) -> str:
    """Return an HTML page of segments and neighbours, pictures included.

    Args:
        rows: Segments and neighbours, one table row each.
        title: Title of the page.
        overview: Pictures to show above the table.
        caption: Text that explains the table.
    """
    cells = '\n'.join(
        '<tr>' + ''.join(map(_cell, [row.segment, *row.neighbors])) + '</tr>'
        for row in rows)
    pictures = ''.join(
        f'<img style="display:inline; margin-right:8px" alt="" '
        f'src="{_embedded(picture)}">' for picture in overview)
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<title>{html.escape(title)}</title><style>{STYLE}</style>'
            f'</head><body><h1>{html.escape(title)}</h1><p>{pictures}</p>'
            f'<p>{html.escape(caption)}</p>\n<table>{cells}</table>'
            '</body></html>\n')


def _cell(crop: Crop) -> str:
    return (f'<td><img alt="{html.escape(crop.title)}" '
            f'src="{_embedded(crop.picture)}"><b>{html.escape(crop.title)}'
            f'</b> {html.escape(crop.note)}<br><span class="share">'
            f'{html.escape(crop.source)}</span></td>')


def _embedded(picture: np.ndarray) -> str:
    _, data = cv2.imencode('.png', picture[..., ::-1])
    return 'data:image/png;base64,' + base64.b64encode(data).decode()
