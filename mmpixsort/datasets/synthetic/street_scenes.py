"""Generate street-like scenes with semantic, instance and object labels.

The scenes replace those of CamVid where nothing can be downloaded. They have
11 classes, perspective, occlusion, thin poles and ignored regions. Textures,
lighting and palettes vary, so that a colour does not identify a class.

Shapes: H W size.
"""
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

from . import street_surroundings as around
from . import street_things as things
from .street_canvas import Camera, Canvas
from .textures import muted_colour

SPLITS = ('train', 'val', 'test')
MIN_SIDE = 48


class Scene(NamedTuple):
    """A generated picture with all of its labels.

    Attributes:
        image: Picture (H, W, 3), uint8, RGB.
        semantic: Class indices (H, W), uint8; 255 where there is no label.
        instances: Ids (H, W) of the visible countable objects, int32; 0
            where there is none.
        objects: A dict for each visible object, with `name`, `class_id`,
            `instance_id`, `area` (number of visible pixels) and
            `attributes`.
    """

    image: np.ndarray
    semantic: np.ndarray
    instances: np.ndarray
    objects: List[Dict]

    def caption(self, max_objects: int = 5) -> str:
        """Return one English sentence about the largest objects.

        Args:
            max_objects: Maximum number of objects to name.
        """
        largest = sorted(
            self.objects, key=lambda o: (-o['area'], o['instance_id']))
        parts = []
        for item in largest[:max_objects]:
            known = item['attributes']
            words = [known.get('colour', ''), item['name']]
            if 'clothes' in known:
                words.append(f'in {known["clothes"]}')
            article = 'an' if words[0] == 'orange' else 'a'
            text = ' '.join(word for word in words if word)
            place = known['position']
            parts.append(f'{article} {text} ' + (
                'in the centre' if place == 'centre' else f'on the {place}'))
        return 'A street with ' + ', '.join(parts or ['no objects']) + '.'


class StreetScenes:
    """A sequence of generated street scenes.

    Scene `i` depends only on `seed`, `split`, `i` and `size`. The order of
    access, the process and the length of the sequence do not matter.

    Args:
        num_images: Length of the sequence, 1 or more.
        size: Height and width of the pictures in pixels, both at least 48.
        seed: Seed of the generator, 0 or more.
        split: 'train', 'val' or 'test'; splits share no scene.

    Raises:
        ValueError, TypeError: If an argument is out of range.

    Example:
        >>> scene = StreetScenes(4, size=(90, 120), seed=0)[2]
        >>> scene.image.shape, scene.semantic.shape
        ((90, 120, 3), (90, 120))
    """

    def __init__(self,
                 num_images: int,
                 size: Tuple[int, int] = (180, 240),
                 seed: int = 0,
                 split: str = 'train') -> None:
        self.num_images = _whole('num_images', num_images, 1)
        if not isinstance(size, (tuple, list)) or len(size) != 2:
            raise ValueError(
                f'`size` must be (height, width), got {size!r}')
        self.size = tuple(
            _whole(f'size[{axis}]', side, MIN_SIDE)
            for axis, side in enumerate(size))
        self.seed = _whole('seed', seed, 0)
        if split not in SPLITS:
            raise ValueError(
                f'`split` must be one of {SPLITS}, got {split!r}')
        self.split = split

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> Scene:
        """Generate one scene; a negative index counts from the end."""
        if not -self.num_images <= index < self.num_images:
            raise IndexError(f'`index` must be in [-{self.num_images}, '
                             f'{self.num_images}), got {index}')
        key = [self.seed, SPLITS.index(self.split), index % self.num_images]
        return _generate(np.random.default_rng(key), self.size)


