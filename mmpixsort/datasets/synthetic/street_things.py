"""Paint the countable objects of a street: cars, people, poles, trees.

Functions `paint_*` paint one object. They take the canvas, the camera, the
random generator and the position x and z of the object on the ground in
metres. Objects have realistic sizes, given in metres.
"""
from typing import Tuple

import cv2
import numpy as np

from .street_canvas import Camera, Canvas, Layer
from .street_classes import (BICYCLIST, CAR, IGNORE, PEDESTRIAN, POLE, SIGN,
                             TREE)
from .textures import muted_colour, named_colour, noise


def _where(canvas: Canvas, camera: Camera, x: float, z: float) -> dict:
    """Return words for the position and the distance of a ground point."""
    column = camera.project((x, 0, z))[0, 0] / canvas.shape[1]
    side = 'left' if column < 1 / 3 else 'right' if column > 2 / 3 else \
        'centre'
    return dict(position=side, distance='near' if z < 12 else 'far')


def paint_car(canvas: Canvas, camera: Camera, rng: np.random.Generator,
              x: float, z: float) -> None:
    """Paint a car or van parallel to the street, seen from one end."""
    van = rng.random() < 0.25
    width = rng.uniform(1.6, 1.9)
    length = rng.uniform(3.6, 4.6)
    height = rng.uniform(1.8, 2.4) if van else rng.uniform(1.35, 1.55)
    belt = height * (0.55 if van else 0.6)
    name, body = named_colour(rng)
    glass = muted_colour(rng, 0.06, 0.4, 0.15)
    near, far = z, z + length
    left, right = x - width / 2, x + width / 2
    slope = 0.1 if van else rng.uniform(0.3, 0.8)

    def outline(points):
        return camera.project(points)

    box = outline([(left, 0, near), (right, height, near), (left, 0, far),
                   (right, height, far)])
    layer = canvas.layer(box)
    # of the long sides, the one towards the middle of the picture is visible
    inner = left if x > 0 else right
    layer.polygon(
        outline([(inner, .25, near), (inner, .25, far), (inner, belt, far),
                 (inner, belt, near)]), body * 0.75)
    layer.polygon(
        outline([(inner, belt, near), (inner, belt, far),
                 (inner, height, far - slope * 1.5),
                 (inner, height, near + slope)]), glass * 0.9)
    for hub in (near + 0.75, far - 0.8):
        centre = outline([(inner, 0.32, hub)])[0]
        radius = 0.32 * camera.focal / hub
        slant = abs(outline([(inner, 0, hub - .32)])[0, 0]
                    - outline([(inner, 0, hub + .32)])[0, 0]) / 2
        layer.ellipse(centre, (slant, radius), (.05, .05, .06))
    _car_end(layer, outline, rng, (left, right, near),
             (belt, height, slope), body, glass)
    where = _where(canvas, camera, x, z)
    kind = 'van' if van else 'car'
    ident = canvas.add_object(kind, CAR, colour=name, **where)
    canvas.commit(layer, CAR, z, ident, grain=0.1)


def _car_end(layer: Layer, outline, rng: np.random.Generator, base: Tuple,
             shape: Tuple, body: np.ndarray, glass: np.ndarray) -> None:
    """Paint the end of a car that faces the camera."""
    left, right, z = base
    belt, height, slope = shape
    roof = 0.12 * (right - left)

    def panel(x0, x1, y0, y1, colour, inset=0.0, back=0.0):
        layer.polygon(
            outline([(x0, y0, z), (x1, y0, z), (x1 - inset, y1, z + back),
                     (x0 + inset, y1, z + back)]), colour)

    for side in (left + .05, right - .3):
        panel(side, side + .25, 0, 0.35, (.05, .05, .05))
    panel(left, right, 0.25, belt, body)
    panel(left, right, belt, height, body * 0.9, roof, slope)
    panel(left + .1, right - .1, belt + .03, height - .08, glass,
          roof, slope * 0.85)
    panel(left, right, 0.25, 0.42, body * 0.5)
    light = (.75, .12, .1) if rng.random() < 0.6 else (.95, .93, .8)
    for side in (left + .08, right - .33):
        panel(side, side + .25, belt - .3, belt - .12, light)
    middle = (left + right) / 2
    panel(middle - .25, middle + .25, 0.45, 0.57, (.85, .83, .6))


