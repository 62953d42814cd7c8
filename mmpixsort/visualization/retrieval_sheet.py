"""Segments beside the annotated segments that named them.

All pictures are (H, W, 3) uint8 RGB arrays.
"""
import base64
import html
from typing import List, NamedTuple, Sequence

import cv2
import numpy as np

TILE = 112  # side of a crop in pixels
LINE = 34  # pixels for two lines of text below a crop
OUTLINE = (255, 230, 0)

STYLE = '''
body { font: 14px sans-serif; margin: 24px; color: #222; }
table { border-collapse: collapse; }
td { padding: 4px 6px; vertical-align: top; font-size: 12px; }
td:first-child { border-right: 2px solid #999; }
img { display: block; image-rendering: auto; }
.share { color: #666; }
'''


class Crop(NamedTuple):
    """A segment in its surroundings.

    Attributes:
        picture: With the outline drawn.
        title: Its class.
        note: Similarity or votes.
        source: Name of the image.
    """

    picture: np.ndarray
    title: str
    note: str
    source: str


class Row(NamedTuple):
    """A segment and its neighbours, most similar first."""

    segment: Crop
    neighbors: List[Crop]


def crop_segment(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cut the square around a mask out of an image, with its outline.

    Args:
        image: (H, W, 3).
        mask: (H, W) bool, not empty.

    Returns:
        (TILE, TILE, 3).
    """
    rows, columns = np.nonzero(mask)
    top, left = rows.min(), columns.min()
    height, width = rows.max() + 1 - top, columns.max() + 1 - left
    side = max(16, int(1.5 * max(height, width)))
    y = top + height // 2 - side // 2
    x = left + width // 2 - side // 2
    frame = (side, side, side, side)
    padded = cv2.copyMakeBorder(
        image, *frame, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    window = slice(y + side, y + 2 * side), slice(x + side, x + 2 * side)
    part = cv2.resize(
        np.ascontiguousarray(padded[window]), (TILE, TILE),
        interpolation=cv2.INTER_AREA if side > TILE else cv2.INTER_LINEAR)
    shape = cv2.copyMakeBorder(
        mask.astype(np.uint8), *frame, cv2.BORDER_CONSTANT, value=0)[window]
    shape = cv2.resize(shape, (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    lines, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL,
                                cv2.CHAIN_APPROX_NONE)
    part = np.ascontiguousarray(part)
    cv2.drawContours(part, lines, -1, OUTLINE, 2)
    return part


def sheet(rows: Sequence[Row]) -> np.ndarray:
    """Set segments in the first column, their neighbours beside them."""
    if not rows:
        raise ValueError('`rows` must hold at least one segment, got none')
    columns = 1 + max(len(row.neighbors) for row in rows)
    step = TILE + 8
    page = np.full((len(rows) * (TILE + LINE + 8), columns * step + 12, 3),
                   255, np.uint8)
    for i, row in enumerate(rows):
        for j, crop in enumerate([row.segment, *row.neighbors]):
            top = i * (TILE + LINE + 8)
            left = j * step + (12 if j else 0)
            page[top:top + TILE, left:left + TILE] = crop.picture
            for line, text in enumerate((crop.title, crop.note)):
                tile = np.ascontiguousarray(
                    page[top + TILE:top + TILE + LINE, left:left + TILE])
                cv2.putText(tile, text, (1, 13 + 15 * line),
                            cv2.FONT_HERSHEY_SIMPLEX, .4, (0, 0, 0), 1,
                            cv2.LINE_AA)
                page[top + TILE:top + TILE + LINE, left:left + TILE] = tile
    return page


def page(rows: Sequence[Row], *, title: str,
         overview: Sequence[np.ndarray]) -> str:
    """Return one HTML page that holds its pictures.

    Args:
        rows: Segments and neighbours.
        title: Of the page.
        overview: Pictures above the table.
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
            '<p>Left: a segment of the image, its class and the share of '
            'votes. Right: the annotated segments nearest to it, with '
            f'similarity and source.</p>\n<table>{cells}</table>'
            '</body></html>\n')


def _cell(crop: Crop) -> str:
    return (f'<td><img alt="{html.escape(crop.title)}" '
            f'src="{_embedded(crop.picture)}"><b>{html.escape(crop.title)}'
            f'</b> {html.escape(crop.note)}<br><span class="share">'
            f'{html.escape(crop.source)}</span></td>')


def _embedded(picture: np.ndarray) -> str:
    _, data = cv2.imencode('.png', picture[..., ::-1])
    return 'data:image/png;base64,' + base64.b64encode(data).decode()
