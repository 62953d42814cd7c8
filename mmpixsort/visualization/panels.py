"""Draw images, label maps and embeddings, and set them side by side.

All pictures are (H, W, 3) uint8 RGB arrays.
"""
from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor

from mmpixsort.functional.pca import pca_rgb

GAP = 4  # white pixels between two pictures
CAPTION = 18  # pixels for the line of text above a picture


def paint_labels(labels: np.ndarray, palette: Sequence) -> np.ndarray:
    """Return a picture of a map (H, W) of labels.

    Args:
        labels: (H, W) integer labels. Those outside the palette, also
            negative ones, are black.
        palette: RGB colours in [0, 255] of the labels 0, 1, ... If it is
            empty, 255 colours are used in which adjacent labels differ
            clearly.
    """
    if not len(palette):
        order = (np.arange(255) * 157 % 256).astype(np.uint8)
        colours = cv2.applyColorMap(order[None], cv2.COLORMAP_TURBO)[0]
        palette = colours[:, ::-1]
    table = np.zeros((len(palette) + 1, 3), np.uint8)  # the last is black
    table[:-1] = palette
    outside = (labels < 0) | (labels >= len(palette))
    # of a type that holds the index of the last, as uint8 may not
    return table[np.where(outside, len(palette), labels.astype(np.int64))]


def as_picture(bands: np.ndarray) -> np.ndarray:
    """Return a picture of an image with any number of bands.

    Args:
        bands: (C, H, W). The first three bands are taken as B, G, R, as
            OpenCV reads them. With fewer, the first is shown in grey. Values
            are kept if they are uint8, or lie in [0, 255] with a maximum
            above 1; otherwise they are scaled so that the smallest is black
            and the largest white.

    Example:
        >>> as_picture(np.array([[[0, 4000]]], np.uint16)).tolist()
        [[[0, 0, 0], [255, 255, 255]]]
    """
    chosen = bands[:3] if len(bands) > 2 else bands[[0, 0, 0]]
    picture = chosen.transpose(1, 2, 0)[..., ::-1]
    if picture.dtype == np.uint8 or not picture.size:
        return np.ascontiguousarray(picture, np.uint8)
    picture = np.nan_to_num(picture.astype(np.float32))
    low, high = picture.min(), picture.max()
    if low < 0 or not 1 < high <= 255:
        picture = (picture - low) * (255 / max(high - low, 1e-12))
    return np.ascontiguousarray((picture + .5).astype(np.uint8))


def outline_ids(image: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Draw the boundaries between ids on an image, as white lines.

    Args:
        image: Picture, which is resized to the size of `ids`.
        ids: (H, W) integer ids. Lines are one pixel wide.
    """
    height, width = ids.shape
    picture = cv2.resize(
        np.ascontiguousarray(image), (width, height),
        interpolation=cv2.INTER_LINEAR)
    border = np.zeros(ids.shape, bool)
    border[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    border[1:] |= ids[1:] != ids[:-1]
    picture[border] = 255
    return picture


def embedding_pictures(embeddings: Sequence[Tensor],
                       sizes: Sequence[Tuple[int, int]]) -> List[np.ndarray]:
    """Return pictures of embeddings, coloured by principal components.

    All images share one basis, so equal embeddings have equal colours.

    Args:
        embeddings: One embedding (D, h, w) per image; h and w may differ.
        sizes: Sizes (H, W) of the pictures to return.

    Returns:
        One picture per image.
    """
    if not embeddings:
        return []
    # all pixels form one image with a single row, so they share a basis
    flat = [item.detach().float().cpu().flatten(1) for item in embeddings]
    colours = pca_rgb(torch.cat(flat, 1)[None, :, None])[0, :, 0]
    pictures = []
    for item, part, size in zip(
            embeddings, colours.split([f.shape[1] for f in flat], 1), sizes):
        picture = part.view(3, *item.shape[1:]).permute(1, 2, 0).numpy()
        picture = cv2.resize(
            np.ascontiguousarray(picture), (size[1], size[0]),
            interpolation=cv2.INTER_LINEAR)
        pictures.append((picture * 255 + .5).astype(np.uint8))
    return pictures


def side_by_side(pictures: Sequence[np.ndarray],
                 titles: Optional[Sequence[str]] = None) -> np.ndarray:
    """Join pictures in a row, with an optional title above each.

    Args:
        pictures: Pictures. All are resized to the size of the first, by
            nearest neighbour so that colours of labels do not mix.
        titles: One title per picture; None means no titles.

    Raises:
        ValueError: If there is no picture, or not one title per picture.
    """
    if not len(pictures):
        raise ValueError('`pictures` must hold at least one picture')
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f'`titles` must hold {len(pictures)} texts, one '
                         f'per picture, got {len(titles)}')
    height, width = pictures[0].shape[:2]
    top = CAPTION if titles is not None else 0
    total = len(pictures) * (width + GAP) - GAP
    row = np.full((height + top, total, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        if picture.shape[:2] != (height, width):
            picture = cv2.resize(
                picture, (width, height), interpolation=cv2.INTER_NEAREST)
        left = number * (width + GAP)
        row[top:, left:left + width] = picture
        if titles is not None:
            # draw on a copy, so that a long title is cut off at its picture
            tile = np.ascontiguousarray(row[:top, left:left + width])
            cv2.putText(tile, titles[number], (2, 13),
                        cv2.FONT_HERSHEY_SIMPLEX, .45, (0, 0, 0), 1,
                        cv2.LINE_AA)
            row[:top, left:left + width] = tile
    return row
