"""Generate pictures of scattered sticks, instances that boxes cannot separate.

De Brabandere et al., "Semantic Instance Segmentation with a Discriminative
Loss Function", https://arxiv.org/abs/1708.02551, show such scenes. A stick
that another stick crosses is still one instance.

Shapes: H W size.
"""
from typing import NamedTuple, Tuple

import numpy as np

from mmpixsort.functional.checks import check_choice, check_count

from .street_scenes import SPLITS
from .textures import muted_colour, noise

MIN_SIDE = 32
# fewer colours than sticks, so that the colour does not identify a stick
NUM_COLOURS = 3


class StickScene(NamedTuple):
    """A generated picture and its instances.

    Attributes:
        image: Picture (H, W, 3), uint8, RGB.
        instances: Instance ids (H, W), int32: 0 is background, 1 to n are
            the visible sticks from the lowest to the topmost.
    """

    image: np.ndarray
    instances: np.ndarray


class Stick(NamedTuple):
    """A bar in the plane, with points (y, x) in pixels.

    Attributes:
        centre: Centre (2,) of the bar.
        direction: Unit vector (2,) along the bar.
        half_length: Half the length in pixels, along `direction`.
        half_width: Half the width in pixels.
        colour: Colour (3,), RGB in [0, 1].
    """

    centre: np.ndarray
    direction: np.ndarray
    half_length: float
    half_width: float
    colour: np.ndarray

    def offsets(self, rows: np.ndarray,
                columns: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Return the coordinates of pixels along and across the bar."""
        y, x = rows - self.centre[0], columns - self.centre[1]
        along = y * self.direction[0] + x * self.direction[1]
        across = x * self.direction[0] - y * self.direction[1]
        return along, across

    def window(self, size: Tuple[int, int],
               margin: float) -> Tuple[slice, slice]:
        """Return the slices of the part of a picture that the bar covers.

        Args:
            size: Height and width of the picture in pixels.
            margin: Number of pixels to add on each side of the bar.
        """
        reach = (
            np.abs(self.direction) * self.half_length +
            np.abs(self.direction[::-1]) * self.half_width + margin)
        low = np.maximum(np.floor(self.centre - reach), 0)
        high = np.minimum(np.ceil(self.centre + reach) + 1, size)
        return tuple(
            slice(int(start), int(stop)) for start, stop in zip(low, high))


class ScatteredSticks:
    """A sequence of generated pictures of sticks.

    Scene `i` depends only on `seed`, `split`, `i`, `size` and `num_sticks`.
    The order of access, the process and the length of the sequence do not
    matter.

    Args:
        length: Length of the sequence, 1 or more.
        split: 'train', 'val' or 'test'; splits share no scene.
        seed: Seed of the generator, 0 or more.
        size: Height and width of the pictures in pixels, both at least 32.
        num_sticks: Smallest and largest number of sticks that are thrown. A
            stick that others hide completely is not an instance.

    Raises:
        ValueError, TypeError: If an argument is out of range.

    Example:
        >>> scene = ScatteredSticks(4, size=(48, 64))[2]
        >>> scene.image.shape, scene.instances.shape
        ((48, 64, 3), (48, 64))
    """

    def __init__(self,
                 length: int,
                 split: str = 'train',
                 seed: int = 0,
                 *,
                 size: Tuple[int, int] = (129, 129),
                 num_sticks: Tuple[int, int] = (6, 12)) -> None:
        check_count('length', length)
        check_choice('split', split, SPLITS)
        check_count('seed', seed, 0)
        self.length, self.split, self.seed = length, split, seed
        self.size = _pair('size', size, '(height, width)', MIN_SIDE)
        self.num_sticks = _pair('num_sticks', num_sticks, '(least, most)', 0)
        if self.num_sticks[0] > self.num_sticks[1]:
            raise ValueError('`num_sticks` must be (least, most), got '
                             f'{num_sticks}; swap them')

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> StickScene:
        """Generate one scene; a negative index counts from the end."""
        if not -self.length <= index < self.length:
            raise IndexError(f'`index` must be in [-{self.length}, '
                             f'{self.length}), got {index}')
        key = [self.seed, SPLITS.index(self.split), index % self.length]
        return _generate(
            np.random.default_rng(key), self.size, self.num_sticks)


def _pair(name: str, value: Tuple[int, int], meaning: str,
          minimum: int) -> Tuple[int, int]:
    """Return a pair of integers after checking that they are large enough."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f'`{name}` must be {meaning}, got {value!r}')
    for item in value:
        check_count(name, item, minimum)
    return tuple(value)


def _generate(rng: np.random.Generator, size: Tuple[int, int],
              num_sticks: Tuple[int, int]) -> StickScene:
    """Generate one scene: the ground first, then one stick after another."""
    image = _ground(rng, size)
    owners = np.zeros(size, np.int32)
    palette = rng.uniform(.3, 1, (NUM_COLOURS, 3))
    count = int(rng.integers(num_sticks[0], num_sticks[1] + 1))
    for ident in range(1, count + 1):
        _paint(image, owners, _throw(rng, size, palette), ident, rng)
    image += rng.normal(0, .02, image.shape)
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return StickScene(pixels, _renumber(owners, count))


def _ground(rng: np.random.Generator, size: Tuple[int, int]) -> np.ndarray:
    """Paint the ground (H, W, 3), about as bright as the darker sticks."""
    pattern = noise(rng, *size, cell=max(size) / 4, octaves=4)
    return muted_colour(rng, .15, .5, .2) * (1 + .25 * pattern[..., None])


def _throw(rng: np.random.Generator, size: Tuple[int, int],
           palette: np.ndarray) -> Stick:
    """Draw a random stick whose centre lies in the picture."""
    side = min(size)
    angle = rng.uniform(0, np.pi)
    colour = palette[rng.integers(len(palette))] * rng.uniform(.9, 1.1, 3)
    return Stick(
        centre=rng.uniform(0, np.array(size) - 1),
        direction=np.array([np.sin(angle), np.cos(angle)]),
        half_length=side * rng.uniform(.15, .4),
        half_width=max(side * rng.uniform(.02, .05), 1.5),
        colour=colour)


def _paint(image: np.ndarray, owners: np.ndarray, stick: Stick, ident: int,
           rng: np.random.Generator) -> None:
    """Paint a stick with its shadow over the picture, in place."""
    softness = 1.5 * stick.half_width
    window = stick.window(owners.shape, softness)
    along, across = stick.offsets(*np.ogrid[window])
    distance = np.maximum(
        np.abs(along) - stick.half_length,
        np.abs(across) - stick.half_width)
    # if two crossing sticks have the same colour, only the shadow shows which
    # of them lies above
    shadow = .45 * np.clip(1 - distance / softness, 0, 1)
    round_shade = 1 - .4 * np.minimum(across / stick.half_width, 1)**2
    slope = 1 + rng.uniform(-.15, .15) * along / stick.half_length
    grain = 1 + .08 * noise(rng, *distance.shape, cell=6, octaves=2)
    bar = (round_shade * slope * grain)[..., None] * stick.colour
    # a pixel is half covered if the outline passes through its centre
    cover = np.clip(.5 - distance, 0, 1)[..., None]
    below = image[window] * (1 - shadow[..., None])
    image[window] = below + cover * (bar - below)
    owners[window][distance <= 0] = ident


def _renumber(owners: np.ndarray, count: int) -> np.ndarray:
    """Number the visible sticks 1, 2, ... without gaps, in their order."""
    seen = np.bincount(owners.ravel(), minlength=count + 1) > 0
    seen[0] = False
    numbers = np.where(seen, np.cumsum(seen), 0)
    return numbers[owners].astype(np.int32)
