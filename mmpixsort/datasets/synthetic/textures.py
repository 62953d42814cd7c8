"""Draw small random textures for synthetic scenes, as float32 arrays.

All random numbers come from the generator `rng` that a function receives. A
texture is either a grey pattern (H, W) around 1, which is multiplied with a
colour, or a colour picture (H, W, 3) in [0, 1].
"""
from typing import Tuple

import cv2
import numpy as np

Colour = Tuple[float, float, float]

# named colours, RGB in [0, 1]; captions use the names
COLOURS = {
    'red': (0.62, 0.13, 0.12),
    'blue': (0.16, 0.27, 0.58),
    'green': (0.17, 0.42, 0.22),
    'yellow': (0.80, 0.66, 0.18),
    'white': (0.88, 0.88, 0.86),
    'black': (0.08, 0.08, 0.09),
    'grey': (0.45, 0.46, 0.47),
    'silver': (0.68, 0.69, 0.70),
    'brown': (0.40, 0.27, 0.17),
    'orange': (0.80, 0.42, 0.14),
}


def named_colour(rng: np.random.Generator,
                 names: Tuple[str, ...] = tuple(COLOURS)
                 ) -> Tuple[str, np.ndarray]:
    """Draw a colour name and a random RGB value near that colour."""
    name = names[rng.integers(len(names))]
    value = np.array(COLOURS[name]) * rng.uniform(0.8, 1.2)
    value = value + rng.uniform(-0.03, 0.03, 3)
    return name, np.clip(value, 0.02, 1.0).astype(np.float32)


def muted_colour(rng: np.random.Generator, low: float, high: float,
                 tint: float) -> np.ndarray:
    """Draw a nearly grey colour (3,), RGB in [0, 1].

    Args:
        rng: Random generator.
        low: Minimum brightness.
        high: Maximum brightness.
        tint: Maximum relative deviation of R, G and B from grey.
    """
    value = rng.uniform(low, high) * (1 + rng.uniform(-tint, tint, 3))
    return np.minimum(np.maximum(value, 0.02), 1.0).astype(np.float32)


def noise(rng: np.random.Generator,
          height: int,
          width: int,
          cell: float,
          octaves: int = 3) -> np.ndarray:
    """Draw smooth noise (H, W) with mean near 0 and range about [-1, 1].

    Args:
        rng: Random generator.
        height: Height in pixels.
        width: Width in pixels.
        cell: Size in pixels of the coarsest blotches.
        octaves: Number of layers; each has half the blotch size and half the
            amplitude of the one before.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        rows, cols = int(height / size) + 2, int(width / size) + 2
        grid = rng.random((rows, cols), dtype=np.float32)
        grid -= .5
        grid *= 2 / 2**octave
        total += cv2.resize(grid, (width, height),
                            interpolation=cv2.INTER_LINEAR)
    return total


def stripes(height: int, width: int, period: float, angle: float,
            depth: float) -> np.ndarray:
    """Return a pattern (H, W) of light and dark stripes of equal width.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        period: Width of a light and a dark stripe together, in pixels.
        angle: Angle between the horizontal and the normal of the stripes,
            in radians.
        depth: Difference of the values from 1, in [0, 1].
    """
    rows = np.arange(height, dtype=np.float32)[:, None]
    cols = np.arange(width, dtype=np.float32)[None]
    phase = (cols * np.cos(angle) + rows * np.sin(angle)) / period
    return 1 + depth * np.sign(np.sin(2 * np.pi * phase))


def masonry(rng: np.random.Generator, height: int, width: int, row: int,
            depth: float) -> np.ndarray:
    """Return a pattern (H, W) of bricks or slabs.

    Args:
        rng: Random generator.
        height: Height in pixels.
        width: Width in pixels.
        row: Height of a row of bricks in pixels.
        depth: Maximum deviation of the brightness of a brick from 1.
    """
    pattern = np.ones((height, width), np.float32)
    brick = max(2 * row, 3)
    shades = rng.uniform(1 - depth, 1 + depth,
                         (height // row + 1, width // brick + 2))
    rows = np.arange(height) // row
    for line in range(rows[-1] + 1):
        shift = (line % 2) * (brick // 2)
        cols = (np.arange(width) + shift) // brick
        pattern[rows == line] = shades[line, cols]
    pattern[::row] *= 1 - depth
    return pattern


def facade(rng: np.random.Generator, height: int, width: int,
           wall: np.ndarray) -> np.ndarray:
    """Return a house front (H, W, 3) with windows and sometimes a shop."""
    picture = np.empty((height, width, 3), np.float32)
    kind = rng.integers(3)
    if kind == 0:
        pattern = masonry(rng, height, width, int(rng.integers(2, 5)), 0.15)
    elif kind == 1:
        pattern = 1 + 0.2 * noise(rng, height, width, width / 3)
    else:
        pattern = stripes(height, width, rng.uniform(4, 10), np.pi / 2, 0.06)
    picture[:] = wall * pattern[..., None]
    _windows(rng, picture)
    if rng.random() < 0.5:
        shop = height - max(int(height * rng.uniform(0.15, 0.25)), 2)
        picture[shop:] = named_colour(rng)[1]
        picture[shop:shop + 2] *= 0.6
        for left in range(2, width - 4, max(width // 4, 6)):
            picture[shop + 3:-2, left:left + max(width // 6, 3)] = \
                muted_colour(rng, 0.05, 0.5, 0.3)
    return np.minimum(picture, 1)


def _windows(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Paint a grid of windows in place."""
    height, width = picture.shape[:2]
    storey = int(rng.integers(max(height // 7, 6), max(height // 3, 8)))
    bay = int(rng.integers(max(width // 8, 5), max(width // 3, 7)))
    glass = muted_colour(rng, 0.05, 0.75, 0.25)
    frame = muted_colour(rng, 0.3, 0.95, 0.1)
    tall = max(int(storey * rng.uniform(0.4, 0.65)), 2)
    wide = max(int(bay * rng.uniform(0.35, 0.65)), 2)
    for top in range(storey // 4, height - tall, storey):
        for left in range(bay // 4, width - wide, bay):
            picture[top:top + tall, left:left + wide] = frame
            pane = glass * rng.uniform(0.6, 1.4)
            picture[top + 1:top + tall, left + 1:left + wide] = pane
            picture[top + tall // 2, left:left + wide] = frame


def railing(rng: np.random.Generator, height: int, width: int,
            paint: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return a fence (H, W, 3) and its opacity (H, W) in [0, 1]."""
    picture = np.empty((height, width, 3), np.float32)
    opacity = np.ones((height, width), np.float32)
    kind = rng.integers(3)
    if kind == 0:  # bars: the scene behind shows through
        period = int(rng.integers(4, 9))
        opacity[:] = 0.15
        opacity[:, ::period] = 1
        opacity[:, 1::period] = 1
        opacity[:2] = opacity[-3:-1] = 1
        opacity[height // 3:height // 3 + 2] = 1
        picture[:] = paint
    elif kind == 1:  # planks
        period = int(rng.integers(6, 14))
        boards = rng.uniform(0.75, 1.25, width // period + 1)
        shade = boards[np.arange(width) // period]
        shade[::period] *= 0.5
        picture[:] = paint * shade[None, :, None]
        picture *= (1 + 0.15 * noise(rng, height, width, 9))[..., None]
    else:  # low wall
        picture[:] = paint * masonry(rng, height, width,
                                     int(rng.integers(4, 8)), 0.2)[..., None]
    return np.clip(picture, 0, 1), opacity
