"""Paint the surroundings of a street: sky, ground, houses, fences and light.
"""
from typing import Tuple

import cv2
import numpy as np

from .street_canvas import Camera, Canvas
from .street_classes import BUILDING, FENCE, IGNORE, PAVEMENT, ROAD, TREE
from .street_things import leaf_colour
from .textures import facade, muted_colour, named_colour, noise, railing

GROUND_TILE = 128  # pixels of the ground texture, repeated by mirroring
METRES_PER_TILE = 8.0


def paint_sky(canvas: Canvas, camera: Camera,
              rng: np.random.Generator) -> None:
    """Paint a vertical gradient with clouds on the whole canvas."""
    height, width = canvas.shape
    zenith = muted_colour(rng, 0.35, 0.95, 0.2)
    zenith[2] = min(zenith[2] * rng.uniform(1, 1.6), 1)
    share = np.linspace(0, height / max(camera.row, 1), height,
                        dtype=np.float32).clip(0, 1)[:, None, None]
    image = zenith * (1 - share) + canvas.haze * share
    cloud = noise(rng, height, width, width * rng.uniform(.2, .5), 4)
    cover = np.clip(cloud * rng.uniform(.2, 1) + rng.uniform(-.4, .4), 0, 1)
    white = muted_colour(rng, .5, 1, .08)
    canvas.image[:] = image + cover[..., None] * (white - image)


