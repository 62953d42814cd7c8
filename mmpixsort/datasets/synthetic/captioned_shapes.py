"""Generate small scenes of shapes with captions, to test text grouping.

Each picture shows one to three shapes on a shaded, noisy ground. The colour of
a shape is drawn independently of its kind, so that only the form tells which
noun it is. The caption names the shapes and nothing else.

Shapes: H W size, S shapes of a picture.
"""
import math
from itertools import combinations
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from mmpixsort.functional.checks import check_choice, check_count

from .textures import noise

SHAPE_NOUNS = ('disk', 'square', 'triangle', 'ring', 'cross', 'bar')
SHAPE_CLASSES = ('background', *SHAPE_NOUNS)
SHAPE_PALETTE = ((40, 40, 40), (230, 80, 60), (70, 130, 230), (80, 190, 90),
                 (240, 180, 40), (170, 90, 210), (60, 200, 200))
SHAPE_SPLITS = ('train', 'val', 'test', 'pairs')
MIN_SIDE = 32
MOST_SHAPES = 3
NUM_TRIES = 32  # number of places and colours drawn to find a suitable one
# minimum difference between the colours of a shape and the ground in at least
# one of R, G and B, which lie in [0, 1]
CONTRAST = .35


class CaptionedScene(NamedTuple):
    """A generated picture with its caption and its labels.

    Attributes:
        image: Picture (H, W, 3), uint8, RGB.
        labels: Labels (H, W), uint8 indices into SHAPE_CLASSES; 0 is the
            ground.
        shapes: Names of the shapes in the picture, from back to front.
        caption: Caption, such as 'a disk and a bar'.
        nouns: Names of the shapes that the caption mentions, in its order.
            Dropped shapes are missing.
    """

    image: np.ndarray
    labels: np.ndarray
    shapes: Tuple[str, ...]
    caption: str
    nouns: Tuple[str, ...]


class CaptionedShapes:
    """A sequence of generated pictures with captions.

    The picture of scene `i` depends only on `seed`, `split`, `i`, `size` and
    `held_out_pairs`; its caption also depends on `drop_noun`. The order of
    access, the process and the length of the sequence do not matter.

    Args:
        length: Length of the sequence, 1 or more.
        split: 'train', 'val', 'test' or 'pairs'; splits share no scene.
        seed: Seed of the generator, 0 or more.
        size: Height and width of the pictures in pixels, both at least 32.
        drop_noun: Probability in [0, 1] with which a caption leaves out each
            shape; it may leave out all.
        held_out_pairs: Pairs of nouns that occur together only in the split
            'pairs'. Every scene of that split shows at least one pair.

    Raises:
        ValueError, TypeError: If an argument is out of range.

    Example:
        >>> scene = CaptionedShapes(4, seed=0)[2]
        >>> scene.image.shape, len(scene.nouns) in (1, 2, 3)
        ((64, 64, 3), True)
    """

    def __init__(self,
                 length: int,
                 split: str = 'train',
                 seed: int = 0,
                 *,
                 size: Tuple[int, int] = (64, 64),
                 drop_noun: float = 0.,
                 held_out_pairs: Sequence[Sequence[str]] = ()) -> None:
        check_count('length', length)
        check_choice('split', split, SHAPE_SPLITS)
        check_count('seed', seed, 0)
        if not isinstance(drop_noun, (int, float)) or not 0 <= drop_noun <= 1:
            raise ValueError(
                f'`drop_noun` must be in [0, 1], got {drop_noun!r}')
        self.length, self.split, self.seed = length, split, seed
        self.size = _size(size)
        self.drop_noun = drop_noun
        self.compositions = _compositions(_pairs(held_out_pairs), split)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> CaptionedScene:
        """Generate one scene; a negative index counts from the end."""
        if not -self.length <= index < self.length:
            raise IndexError(f'`index` must be in [-{self.length}, '
                             f'{self.length}), got {index}')
        key = [self.seed, SHAPE_SPLITS.index(self.split), index % self.length]
        rng = np.random.default_rng(key)
        shapes = _draw_shapes(rng, self.compositions)
        image, labels = _paint(rng, shapes, self.size)
        # the caption has its own generator, so that `drop_noun` does not
        # change the picture
        nouns = _named(np.random.default_rng([*key, 1]), shapes,
                       self.drop_noun)
        return CaptionedScene(image, labels, shapes, describe(nouns), nouns)


def describe(nouns: Sequence[str]) -> str:
    """Return a phrase that lists shapes; it is empty for no shape.

    Example:
        >>> describe(['disk', 'bar', 'ring']), describe([])
        ('a disk, a bar and a ring', '')
    """
    *first, last = [f'a {noun}' for noun in nouns] or ['']
    return f'{", ".join(first)} and {last}' if first else last


def _size(size: Sequence[int]) -> Tuple[int, int]:
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f'`size` must be (height, width), got {size!r}')
    for side in size:
        check_count('size', side, MIN_SIDE)
    return tuple(size)


