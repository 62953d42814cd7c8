"""Instance masks that mmdet's transforms move as one map of ids.

Letters: P maps, H W size, n masks.
"""
from typing import Callable, Iterable, Tuple, Union

import mmcv
import numpy as np
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes, get_box_type
from mmdet.structures.mask import BitmapMasks
from scipy.ndimage import find_objects


class IdMapMasks(BitmapMasks):
    """`BitmapMasks` that are kept as a map of ids until a stack is needed.

    A hundred masks of 1024 x 2048 pixels take 210 MB, their map 8 MB. Every
    result equals that of `BitmapMasks` to the bit: resizing by nearest
    neighbours, flips, crops, padding with 0, expansion, selection, areas and
    boxes work on the map. Whatever needs the masks one by one (rotation,
    shear, translation, Albu, CopyPaste, a host that trains on masks) reads
    `masks`; with that the object becomes plain `BitmapMasks`.

    Masks that overlap lie in different maps, so that nothing is lost. Most
    data needs a single map.

    Args:
        maps: (P, H, W) int32: `numbers[k]` where mask k is, in the one map
            that holds it. 0, and a number of no mask, belong to none. The
            array is not copied, and never written to.
        numbers: (n,) int32, 1 and above.

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
        """Paint masks into as few maps as they fit in.

        Each mask goes to the first map where it meets no other, so of masks
        that come one after the other only one is in memory.

        Args:
            masks: Each (H, W) uint8, 0 or 1. The order in memory of
                pycocotools, column by column, is read without a copy.
            size: (H, W).

        Raises:
            ValueError: When a mask has another size.
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
        """Stack of masks (n, H, W) uint8; what asks for it may write to it.
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
        # build masks by `type(masks)`: from here on the stack is the truth,
        # and the class of the host knows all about it.
        del self.maps, self.numbers
        self.__class__ = BitmapMasks
        self.masks = stack

    def __getitem__(self, index) -> 'IdMapMasks':
        """Select masks, by a number or an array of numbers or flags."""
        return IdMapMasks(self.maps, np.atleast_1d(self.numbers[index]))

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(num_masks={len(self)}, '
                f'height={self.height}, width={self.width})')

    def rescale(self, scale, interpolation: str = 'nearest') -> BitmapMasks:
        """Resize as large as `scale` allows, see `mmcv.imrescale`."""
        if interpolation != 'nearest':
            return super().rescale(scale, interpolation)
        return self._resized(lambda pixels: mmcv.imrescale(
            pixels, scale, interpolation=interpolation))

    def resize(self, out_shape: Tuple[int, int],
               interpolation: str = 'nearest') -> BitmapMasks:
        """Resize to (H, W) `out_shape`, see `mmcv.imresize`."""
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
        """Pad to (H, W) `out_shape` on the right and below."""
        if pad_val:  # the border would belong to all masks
            return super().pad(out_shape, pad_val)
        return self._moved(lambda ids: mmcv.impad(ids, shape=out_shape))

    def crop(self, bbox: np.ndarray) -> 'IdMapMasks':
        """Crop to the box x1, y1, x2, y2 (4,), clipped to the masks."""
        left, right = np.clip(bbox[0::2], 0, self.width)
        top, bottom = np.clip(bbox[1::2], 0, self.height)
        bottom, right = max(bottom, top + 1), max(right, left + 1)
        # a copy, so that the large map does not stay in memory
        return self._moved(lambda ids: ids[top:bottom, left:right])

    def expand(self, expanded_h: int, expanded_w: int, top: int,
               left: int) -> 'IdMapMasks':
        """Put the masks on a larger ground, the corner at (top, left)."""
        maps = np.zeros((len(self.maps), expanded_h, expanded_w), np.int32)
        maps[:, top:top + self.height, left:left + self.width] = self.maps
        return IdMapMasks(maps, self.numbers)

    @property
    def areas(self) -> np.ndarray:
        """Number of pixels (n,) of each mask, uint64 as the host has it."""
        counts = np.zeros(self._size_of_tables(), np.int64)
        for ids in self.maps:
            counts += np.bincount(ids.ravel(), minlength=len(counts))
        return counts[self.numbers].astype(np.uint64)

    def get_bboxes(self, dst_type: Union[str, type] = 'hbb') -> BaseBoxes:
        """Return the boxes of the masks, zeros for an empty one."""
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
        """Join masks of several objects of this class or `BitmapMasks`."""
        return BitmapMasks.cat(masks)

    def paint_order(self, order: np.ndarray) -> np.ndarray:
        """Paint the masks one over the other, without a stack.

        Args:
            order: (n,) the masks, what lies below first.

        Returns:
            (H, W) int32, k + 1 where mask `order[k]` is on top, 0 where no
            mask is.
        """
        # of equal numbers the last assignment holds, which lies on top
        table = np.zeros(self._size_of_tables(), np.int32)
        table[self.numbers[order]] = np.arange(1, len(self) + 1)
        painted = table[self.maps[0]]
        for ids in self.maps[1:]:
            np.maximum(painted, table[ids], out=painted)
        return painted

    def _size_of_tables(self) -> int:
        """Return 1 more than the largest number, of a map or of a mask."""
        return 1 + int(max(self.maps.max(initial=0),
                           self.numbers.max(initial=0)))

    def _moved(self, move: Callable) -> 'IdMapMasks':
        """Move the pixels of every map; the result shares no memory."""
        return IdMapMasks(
            np.stack([move(ids) for ids in self.maps]), self.numbers)

    def _resized(self, resize: Callable) -> 'IdMapMasks':
        """Resize every map as an image of four bytes a pixel.

        Backends of mmcv take bytes, not all take int32, and treat every
        channel alike.
        """
        def move(ids: np.ndarray) -> np.ndarray:
            pixels = np.ascontiguousarray(ids).view(np.uint8)
            resized = resize(pixels.reshape(*ids.shape, 4))
            return np.ascontiguousarray(resized).view(np.int32)[..., 0]

        return self._moved(move)