def paint_horizon(canvas: Canvas, camera: Camera,
                  rng: np.random.Generator) -> None:
    """Paint a row of distant houses or trees along the horizon."""
    height, width = canvas.shape
    distance = rng.uniform(60, 110)
    scale = camera.focal / distance
    trees = rng.random() < 0.5
    cell = width / rng.uniform(4, 14)
    skyline = noise(rng, 1, width, cell, 3)[0]
    if not trees:
        blocks = (np.arange(width) // max(cell / 2, 2)).astype(int)
        skyline = skyline[::max(int(cell / 2), 2)][blocks.clip(
            0, len(skyline[::max(int(cell / 2), 2)]) - 1)]
    top = camera.row - scale * (rng.uniform(3, 9) + 3 * skyline)
    layer = canvas.layer(
        np.array([(0, top.min()), (width, camera.row + 1)]), margin=1)
    if layer.empty:
        return
    rows = np.arange(layer.top, layer.bottom)[:, None]
    mask = (rows >= top[None]) & (rows <= camera.row + 1)
    colour = leaf_colour(rng) if trees else muted_colour(rng, .2, .7, .2)
    cell = 4 if trees else 2
    layer.mask[:] = mask
    layer.colour[:] = colour * (1 + .5 * noise(
        rng, *layer.mask.shape, cell, 2))[..., None]
    canvas.commit(layer, TREE if trees else BUILDING, distance, 0)


def _ground_tile(rng: np.random.Generator, base: np.ndarray,
                 slab: float) -> np.ndarray:
    """Return a square ground texture of the colour `base`.

    Slabs have joints at a distance of `slab` metres; 0 means no joints.
    """
    size = GROUND_TILE
    tile = 1 + .12 * noise(rng, size, size, size / 4, 3)
    tile += .08 * (rng.random((size, size), dtype=np.float32) - .5)
    if slab:
        joint = max(int(slab / METRES_PER_TILE * size), 4)
        tile[::joint] *= .75
        tile[:, ::joint] *= .75
    return base * tile[..., None]


def _mirror(metres: np.ndarray) -> np.ndarray:
    """Return the texture pixels of ground coordinates in metres.

    Every other copy of the texture is mirrored, which avoids seams.
    """
    place = metres * (GROUND_TILE / METRES_PER_TILE) % (2 * GROUND_TILE)
    return np.minimum(place, 2 * GROUND_TILE - 1 - place).astype(int).clip(0)


class Street:
    """A random cross-section of a street.

    Attributes:
        road: Positions x of the left and right kerb in metres.
        house: Positions x of the left and right building line in metres,
            where the pavements end.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        half = rng.uniform(2.6, 4.8)
        shift = rng.uniform(-.35, .35) * half
        self.road = (shift - half, shift + half)
        walks = [w if rng.random() < .9 else .3
                 for w in rng.uniform(2, 5, 2)]
        self.house = (self.road[0] - walks[0], self.road[1] + walks[1])

    def side(self, which: int, share: float) -> float:
        """Return the position x of a point on a pavement in metres.

        Args:
            which: Side of the street, 0 for left or 1 for right.
            share: Position across the pavement, from 0 at the kerb to 1 at
                the building line.
        """
        return self.road[which] + share * (self.house[which]
                                           - self.road[which])


def paint_ground(canvas: Canvas, camera: Camera, rng: np.random.Generator,
                 street: Street) -> None:
    """Paint the road with its markings, the pavements and sometimes grass."""
    height, width = canvas.shape
    first = int(np.clip(np.floor(camera.row) + 1, 0, height))
    rows = np.arange(first, height, dtype=np.float32)[:, None]
    depth = camera.focal * camera.height / (rows - camera.row + .3)
    x = (np.arange(width, dtype=np.float32)[None] - camera.column) \
        * depth / camera.focal
    z = np.broadcast_to(depth, x.shape)
    road = (x > street.road[0]) & (x < street.road[1])
    verge = (x < street.house[0]) | (x > street.house[1])
    tint = muted_colour(rng, .16, .55, .12)
    paving = muted_colour(rng, .22, .75, .18)
    columns, lines = _mirror(x), _mirror(z)
    slab = rng.choice((0, .6, .9, 1.5))
    tiles = np.stack([_ground_tile(rng, paving, slab),
                      _ground_tile(rng, tint, 0)])
    image = tiles[road.astype(int), lines, columns]
    _markings(image, rng, street, x, z)
    image *= _ground_shadow(rng, street, x, z)[..., None]
    keep = np.exp(-z / canvas.visibility)[..., None]
    canvas.image[first:] = image * keep + canvas.haze * (1 - keep)
    canvas.semantic[first:] = np.where(road, ROAD, PAVEMENT)
    if rng.random() < .35:  # grass beyond the pavements, labelled as tree
        grass = (leaf_colour(rng) * 1.2 * (1 + .35 * noise(
            rng, *x.shape, 3, 2))[..., None]) * keep + canvas.haze * (1
                                                                      - keep)
        canvas.image[first:][verge] = grass[verge]
        canvas.semantic[first:][verge] = TREE


def _markings(image: np.ndarray, rng: np.random.Generator, street: Street,
              x: np.ndarray, z: np.ndarray) -> None:
    """Paint lane lines and kerb stones in place, without changing labels."""
    paint = muted_colour(rng, .6, .95, .06)
    middle = (street.road[0] + street.road[1]) / 2
    style = rng.integers(4)
    dash = (z % 6 < 3) if style == 1 else np.ones_like(x, bool)
    if style:
        image[(abs(x - middle) < .09) & dash] = paint
    if style == 3:
        for kerb in street.road:
            inset = kerb - np.sign(kerb - middle) * .5
            image[abs(x - inset) < .07] = (.75, .62, .15)
    if rng.random() < .2:  # zebra crossing
        start = rng.uniform(6, 20)
        hit = (z > start) & (z < start + 3) & (x % 1. < .5) \
            & (x > street.road[0]) & (x < street.road[1])
        image[hit] = paint
    stone = muted_colour(rng, .25, .8, .08)
    for kerb in street.road:
        image[abs(x - kerb) < .12] = stone


def _ground_shadow(rng: np.random.Generator, street: Street, x: np.ndarray,
                   z: np.ndarray) -> np.ndarray:
    """Return the brightness (rows, W) of the ground with random shadows."""
    factor = np.ones_like(x)
    if rng.random() < .35:  # an overcast sky casts no shadows
        return factor
    dark = rng.uniform(.35, .7)
    slant, period = rng.uniform(-1, 1), rng.uniform(10, 30)
    band = ((z + slant * x) % period) < period * rng.uniform(.2, .7)
    reach = rng.uniform(.1, .9) * (street.road[1] - street.road[0])
    near = (x < street.road[0] + reach) if rng.random() < .5 \
        else (x > street.road[1] - reach)
    factor[band & near] = dark
    if rng.random() < .5:  # spots of shadow below trees
        tile = noise(rng, GROUND_TILE, GROUND_TILE, 24, 3)
        spot = tile[_mirror(z), _mirror(x)]
        factor[spot > .35] *= rng.uniform(.5, .8)
    return factor


def paint_house(canvas: Canvas, camera: Camera, rng: np.random.Generator,
                x: float, span: Tuple[float, float], tall: float,
                detached: bool) -> None:
    """Paint a house of height `tall` with its long side along the street.

    The long side stands at `x` and reaches from the near to the far end z of
    `span`, in metres. The end that faces the camera is painted only if
    `detached`; otherwise a house in front that is at least as tall hides it.
    """
    near, far = span
    outer = x + np.sign(x) * rng.uniform(6, 12)
    wall = muted_colour(rng, .15, .85, .3)
    if rng.random() < .25:
        wall = named_colour(rng)[1]
    sunny = rng.uniform(.45, 1)
    faces = [((x, far, x, near), 1.45 - sunny)]
    if detached:
        faces.insert(0, ((x, near, outer, near), sunny))
    for edge, light in faces:
        x0, z0, x1, z1 = edge
        corners = camera.project([(x0, tall, z0), (x1, tall, z1),
                                  (x1, 0, z1), (x0, 0, z0)])
        layer = canvas.layer(corners)
        # a distant house needs few texture pixels, but at least 24 rows to
        # show its windows
        rows = int(np.clip(tall * camera.focal / near, 24, 96))
        picture = facade(rng, rows, rows * 4 // 3, wall) * light
        layer.texture(picture, corners)
        canvas.commit(layer, BUILDING, near, 0, .1)


def paint_fence(canvas: Canvas, camera: Camera, rng: np.random.Generator,
                x: float, span: Tuple[float, float]) -> None:
    """Paint a fence or low wall along the street.

    It stands at `x` and reaches from the near to the far end z of `span`, in
    metres.
    """
    tall = rng.uniform(.9, 1.9)
    near, far = span
    corners = camera.project([(x, tall, far), (x, tall, near), (x, 0, near),
                              (x, 0, far)])
    layer = canvas.layer(corners)
    width = int(np.clip((far - near) * 16, 24, 256))
    picture, opacity = railing(rng, 24, width, muted_colour(rng, .1, .8, .3))
    layer.texture(picture, corners, opacity)
    canvas.commit(layer, FENCE, (near + far) / 2, 0)


def paint_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the bonnet of the car that carries the camera, unlabelled."""
    height, width = canvas.shape
    tall = rng.uniform(.03, .09) * height
    layer = canvas.layer(np.array([(0, height - tall - 2), (width, height)]))
    centre = (width * rng.uniform(.4, .6), height + tall)
    layer.ellipse(centre, (width * rng.uniform(.45, .7), 2 * tall),
                  named_colour(rng)[1])
    canvas.commit(layer, IGNORE, 0., 0)


def apply_light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply random light and sensor effects to a picture.

    Exposure, colour cast, gradient, vignette, soft blotches, blur and sensor
    noise ensure that a colour does not identify a class.

    Args:
        image: Picture (H, W, 3), float32, RGB in [0, 1].
        rng: Random generator.

    Returns:
        Picture (H, W, 3), uint8.
    """
    height, width = image.shape[:2]
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    cols = np.linspace(-1, 1, width, dtype=np.float32)[None]
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, .35)
    light = 1 + slope * (np.cos(angle) * cols + np.sin(angle) * rows)
    light *= 1 - rng.uniform(0, .3) * (rows**2 + cols**2) / 2
    light *= 1 + rng.uniform(.05, .2) * noise(rng, height, width, width / 3)
    cast = rng.uniform(.82, 1.15, 3).astype(np.float32)
    image = np.clip(image * light[..., None] * cast, 0, None)
    image = rng.uniform(.75, 1.25) * cv2.pow(image, rng.uniform(.7, 1.4))
    blur = rng.uniform(.3, .75) * max(height / 180, 1)
    image = cv2.GaussianBlur(image, (0, 0), blur)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image = image + rng.uniform(.005, .03) * grain
    return (np.clip(image, 0, 1) * 255 + .5).astype(np.uint8)