def paint_pedestrian(canvas: Canvas, camera: Camera,
                     rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a standing or walking person."""
    tall = rng.uniform(1.45, 1.9)
    name, top = named_colour(rng)
    trousers = muted_colour(rng, 0.05, 0.5, 0.4)
    points = camera.project([(x - .5, 0, z), (x + .5, tall, z)])
    layer = canvas.layer(points)
    skin = np.array((.8, .6, .48)) * rng.uniform(0.35, 1.1)
    step = rng.uniform(0.0, 0.28)
    _person(layer, camera, (x, 0.0, z), tall, (top, trousers, skin), step)
    ident = canvas.add_object('pedestrian', PEDESTRIAN, clothes=name,
                              **_where(canvas, camera, x, z))
    canvas.commit(layer, PEDESTRIAN, z, ident, grain=0.25)


def _person(layer: Layer, camera: Camera, foot: Tuple, tall: float,
            colours: Tuple, step: float) -> None:
    """Paint the legs, body, arms and head of a person.

    The person stands at `foot` (x, y, z), is `tall` high and sets each foot
    `step` to the side, all in metres. `colours` belong to the top, the
    trousers and the skin.
    """
    x, ground, z = foot
    top, trousers, skin = colours
    pixels = camera.focal / z

    def at(dx, share):
        return camera.project((x + dx, ground + share * tall, z))[0]

    for side in (-1, 1):
        layer.line(at(side * .06, .5), at(side * (.08 + step), .02),
                   trousers * (1 if side > 0 else .75), .15 * pixels)
    layer.polygon(
        np.stack([at(-.17, .47), at(.17, .47), at(.22, .8), at(.1, .86),
                  at(-.1, .86), at(-.22, .8)]), top)
    for side in (-1, 1):
        layer.line(at(side * .22, .79), at(side * (.26 + step / 2), .5),
                   top * .8, .09 * pixels)
    radius = .065 * tall * pixels
    layer.ellipse(at(0, .93), (radius * .85, radius), skin)
    layer.ellipse(at(0, .965), (radius * .85, radius * .5), skin * .3)


def paint_bicyclist(canvas: Canvas, camera: Camera,
                    rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a rider on a bicycle, seen from the side or from one end."""
    name, top = named_colour(rng)
    trousers = muted_colour(rng, 0.05, 0.5, 0.4)
    frame = named_colour(rng)[1]
    skin = np.array((.8, .6, .48)) * rng.uniform(0.35, 1.1)
    pixels = camera.focal / z
    layer = canvas.layer(camera.project([(x - 1, 0, z), (x + 1, 1.9, z)]))
    face = rng.choice((-1, 1)) if rng.random() < 0.5 else 0

    def at(dx, y):
        return camera.project((x + dx, y, z))[0]

    dark = np.array((.06, .06, .07))
    thin = max(.06 * pixels, 1)
    if face:
        for hub in (-.52, .52):
            layer.ellipse(at(hub, .34), (.33 * pixels, .33 * pixels), dark,
                          max(int(round(thin)), 1))
        hub, seat, head = at(0, .3), at(-.2 * face, .9), at(.38 * face, .95)
        for start, end in ((hub, seat), (hub, head), (seat, head),
                           (at(-.52 * face, .34), seat),
                           (at(.52 * face, .34), head),
                           (at(-.52 * face, .34), hub)):
            layer.line(start, end, frame, thin)
        hip, neck = at(-.15 * face, 1.0), at(.2 * face, 1.48)
        layer.line(hip, at(.1 * face, .65), trousers, .16 * pixels)
        layer.line(at(.1 * face, .65), hub, trousers, .12 * pixels)
        layer.line(hip, neck, top, .3 * pixels)
        layer.line(neck, head, top * .8, .1 * pixels)
        layer.ellipse(at(.27 * face, 1.65), (.11 * pixels, .13 * pixels),
                      skin)
    else:
        _person(layer, camera, (x, .3, z), 1.4, (top, trousers, skin), .1)
        layer.line(at(0, .06), at(0, .72), dark, max(.1 * pixels, 1.5))
        layer.line(at(-.32, .98), at(.32, .98), frame, thin)
    helmet = rng.random() < 0.5
    if helmet:
        place = at(.27 * face, 1.74) if face else at(0, 1.72)
        layer.ellipse(place, (.13 * pixels, .08 * pixels),
                      named_colour(rng)[1])
    ident = canvas.add_object('bicyclist', BICYCLIST, clothes=name,
                              helmet=bool(helmet),
                              **_where(canvas, camera, x, z))
    canvas.commit(layer, BICYCLIST, z, ident, grain=0.25)


def _pole_pixels(canvas: Canvas, metres: float, scale: float) -> float:
    """Return the thickness of a pole, about 1 to 4 pixels at 180 rows."""
    widest = max(4, round(4 * canvas.shape[0] / 180))
    return float(np.clip(round(metres * scale), 1, widest))


def paint_pole(canvas: Canvas, camera: Camera, rng: np.random.Generator,
               x: float, z: float) -> None:
    """Paint a lamp post, or a post with a sign or traffic light."""
    scale = camera.focal / z
    where = _where(canvas, camera, x, z)
    lamp = rng.random() < 0.4
    tall = rng.uniform(5, 8) if lamp else rng.uniform(2.4, 4)
    colour = muted_colour(rng, 0.1, 0.75, 0.2)
    thick = _pole_pixels(canvas, rng.uniform(0.08, 0.2), scale)
    reach = -np.sign(x) * rng.uniform(0.8, 2) if lamp else 0.0
    foot, tip, arm = camera.project([(x, 0, z), (x, tall, z),
                                     (x + reach, tall + .3, z)])
    layer = canvas.layer(np.stack([foot, tip, arm]), margin=thick + 2)
    layer.line(foot, tip, colour, thick)
    if lamp:
        layer.line(tip, arm, colour, max(thick * .6, 1))
    ident = canvas.add_object('lamp post' if lamp else 'post', POLE, **where)
    canvas.commit(layer, POLE, z, ident, grain=0.3)
    if not lamp or rng.random() < 0.3:
        height = min(tall, 4.2) - rng.uniform(0, .5)
        paint_sign(canvas, camera, rng, (x, height, z), where)


def paint_sign(canvas: Canvas, camera: Camera, rng: np.random.Generator,
               place: Tuple, where: dict) -> None:
    """Paint a traffic sign, a direction board or a traffic light.

    Its centre is at `place` (x, y, z) in metres, and `where` holds the words
    for its position.
    """
    x, y, z = place
    kind = ('round sign', 'triangular sign', 'board',
            'traffic light')[rng.choice(4, p=(.3, .2, .25, .25))]
    name, plate = named_colour(rng, ('red', 'blue', 'yellow', 'white',
                                     'green'))
    scale = camera.focal / z
    half = rng.uniform(.35, .6)
    wide = half * (rng.uniform(1.5, 2.8) if kind == 'board' else 1)
    corners = camera.project([(x - wide, y - half, z), (x + wide, y + half,
                                                        z)])
    layer = canvas.layer(corners)
    middle = corners.mean(0)
    low, high = corners.min(0), corners.max(0)
    inside = np.array(rng.choice(((.9, .9, .88), (.1, .1, .3))))
    if kind == 'round sign':
        layer.ellipse(middle, (half * scale, half * scale), plate)
        layer.ellipse(middle, (half * scale * .6, half * scale * .6), inside)
    elif kind == 'triangular sign':
        for size, colour in ((1, plate), (.55, inside)):
            layer.polygon(
                middle + size * half * scale *
                np.array([(0, -1.0), (1, .8), (-1, .8)]), colour)
    elif kind == 'board':
        layer.polygon(
            np.array([low, (high[0], low[1]), high, (low[0], high[1])]),
            plate)
        for share in (.35, .65):
            row = low[1] + share * (high[1] - low[1])
            layer.line((low[0] + 1, row), (high[0] - 1, row), inside)
    else:
        name = 'black'
        slim = np.array((.22 * scale, 0))
        layer.polygon(
            np.array([(middle[0], low[1]) - slim, (middle[0], low[1]) + slim,
                      (middle[0], high[1]) + slim,
                      (middle[0], high[1]) - slim]), (.08, .08, .08))
        lit = int(rng.integers(3))
        for lamp, colour in enumerate(((.9, .1, .1), (.9, .7, .1), (.1, .8,
                                                                    .3))):
            centre = (middle[0], low[1] + (lamp + .5) / 3 *
                      (high[1] - low[1]))
            on = 1 if lamp == lit else .25
            layer.ellipse(centre, (.11 * scale, .11 * scale),
                          np.array(colour) * on)
    ident = canvas.add_object(kind, SIGN, colour=name, **where)
    canvas.commit(layer, SIGN, z, ident, grain=0.2)


def paint_tree(canvas: Canvas, camera: Camera, rng: np.random.Generator,
               x: float, z: float) -> None:
    """Paint a tree with a trunk and a crown that has holes."""
    tall = rng.uniform(4, 9)
    spread = tall * rng.uniform(0.25, 0.42)
    scale = camera.focal / z
    leaf = leaf_colour(rng)
    points = camera.project([(x - spread, 0, z), (x + spread, tall, z)])
    layer = canvas.layer(points)
    if layer.empty:
        return
    bark = muted_colour(rng, 0.08, 0.4, 0.25)
    foot, fork = camera.project([(x, 0, z), (x, tall * .6, z)])
    layer.line(foot, fork, bark, max(.04 * tall * scale, 1))
    height, width = layer.mask.shape
    centre = camera.project((x, tall * .65, z))[0] - (layer.left, layer.top)
    rows = (np.arange(height, dtype=np.float32)[:, None] - centre[1]) \
        / (tall * .37 * scale)
    cols = (np.arange(width, dtype=np.float32)[None] - centre[0]) \
        / (spread * scale)
    blotch = noise(rng, height, width, max(spread * scale * .6, 3))
    crown = np.hypot(rows, cols) + .45 * blotch < .92
    # holes in the crown, where the background shows through
    crown &= noise(rng, height, width, 5, 2) < 1.1
    light = (1 - .45 * rows - .2 * cols) * (1 + .5 * noise(
        rng, height, width, max(spread * scale * .25, 2.5)))
    layer.colour[crown] = (leaf * np.clip(light, .15, 2)[..., None])[crown]
    layer.mask[crown] = 1
    ident = canvas.add_object('tree', TREE, **_where(canvas, camera, x, z))
    canvas.commit(layer, TREE, z, ident, grain=0.25)


def leaf_colour(rng: np.random.Generator) -> np.ndarray:
    """Draw the colour (3,) of foliage in a random season."""
    seasons = ((.16, .30, .10), (.30, .38, .14), (.45, .34, .10),
               (.42, .20, .10), (.28, .24, .20), (.10, .18, .10))
    base = np.array(seasons[rng.integers(len(seasons))])
    base = base * rng.uniform(.6, 1.5) * rng.uniform(.9, 1.1, 3)
    return base.astype(np.float32)


def paint_clutter(canvas: Canvas, camera: Camera, rng: np.random.Generator,
                  x: float, z: float) -> None:
    """Paint street furniture, such as a bin, whose pixels have no label."""
    wide, tall = rng.uniform(.3, .9), rng.uniform(.7, 1.4)
    corners = camera.project([(x - wide, 0, z), (x + wide, 0, z),
                              (x + wide * .9, tall, z),
                              (x - wide * .9, tall, z)])
    layer = canvas.layer(corners)
    colour = named_colour(rng)[1]
    layer.polygon(corners, colour)
    rim = corners[2:] + (0, .1 * (corners[0, 1] - corners[3, 1]))
    layer.line(rim[0], rim[1], colour * .4, max(cv2.norm(rim[0] - rim[1])
                                                * .08, 1))
    canvas.commit(layer, IGNORE, z, 0, grain=0.3)
