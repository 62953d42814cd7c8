"""A camera above a flat street, and a canvas that is painted back to front.

World coordinates are in metres: x to the right, y up from the ground, z away
from the camera. Picture coordinates are in pixels: column to the right, row
down.

Shapes: H W size of the picture, N points.
"""
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from .street_classes import IGNORE, SKY
from .textures import noise


class Camera(NamedTuple):
    """A pinhole camera that looks along the street.

    Attributes:
        focal: Focal length in pixels.
        height: Height above the ground in metres.
        column: Column of the vanishing point in pixels.
        row: Row of the vanishing point in pixels.
    """

    focal: float
    height: float
    column: float
    row: float

    def project(self, points: Sequence) -> np.ndarray:
        """Project world points (N, 3) of (x, y, z) to pixels (N, 2)."""
        points = np.asarray(points, np.float32).reshape(-1, 3)
        scale = self.focal / points[:, 2]
        pixels = np.empty((len(points), 2), np.float32)
        pixels[:, 0] = self.column + points[:, 0] * scale
        pixels[:, 1] = self.row + (self.height - points[:, 1]) * scale
        return pixels


class Layer:
    """A rectangular part of the canvas on which one object is drawn.

    Args:
        shape: Size (H, W) of the canvas.
        bounds: Left, top, right and bottom of the part in canvas pixels. It
            is cut at the border of the canvas.
    """

    def __init__(self, shape: Tuple[int, int], bounds: Sequence) -> None:
        height, width = shape
        left, top, right, bottom = bounds
        self.left = int(np.clip(np.floor(left), 0, width))
        self.top = int(np.clip(np.floor(top), 0, height))
        self.right = int(np.clip(np.ceil(right) + 1, self.left, width))
        self.bottom = int(np.clip(np.ceil(bottom) + 1, self.top, height))
        size = (self.bottom - self.top, self.right - self.left)
        self.colour = np.zeros(size + (3, ), np.float32)
        self.mask = np.zeros(size, np.uint8)
        self.opacity: Optional[np.ndarray] = None

    @property
    def empty(self) -> bool:
        return self.mask.size == 0

    @property
    def window(self) -> Tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def polygon(self, points: np.ndarray, colour: Sequence) -> None:
        """Fill a polygon of canvas points (N, 2)."""
        if self.empty:
            return
        local = np.round(points - (self.left, self.top))
        local = np.clip(local, -20000, 20000).astype(np.int32)
        cv2.fillPoly(self.colour, [local], [float(c) for c in colour])
        cv2.fillPoly(self.mask, [local], 1)

    def ellipse(self,
                centre: Sequence,
                axes: Sequence,
                colour: Sequence,
                thickness: int = -1) -> None:
        """Draw or fill an ellipse.

        Args:
            centre: Centre (x, y) in canvas pixels.
            axes: Half the width and half the height in pixels.
            colour: Colour, RGB in [0, 1].
            thickness: Thickness of the line in pixels; -1 fills the ellipse.
        """
        if self.empty:
            return
        point = (int(round(centre[0])) - self.left,
                 int(round(centre[1])) - self.top)
        half = (max(int(round(axes[0])), 0), max(int(round(axes[1])), 0))
        for target, value in ((self.colour, [float(c) for c in colour]),
                              (self.mask, 1)):
            cv2.ellipse(target, point, half, 0, 0, 360, value, thickness)

    def line(self,
             start: Sequence,
             end: Sequence,
             colour: Sequence,
             thickness: float = 1) -> None:
        """Draw a straight line; its thickness is rounded to whole pixels."""
        if self.empty:
            return
        ends = [(int(round(p[0])) - self.left, int(round(p[1])) - self.top)
                for p in (start, end)]
        width = max(int(round(thickness)), 1)
        for target, value in ((self.colour, [float(c) for c in colour]),
                              (self.mask, 1)):
            cv2.line(target, ends[0], ends[1], value, width)

    def texture(self, picture: np.ndarray, corners: np.ndarray,
                opacity: Optional[np.ndarray] = None) -> None:
        """Warp a picture into a quadrilateral of the canvas.

        Args:
            picture: Picture (h, w, 3), RGB in [0, 1].
            corners: Canvas points (4, 2) of the corners of the picture,
                clockwise from its top left corner.
            opacity: Opacity (h, w) of the picture in [0, 1]; None makes it
                opaque.
        """
        if self.empty:
            return
        height, width = picture.shape[:2]
        source = np.float32([[0, 0], [width, 0], [width, height],
                             [0, height]])
        target = np.float32(corners - (self.left, self.top))
        matrix = cv2.getPerspectiveTransform(source, target)
        size = (self.mask.shape[1], self.mask.shape[0])
        self.colour = cv2.warpPerspective(
            picture, matrix, size, flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE)
        if opacity is not None:
            self.opacity = cv2.warpPerspective(
                opacity, matrix, size, flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE)
        outline = np.clip(np.round(target), -20000, 20000).astype(np.int32)
        cv2.fillPoly(self.mask, [outline], 1)


