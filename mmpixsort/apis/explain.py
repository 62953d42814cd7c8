"""Show the annotated segments on which a prediction by retrieval is based."""
import os.path as osp
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple, Union

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from mmpixsort.functional.checks import check_count
from mmpixsort.retrieval import PrototypeBank, read_bank
from mmpixsort.retrieval.build import segment_boxes
from mmpixsort.retrieval.images import annotated_images, image_name
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.files import write_image, write_whole
from mmpixsort.visualization.panels import as_picture, paint_labels
from mmpixsort.visualization.retrieval_sheet import (Crop, Row, crop_segment,
                                                     page)
from mmpixsort.visualization.retrieval_sheet import sheet as draw_sheet

from .exemplars import image_data
from .loading import load_model


class Explanation(NamedTuple):
    """Paths of an HTML page and a PNG sheet, and the rows that they show."""

    page: Path
    sheet: Path
    rows: List[Row]


def explain(cfg: Union[str, Path, Config],
            checkpoint: Union[str, Path],
            bank: Union[str, Path],
            image: Union[str, Path],
            out: Union[str, Path],
            *,
            num_neighbors: int = 6,
            max_segments: int = 24) -> Explanation:
    """Write an HTML page and a PNG that show segments and their neighbours.

    Args:
        cfg: Config of the model.
        checkpoint: Checkpoint with its weights.
        bank: Bank of prototypes.
        image: Path of the image.
        out: Folder for NAME.html and NAME.png; it is created if needed.
        num_neighbors: Number of neighbours that are shown for each segment.
        max_segments: Number of segments that are shown, the largest first.

    Raises:
        ValueError: If the bank was not made with these weights.
        FileNotFoundError: If a file does not exist.
    """
    check_count('num_neighbors', num_neighbors)
    check_count('max_segments', max_segments)
    cfg = cfg if isinstance(cfg, Config) else read_config(cfg)
    data = image_data(cfg, image)
    rows_of_bank = read_bank(bank)
    model = load_model(cfg, checkpoint)
    model.retrieval.use(rows_of_bank)
    with torch.no_grad():
        result, = model.test_step(dict(
            inputs=[data['inputs']], data_samples=[data['data_samples']]))
    picture = picture_of(data)
    sources = Sources(cfg, model, rows_of_bank)
    rows = _rows(picture, result, rows_of_bank, sources, num_neighbors,
                 max_segments, osp.basename(image))
    prediction = paint_labels(
        result.pred_sem_seg.data[0].cpu().numpy(),
        rows_of_bank.meta['palette'])
    out, name = Path(out), Path(image).stem
    out.mkdir(parents=True, exist_ok=True)
    files = Explanation(out / f'{name}.html', out / f'{name}.png', rows)
    write_whole(files.page, page(
        rows, title=f'Why {osp.basename(image)} was labelled so',
        overview=[picture, prediction]))
    write_image(files.sheet, draw_sheet(rows)[..., ::-1])
    return files


def picture_of(data: dict) -> np.ndarray:
    """Return the picture (H, W, 3), RGB, of an item at its original size."""
    height, width = data['data_samples'].ori_shape
    return cv2.resize(as_picture(data['inputs'].numpy()), (width, height))


def _rows(picture: np.ndarray, result, bank: PrototypeBank,
          sources: 'Sources', num_neighbors: int, max_segments: int,
          name: str) -> List[Row]:
    """Return rows that show the largest segments and their neighbours."""
    segments = result.pred_segments
    ids = segments.data[0].cpu()
    areas = ids.flatten().bincount(minlength=len(segments.neighbors))
    rows = []
    for segment in areas.argsort(descending=True)[:max_segments].tolist():
        if not areas[segment]:
            break
        mask = ids == segment
        label, vote = read_vote(segments, segment)
        rows.append(Row(
            Crop(crop_segment(picture, mask.numpy()),
                 bank.meta['classes'][label], vote, name),
            [sources.crop(int(row), float(score)) for row, score in zip(
                segments.neighbors[segment][:num_neighbors],
                segments.similarities[segment][:num_neighbors])]))
    return rows


def read_vote(segments, segment: int) -> Tuple[int, str]:
    """Return the class that a segment's neighbours voted for, and the votes.

    Args:
        segments: `pred_segments` of a result, with votes.
        segment: Index of the segment.

    Returns:
        The class, and a text such as '9/15' if 9 of 15 neighbours have this
        class. If votes are weighted by similarity, the text also gives their
        share of the weight.
    """
    fractions = segments.fractions[segment]
    neighbors = segments.neighbor_labels[segment]
    label = int(fractions.argmax())
    count = int((neighbors == label).sum())
    text = f'{count}/{len(neighbors)}'
    share = float(fractions[label])
    # the rule for ties changes a vote by less than 1e-4
    if abs(share - count / len(neighbors)) > 1e-3:
        text += f', {share:.0%} of the weight'
    return label, text


class Sources:
    """Draw pictures of the segments in a bank.

    The bank stores the boxes of segments, but not their outlines. Therefore
    an image is segmented again, in the same way as when the bank was built,
    and the segment is found by its box. If this does not find it, because the
    image was resized or is an exemplar, the whole box is shown.
    """

    def __init__(self, cfg: Config, model: nn.Module,
                 bank: PrototypeBank) -> None:
        self.model = model
        self.bank = bank
        self.dataset = annotated_images(cfg)
        self.numbers = {image_name(self.dataset, i): i
                        for i in range(len(self.dataset))}
        self.known: Dict[str, tuple] = {}

    def crop(self, row: int, similarity: float) -> Crop:
        """Return a picture of the segment in a row of the bank."""
        path = self.bank.meta['images'][int(self.bank.image_ids[row])]
        if path not in self.known:
            self.known[path] = self._read(path)
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
        return Crop(crop_segment(picture, mask), name, f'{similarity:.3f}',
                    osp.basename(path))

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