def _pairs(pairs: Sequence[Sequence[str]]) -> List[frozenset]:
    """Return the pairs of nouns as sets, after a check."""
    found = []
    for pair in pairs:
        if isinstance(pair, str) or len(set(pair)) != 2 or len(pair) != 2:
            raise ValueError('`held_out_pairs` must be pairs of two nouns, '
                             f'got {pair!r}')
        for noun in pair:
            check_choice('held_out_pairs', noun, SHAPE_NOUNS)
        found.append(frozenset(pair))
    return found


def _compositions(held_out: List[frozenset],
                  split: str) -> Dict[int, List[Tuple[str, ...]]]:
    """Return the sets of shapes of a split, grouped by number of shapes."""
    if split == 'pairs' and not held_out:
        raise ValueError('`held_out_pairs` must name a pair for the split '
                         "'pairs', got none")
    allowed = {}
    for count in range(1, MOST_SHAPES + 1):
        sets = [
            shapes for shapes in combinations(SHAPE_NOUNS, count)
            if any(pair <= set(shapes) for pair in held_out) ==
            (split == 'pairs')
        ]
        if sets:
            allowed[count] = sets
    return allowed


def _draw_shapes(rng: np.random.Generator,
                 compositions: Dict[int, List[Tuple[str, ...]]]
                 ) -> Tuple[str, ...]:
    counts = list(compositions)
    sets = compositions[counts[rng.integers(len(counts))]]
    shapes = sets[rng.integers(len(sets))]
    return tuple(shapes[i] for i in rng.permutation(len(shapes)))


def _named(rng: np.random.Generator, shapes: Sequence[str],
           drop_noun: float) -> Tuple[str, ...]:
    """Return the nouns that a caption names, in random order."""
    kept = rng.random(len(shapes)) >= drop_noun
    order = rng.permutation(len(shapes))
    return tuple(shapes[i] for i in order if kept[i])


def _paint(rng: np.random.Generator, shapes: Sequence[str],
           size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """Paint shapes on a ground, and return the picture and its labels."""
    ground = rng.uniform(.15, .85, 3).astype(np.float32)
    image = ground * _shading(rng, size)
    labels = np.zeros(size, np.uint8)
    rows, columns = np.indices(size, dtype=np.float32)
    radii = min(size) * rng.uniform(.12, .22, len(shapes))
    centres = _places(rng, radii, size)
    # Python floats keep the maps in float32; NumPy floats would not
    for name, radius, (y, x) in zip(shapes, radii.tolist(),
                                    centres.tolist()):
        angle = rng.uniform(0, 2 * math.pi)
        cos, sin = math.cos(angle), math.sin(angle)
        along = cos * (columns - x) + sin * (rows - y)
        across = cos * (rows - y) - sin * (columns - x)
        outside = SHAPES[name](along / radius, across / radius) * radius
        colour = _colour(rng, ground) * _shading(rng, size)
        cover = np.clip(.5 - outside, 0, 1)[..., None]
        image += cover * (colour - image)
        labels[outside <= 0] = SHAPE_CLASSES.index(name)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image += rng.uniform(.01, .04) * grain
    return (image.clip(0, 1) * 255).round().astype(np.uint8), labels


def _shading(rng: np.random.Generator, size: Tuple[int, int]) -> np.ndarray:
    """Draw a brightness (H, W, 1) around 1, with a gradient and blotches."""
    angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0, .2)
    rows, columns = (np.linspace(-depth, depth, side, dtype=np.float32)
                     for side in size)
    slope = (math.sin(angle) * rows[:, None] + math.cos(angle) * columns)
    blotches = noise(rng, *size, min(size) / 4, 2)
    return (1 + slope + .06 * blotches)[..., None]


def _places(rng: np.random.Generator, radii: np.ndarray,
            size: Tuple[int, int]) -> np.ndarray:
    """Draw centres (S, 2) at which the shapes hardly overlap."""
    placed = np.empty((0, 2))
    for number, radius in enumerate(radii):
        tries = rng.uniform(radius, np.array(size) - 1 - radius,
                            (NUM_TRIES, 2))
        apart = np.linalg.norm(tries[:, None] - placed, axis=2)
        gap = (apart - radii[:number] - radius).min(
            axis=1, initial=np.inf)
        placed = np.vstack([placed, tries[_first(gap, 0.)]])
    return placed


def _colour(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Draw a colour (3,) that contrasts with the ground."""
    tries = rng.uniform(.05, .95, (NUM_TRIES, 3)).astype(np.float32)
    return tries[_first(np.abs(tries - ground).max(1), CONTRAST)]


def _first(values: np.ndarray, least: float) -> int:
    """Return the index of the first value of at least `least`.

    If there is none, return the index of the largest value.
    """
    enough = values >= least
    return int(enough.argmax() if enough.any() else values.argmax())


# The following functions return approximate signed distances to the outlines
# of shapes of radius 1, negative inside.
def _disk(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - 1


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(abs(x), abs(y)) - .8


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(abs(x) * .75**.5 + y * .5, -y) - .5


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return abs(np.hypot(x, y) - .78) - .22


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = abs(x), abs(y)
    return np.maximum(np.maximum(x, y) - 1, np.minimum(x, y) - .3)


def _bar(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(abs(x) - 1, abs(y) - .28)


SHAPES = dict(
    disk=_disk, square=_square, triangle=_triangle, ring=_ring, cross=_cross,
    bar=_bar)