def _whole(name: str, value: int, least: int) -> int:
    """Return a number after checking that it is an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f'`{name}` must be an int, got {value!r}')
    if value < least:
        raise ValueError(f'`{name}` must be at least {least}, got {value}')
    return int(value)


def _generate(rng: np.random.Generator, size: Tuple[int, int]) -> Scene:
    """Paint one scene from far to near."""
    height, width = size
    camera = Camera(
        focal=.9 * width * rng.uniform(.85, 1.2),
        height=rng.uniform(1.3, 2.0),
        column=width * rng.uniform(.32, .68),
        row=height * rng.uniform(.36, .52))
    canvas = Canvas(size, rng, haze=muted_colour(rng, .5, .95, .12),
                    visibility=rng.uniform(50, 250))
    street = around.Street(rng)
    around.paint_sky(canvas, camera, rng)
    around.paint_horizon(canvas, camera, rng)
    around.paint_ground(canvas, camera, rng, street)
    plan = _houses(rng, street) + _things(rng, street)
    # from far to near; objects at one distance keep the order of the plan
    order = sorted(range(len(plan)), key=lambda i: (-plan[i][0], i))
    for place in order:
        _, paint, arguments = plan[place]
        paint(canvas, camera, rng, *arguments)
    if rng.random() < .4:
        around.paint_bonnet(canvas, rng)
    image = around.apply_light(canvas.image, rng)
    return _finish(canvas, image)


def _houses(rng: np.random.Generator, street: around.Street) -> List:
    """Plan the houses and fences along both sides of the street.

    Returns:
        A list of tuples of a distance in metres, a function that paints, and
        its further arguments.
    """
    plan = []
    for which in (0, 1):
        x = street.house[which]
        density = rng.uniform(.3, 1)
        z, before = rng.uniform(2, 5), 0.0
        while z < 70:
            far = z + rng.uniform(5, 16)
            # a house is sorted by its far end, so that all objects in front
            # of its long side are painted after it
            if rng.random() < density:
                tall = rng.uniform(4, 14)
                plan.append((far, around.paint_house,
                             (x, (z, far), tall, tall > before)))
                before = tall
                if rng.random() < .12:
                    plan.append((far - 1e-3, around.paint_fence,
                                 (x * .97, (z, far))))
            else:
                before = 0.0
                plan += _garden(rng, x, (z, far))
            z = far
    return plan


def _garden(rng: np.random.Generator, x: float,
            span: Tuple[float, float]) -> List:
    """Plan a fence with trees behind it in a gap; some gaps stay empty."""
    if rng.random() > .7:
        return []
    plan = [(span[1], around.paint_fence, (x, span))]
    for _ in range(int(rng.integers(0, 3))):
        back = x + np.sign(x) * rng.uniform(1.5, 5)
        plan.append((span[1] + rng.uniform(.1, 4), things.paint_tree,
                     (back, span[1])))
    return plan


def _things(rng: np.random.Generator, street: around.Street) -> List:
    """Plan the countable objects, street furniture and roadside fences."""
    plan = []

    def put(paint, x, z):
        plan.append((z, paint, (x, z)))

    def anywhere(low, high):  # near places are more likely than far ones
        return low * (high / low)**rng.random()

    for which in (0, 1):
        inward = 1 - 2 * which
        parked = rng.random() < .5
        z = rng.uniform(4, 12)
        while parked and z < 55:
            if rng.random() < .6:
                put(things.paint_car, street.road[which] + inward * 1.1, z)
            z += rng.uniform(5.5, 9)
        for _ in range(rng.poisson(2.)):
            put(things.paint_pedestrian,
                street.side(which, rng.uniform(.15, .9)), anywhere(5, 35))
        for _ in range(rng.poisson(1.7)):
            put(things.paint_pole, street.side(which, rng.uniform(.05, .25)),
                anywhere(5, 40))
        for _ in range(rng.poisson(1.)):
            put(things.paint_tree, street.side(which, rng.uniform(.3, .95)),
                anywhere(7, 45))
        for _ in range(rng.poisson(.6)):
            put(things.paint_clutter,
                street.side(which, rng.uniform(.2, .8)), anywhere(4, 20))
        if rng.random() < .25:
            z = anywhere(5, 20)
            plan.append((z + 6, around.paint_fence,
                         (street.side(which, .06), (z, z + 6))))
    low, high = street.road
    for _ in range(rng.poisson(1.2)):
        put(things.paint_car, rng.uniform(low + 1, high - 1), anywhere(7, 60))
    for _ in range(rng.poisson(1.1)):
        put(things.paint_bicyclist, rng.uniform(low + .5, high - .5),
            anywhere(5, 30))
    for _ in range(rng.poisson(.4)):
        put(things.paint_pedestrian, rng.uniform(low, high), anywhere(6, 30))
    return plan


def _finish(canvas: Canvas, image: np.ndarray) -> Scene:
    """Return the scene after hidden objects are removed.

    The instance ids of the visible objects become 1, 2, ... without gaps.
    """
    area = np.bincount(
        canvas.instances.ravel(), minlength=len(canvas.objects) + 1)
    renumber = np.zeros(len(area), np.int32)
    objects = []
    for item in canvas.objects:
        old = item['instance_id']
        if area[old]:
            renumber[old] = len(objects) + 1
            objects.append(
                dict(item, instance_id=len(objects) + 1, area=int(area[old])))
    return Scene(image, canvas.semantic, renumber[canvas.instances], objects)
