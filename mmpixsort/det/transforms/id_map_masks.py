"""Instance masks that are stored as one map of ids.

Shapes: P maps, H W size, n masks.
"""
from typing import Callable, Iterable, Tuple, Union

import mmcv
import numpy as np
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes, get_box_type
from mmdet.structures.mask import BitmapMasks
from scipy.ndimage import find_objects


class IdMapMasks(BitmapMasks):
    """`BitmapMasks` that are kept as a map of ids until a stack is needed.

    A hundred masks of 1024 x 2048 pixels take 210 MB, but their map takes 8
    MB. Resizing by nearest neighbours, flips, crops, padding with 0,
    expansion, selection, areas and boxes work on the map. All other uses
    (rotation, shear, translation, Albu, CopyPaste, a detector that trains on
    masks) read `masks`, which makes the stack and turns the object into
    plain `BitmapMasks`. All results equal those of `BitmapMasks` exactly.

    Masks that overlap lie in different maps, so that nothing is lost. Most
    data needs a single map.

    Args:
        maps: (P, H, W) int32. Mask k is where the one map that holds it has
            the value `numbers[k]`. Other values, such as 0, belong to no
            mask. The array is neither copied nor written to.
        numbers: (n,) int32 values of the masks in the maps, 1 or more.

    Example:
        >>> masks = IdMapMasks(np.array([[[2, 2, 0, 1]]], np.int32),
        ...                    np.array([1, 2], np.int32))
        >>> masks.flip().areas.tolist(), masks.masks.tolist()
        ([1, 2], [[[0, 0, 0, 1]], [[1, 1, 0, 0]]])
    """

    def __init__(self, maps: np.ndarray, numbers: np.ndarray) -> None:
        self.maps = maps
        self.numbers = numbers
        self.height, self.width = maps.shape[1:]

    @classmethod
    def from_masks(cls, masks: Iterable[np.ndarray],
                   size: Tuple[int, int]) -> 'IdMapMasks':
        """Paint masks into maps.

        Each mask goes to the first map in which it overlaps no other. If
        `masks` is a generator, only one mask at a time is in memory.

        Args:
            masks: Masks (H, W) uint8 of 0 and 1. Masks that lie in memory
                column by column, as those of pycocotools, are not copied.
            size: H and W in pixels.

        Raises:
            ValueError: If a mask has another size.
        """
        height, width = size
        layers = [np.zeros(height * width, np.int32)]
        count = 0
        for mask in masks:
            if mask.shape != (height, width):
                raise ValueError(
                    f'masks must have the size {(height, width)} of their '
                    f'image, got {mask.shape}')
            count += 1
            places = np.flatnonzero(mask.T.ravel().view(bool))
            layer = next(
                (flat for flat in layers if not flat[places].any()), None)
            if layer is None:
                layer = np.zeros(height * width, np.int32)
                layers.append(layer)
            layer[places] = count
        maps = np.stack([flat.reshape(width, height).T for flat in layers])
        return cls(np.ascontiguousarray(maps),
                   np.arange(1, count + 1, dtype=np.int32))

    @property
    def masks(self) -> np.ndarray:
        """Stack of masks (n, H, W) uint8, which the caller may write to.

        Reading it turns the object into plain `BitmapMasks`.
        """
        stack = np.zeros((len(self), self.height, self.width), np.uint8)
        for mask, number in zip(stack, self.numbers):
            for ids in self.maps:
                mask |= ids == number
        self.masks = stack
        return stack

    @masks.setter
    def masks(self, stack: np.ndarray) -> None:
        # Some transforms of mmdet write into the stack or replace it, and
        # build masks by `type(masks)`. From here on only the stack is valid,
        # and every method must be that of `BitmapMasks`.
        del self.maps, self.numbers
        self.__class__ = BitmapMasks
        self.masks = stack

    def __getitem__(self, index) -> 'IdMapMasks':
        """Return the masks of an index, an array of indices or of flags."""
        return IdMapMasks(self.maps, np.atleast_1d(self.numbers[index]))

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(num_masks={len(self)}, '
                f'height={self.height}, width={self.width})')

    def rescale(self, scale, interpolation: str = 'nearest') -> BitmapMasks:
        """Resize with the aspect ratio kept, see `mmcv.imrescale`."""
        if interpolation != 'nearest':
            return super().rescale(scale, interpolation)
        return self._resized(lambda pixels: mmcv.imrescale(
            pixels, scale, interpolation=interpolation))

    def resize(self, out_shape: Tuple[int, int],
               interpolation: str = 'nearest') -> BitmapMasks:
        """Resize to `out_shape` (H, W), see `mmcv.imresize`."""
        if interpolation != 'nearest':
            return super().resize(out_shape, interpolation)
        return self._resized(lambda pixels: mmcv.imresize(
            pixels, out_shape[::-1], interpolation=interpolation))

    def flip(self, flip_direction: str = 'horizontal') -> 'IdMapMasks':
        """Flip in the direction 'horizontal', 'vertical' or 'diagonal'."""
        return self._moved(
            lambda ids: mmcv.imflip(ids, direction=flip_direction))

    def pad(self, out_shape: Tuple[int, int],
            pad_val: int = 0) -> BitmapMasks:
        """Pad to `out_shape` (H, W) at the right and at the bottom."""
        if pad_val:  # the border belongs to all masks at once
            return super().pad(out_shape, pad_val)
        return self._moved(lambda ids: mmcv.impad(ids, shape=out_shape))

    def crop(self, bbox: np.ndarray) -> 'IdMapMasks':
        """Crop to a box (4,) of x1, y1, x2, y2, clipped to the image."""
        left, right = np.clip(bbox[0::2], 0, self.width)
        top, bottom = np.clip(bbox[1::2], 0, self.height)
        bottom, right = max(bottom, top + 1), max(right, left + 1)
        # `_moved` copies, so that the large map does not stay in memory
        return self._moved(lambda ids: ids[top:bottom, left:right])

    def expand(self, expanded_h: int, expanded_w: int, top: int,
               left: int) -> 'IdMapMasks':
        """Put the masks into a larger image, their corner at (top, left)."""
        maps = np.zeros((len(self.maps), expanded_h, expanded_w), np.int32)
        maps[:, top:top + self.height, left:left + self.width] = self.maps
        return IdMapMasks(maps, self.numbers)

    @property
    def areas(self) -> np.ndarray:
        """Number of pixels (n,) of each mask, uint64 as in `BitmapMasks`."""
        counts = np.zeros(self._size_of_tables(), np.int64)
        for ids in self.maps:
            counts += np.bincount(ids.ravel(), minlength=len(counts))
        return counts[self.numbers].astype(np.uint64)

    def get_bboxes(self, dst_type: Union[str, type] = 'hbb') -> BaseBoxes:
        """Return the bounding boxes of the masks, zeros for empty masks."""
        if get_box_type(dst_type)[1] is not HorizontalBoxes:
            return super().get_bboxes(dst_type)
        boxes = np.zeros((self._size_of_tables(), 4), np.float32)
        for ids in self.maps:
            for number, found in enumerate(find_objects(ids), 1):
                if found is not None:
                    rows, columns = found
                    boxes[number] = (columns.start, rows.start, columns.stop,
                                     rows.stop)
        return HorizontalBoxes(boxes[self.numbers])

    @classmethod
    def cat(cls, masks) -> BitmapMasks:
        """Concatenate objects of this class or `BitmapMasks` into a stack."""
        return BitmapMasks.cat(masks)

    def paint_order(self, order: np.ndarray) -> np.ndarray:
        """Paint the masks one over the other, without making a stack.

        Args:
            order: (n,) indices of the masks from the lowest to the topmost.

        Returns:
            (H, W) int32: k + 1 where mask `order[k]` is on top, 0 where
            there is no mask.
        """
        # of masks with equal numbers the last, which is on top, is kept
        table = np.zeros(self._size_of_tables(), np.int32)
        table[self.numbers[order]] = np.arange(1, len(self) + 1)
        painted = table[self.maps[0]]
        for ids in self.maps[1:]:
            np.maximum(painted, table[ids], out=painted)
        return painted

    def _size_of_tables(self) -> int:
        """Return 1 more than the largest value in `maps` and `numbers`."""
        return 1 + int(max(self.maps.max(initial=0),
                           self.numbers.max(initial=0)))

    def _moved(self, move: Callable) -> 'IdMapMasks':
        """Apply a function to every map; the result shares no memory."""
        return IdMapMasks(
            np.stack([move(ids) for ids in self.maps]), self.numbers)

    def _resized(self, resize: Callable) -> 'IdMapMasks':
        """Resize every map as an image of four channels of one byte.

        Not all backends of mmcv resize int32, but all resize bytes and treat
        every channel alike.
        """
        def move(ids: np.ndarray) -> np.ndarray:
            pixels = np.ascontiguousarray(ids).view(np.uint8)
            resized = resize(pixels.reshape(*ids.shape, 4))
            return np.ascontiguousarray(resized).view(np.int32)[..., 0]

        return self._moved(move)