class Canvas:
    """A picture with class and instance maps, painted from far to near.

    Args:
        shape: Size (H, W) of the picture.
        rng: Random generator of the grain of surfaces.
        haze: Colour, RGB in [0, 1], into which distant objects fade.
        visibility: Distance in metres at which 63 % of the colour of an
            object has faded.
    """

    def __init__(self, shape: Tuple[int, int], rng: np.random.Generator,
                 haze: np.ndarray, visibility: float) -> None:
        self.shape = shape
        self.rng = rng
        self.haze = haze
        self.visibility = visibility
        self.image = np.zeros(shape + (3, ), np.float32)
        self.semantic = np.full(shape, SKY, np.uint8)
        self.instances = np.zeros(shape, np.int32)
        self.objects: List[Dict] = []

    def layer(self, points: np.ndarray, margin: float = 2) -> Layer:
        """Return an empty layer around canvas points (N, 2).

        Args:
            points: Points to enclose.
            margin: Number of pixels to add on each side.
        """
        low, high = points.min(0) - margin, points.max(0) + margin
        return Layer(self.shape, (low[0], low[1], high[0], high[1]))

    def fade(self, distance: float) -> float:
        """Return the fraction of its colour that an object keeps.

        Args:
            distance: Distance of the object from the camera in metres.
        """
        return float(np.exp(-distance / self.visibility))

    def commit(self,
               layer: Layer,
               class_id: int,
               distance: float,
               instance: int = 0,
               grain: float = 0.12) -> None:
        """Paint a layer over everything that was painted before it.

        Args:
            layer: Layer with an object.
            class_id: Class of the object.
            distance: Distance of the object from the camera in metres.
            instance: Instance id of the object; 0 if it has none.
            grain: Relative amplitude of the random texture of the surface.
        """
        if layer.empty:
            return
        height, width = layer.mask.shape
        keep = self.fade(distance)
        shade = keep + keep * grain * noise(
            self.rng, height, width, max(min(height, width) / 2, 2), 2)
        colour = layer.colour * shade[..., None] + self.haze * (1 - keep)
        window = layer.window
        if layer.opacity is not None:
            share = layer.opacity[..., None]
            colour = colour * share + self.image[window] * (1 - share)
        hit = layer.mask > 0
        np.copyto(self.image[window], colour, where=hit[..., None])
        self.semantic[window][hit] = class_id
        self.instances[window][hit] = 0 if class_id == IGNORE else instance

    def add_object(self, name: str, class_id: int, **attributes) -> int:
        """Register a countable object and return its new instance id."""
        self.objects.append(
            dict(
                name=name,
                class_id=class_id,
                instance_id=len(self.objects) + 1,
                attributes=attributes))
        return len(self.objects)
