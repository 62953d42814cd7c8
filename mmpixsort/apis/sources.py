"""Draw pictures of the annotated segments in a bank of prototypes."""
import os.path as osp
from collections import OrderedDict

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from mmpixsort.retrieval import PrototypeBank
from mmpixsort.retrieval.build import segment_boxes
from mmpixsort.retrieval.images import annotated_images, image_name
from mmpixsort.visualization.panels import as_picture
from mmpixsort.visualization.retrieval_sheet import TILE, Crop, crop_segment

KEPT = 16  # number of source images kept in memory


def picture_of(data: dict) -> np.ndarray:
    """Return the picture (H, W, 3), RGB, of an item at its original size."""
    height, width = data['data_samples'].ori_shape
    return cv2.resize(as_picture(data['inputs'].numpy()), (width, height))


class Sources:
    """Draw pictures of the segments in a bank.

    The bank stores the boxes of segments, but not their outlines. Therefore
    an image is segmented again, in the same way as when the bank was built,
    and the segment is found by its box. If this does not find it, because the
    image was resized or is an exemplar, the whole box is shown.

    The images read last are kept in memory. To read each image once, ask for
    the rows of an image one after another.

    Args:
        cfg: Config of the model.
        model: Model with whose weights the bank was made.
        bank: Bank of prototypes.
        tile: Side of the pictures in pixels.
    """

    def __init__(self, cfg: Config, model: nn.Module,
                 bank: PrototypeBank, *, tile: int = TILE) -> None:
        self.model = model
        self.tile = tile
        self.bank = bank
        self.dataset = annotated_images(cfg)
        self.numbers = {image_name(self.dataset, i): i
                        for i in range(len(self.dataset))}
        self.known: 'OrderedDict[str, tuple]' = OrderedDict()

    def crop(self, row: int, similarity: float) -> Crop:
        """Return a picture of the segment in a row of the bank."""
        path = self.bank.meta['images'][int(self.bank.image_ids[row])]
        if path not in self.known:
            self.known[path] = self._read(path)
            if len(self.known) > KEPT:
                self.known.popitem(last=False)
        picture, ids, boxes = self.known[path]
        box = self.bank.boxes[row]
        mask = np.zeros(picture.shape[:2], bool)
        x1, y1, x2, y2 = box.tolist()
        mask[y1:y2, x1:x2] = True
        if ids is not None:
            # segments may share a box; the area selects the right one
            outlines = [ids == int(i)
                        for i in (boxes == box).all(1).nonzero()]
            if outlines:
                area = int(self.bank.areas[row])
                mask &= min(outlines, key=lambda o: abs(o.sum() - area))
        name = self.bank.meta['classes'][int(self.bank.labels[row])]
        return Crop(crop_segment(picture, mask, tile=self.tile), name,
                    f'{similarity:.3f}', osp.basename(path))

    @torch.no_grad()
    def _read(self, path: str) -> tuple:
        """Return the picture, its segment ids (H, W) and boxes (S, 4)."""
        if path not in self.numbers:
            picture = cv2.imread(path)
            if picture is None:
                raise FileNotFoundError(
                    f'image {path!r} of the bank not found')
            return picture[..., ::-1], None, None
        data = self.dataset[self.numbers[path]]
        ids, size = self._cut(data)
        boxes = segment_boxes(ids, int(ids.max()) + 1, size)
        painted = cv2.resize(
            ids.cpu().numpy().astype(np.int32).astype(np.float32),
            size[::-1], interpolation=cv2.INTER_NEAREST)
        return picture_of(data), painted.astype(int), boxes.cpu()

    def _cut(self, data: dict) -> tuple:
        """Segment an annotated image as when the bank was built."""
        ids, labels = self.model.retrieval.annotated_segments(
            data,
            drop_void=self.bank.meta['rules']['void'] == 'drop_pixels')
        return ids, tuple(labels.shape)
