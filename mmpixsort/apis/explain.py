"""Show the annotated segments on which a prediction by retrieval is based."""
import os.path as osp
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Set, Tuple, Union

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mmpixsort.functional.checks import check_count
from mmpixsort.retrieval import PrototypeBank, read_bank
from mmpixsort.retrieval.edit import full_palette
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.files import write_image, write_whole
from mmpixsort.visualization.explorer.explained import (ExplainedImage,
                                                        NearSegment,
                                                        ShownSegment,
                                                        page_content)
from mmpixsort.visualization.explorer.page import explorer_page
from mmpixsort.visualization.panels import embedding_pictures, paint_labels
from mmpixsort.visualization.retrieval_sheet import TILE as SHEET_TILE
from mmpixsort.visualization.retrieval_sheet import Crop, Row, crop_segment
from mmpixsort.visualization.retrieval_sheet import sheet as draw_sheet

from .exemplars import image_data
from .loading import load_model
from .sources import Sources, picture_of

TILE = 192  # side of the pictures of segments in pixels
SHEET_ROWS = 24  # number of segments on the sheet, the largest first


class Explanation(NamedTuple):
    """Paths of an HTML page and a PNG sheet, and the rows of the sheet."""

    page: Path
    sheet: Path
    rows: List[Row]


class Explainer:
    """Explain the predictions of images with one model and one bank.

    The model is loaded once, for any number of images.

    Args:
        cfg: Config of the model.
        checkpoint: Checkpoint with its weights.
        bank: Bank of prototypes, or its path.
        num_neighbors: Number of neighbours that are shown for each segment.
        max_segments: Number of segments whose neighbours are shown, the
            largest first.

    Raises:
        ValueError: If the bank was not made with these weights.
        FileNotFoundError: If a file does not exist.
    """

    def __init__(self,
                 cfg: Union[str, Path, Config],
                 checkpoint: Union[str, Path],
                 bank: Union[str, Path, PrototypeBank],
                 *,
                 num_neighbors: int = 6,
                 max_segments: int = 100) -> None:
        check_count('num_neighbors', num_neighbors)
        check_count('max_segments', max_segments)
        self.num_neighbors = num_neighbors
        self.max_segments = max_segments
        self.cfg = cfg if isinstance(cfg, Config) else read_config(cfg)
        self.bank = bank if isinstance(bank, PrototypeBank) else (
            read_bank(bank))
        self.model = load_model(self.cfg, checkpoint)
        self.model.retrieval.use(self.bank)
        self.sources = Sources(self.cfg, self.model, self.bank, tile=TILE)
        self._crops: Dict[int, np.ndarray] = {}  # of the last image, by row

    def use(self, bank: PrototypeBank) -> None:
        """Explain with another bank from now on.

        Raises:
            ValueError: If the bank was not made with the loaded weights.
        """
        self.model.retrieval.use(bank)
        if bank.meta['images'] != self.bank.meta['images'] or not (
                torch.equal(bank.image_ids, self.bank.image_ids)
                and torch.equal(bank.boxes, self.bank.boxes)):
            self._crops = {}
        self.bank = self.sources.bank = bank

    @torch.no_grad()
    def explained(self, image: Union[str, Path]) -> ExplainedImage:
        """Return everything that a page shows of an image.

        Args:
            image: Path of the image.

        Raises:
            FileNotFoundError: If the image does not exist.
        """
        data = image_data(self.cfg, image)
        batch = pseudo_collate([data])
        result, = self.model.test_step(batch)
        batch = self.model.data_preprocessor(batch, False)
        embedding = self.model.retrieval.embed(
            batch['inputs'], [batch['data_samples'][0].metainfo])
        picture = picture_of(data)
        palette = full_palette(self.bank.meta)
        found = result.pred_segments
        segments = self._segments(picture, found)
        return ExplainedImage(
            name=osp.basename(image),
            picture=picture,
            prediction=paint_labels(
                result.pred_sem_seg.data[0].cpu().numpy(), palette),
            embedding=embedding_pictures(embedding, [picture.shape[:2]])[0],
            ids=found.data[0].cpu().numpy(),
            labels=found.fractions.argmax(1).cpu().numpy(),
            confidence=found.fractions.amax(1).cpu().numpy(),
            classes=self.bank.meta['classes'],
            palette=palette,
            segments=segments,
            crops=self._draw({
                near.row for item in segments for near in item.near}))

    def _draw(self, rows: Set[int]) -> Dict[int, np.ndarray]:
        """Return the pictures of rows of the bank.

        Those of the last image are used again. The others are drawn in the
        order of their images, so that each image is read once.
        """
        ordered = sorted(
            rows, key=lambda row: (int(self.bank.image_ids[row]), row))
        self._crops = {
            row: self._crops[row] if row in self._crops else
            self.sources.crop(row, 0.).picture for row in ordered}
        return self._crops

    def _segments(self, picture: np.ndarray, found) -> List[ShownSegment]:
        """Return the largest segments with their neighbours."""
        ids = found.data[0].cpu()
        areas = ids.flatten().bincount(minlength=len(found.neighbors))
        shown = []
        for number in areas.argsort(descending=True)[
                :self.max_segments].tolist():
            if not areas[number]:
                break
            label, vote = read_vote(found, number)
            shown.append(ShownSegment(
                number=number,
                label=label,
                vote=vote,
                votes=_counts(found.neighbor_labels[number].tolist()),
                area=int(areas[number]),
                crop=crop_segment(
                    picture, (ids == number).numpy(), tile=TILE),
                near=self._near(found, number)))
        return shown

    def _near(self, found, number: int) -> List[NearSegment]:
        """Return the annotated segments nearest to a segment."""
        names = self.bank.meta['images']
        return [
            NearSegment(
                row=row,
                label=int(self.bank.labels[row]),
                similarity=similarity,
                source=osp.basename(names[int(self.bank.image_ids[row])]))
            for row, similarity in zip(
                found.neighbors[number][:self.num_neighbors].tolist(),
                found.similarities[number][:self.num_neighbors].tolist())]

    def write(self, image: Union[str, Path],
              out: Union[str, Path]) -> Explanation:
        """Write the page and the sheet of an image.

        Args:
            image: Path of the image.
            out: Folder for NAME.html and NAME.png; it is created if needed.

        Raises:
            FileNotFoundError: If the image does not exist.
        """
        explained = self.explained(image)
        rows = sheet_rows(explained)
        out, name = Path(out), Path(image).stem
        out.mkdir(parents=True, exist_ok=True)
        files = Explanation(out / f'{name}.html', out / f'{name}.png', rows)
        write_whole(files.page, explorer_page(page_content(explained)))
        write_image(files.sheet, draw_sheet(rows)[..., ::-1])
        return files


def explain(cfg: Union[str, Path, Config],
            checkpoint: Union[str, Path],
            bank: Union[str, Path],
            image: Union[str, Path],
            out: Union[str, Path],
            *,
            num_neighbors: int = 6,
            max_segments: int = 100) -> Explanation:
    """Write an HTML page and a PNG that show segments and their neighbours.

    For several images, an :class:`Explainer` loads the model only once.

    Args:
        cfg: Config of the model.
        checkpoint: Checkpoint with its weights.
        bank: Bank of prototypes.
        image: Path of the image.
        out: Folder for NAME.html and NAME.png; it is created if needed.
        num_neighbors: Number of neighbours that are shown for each segment.
        max_segments: Number of segments that can be opened on the page, the
            largest first. The sheet shows the first 24 of them.

    Raises:
        ValueError: If the bank was not made with these weights.
        FileNotFoundError: If a file does not exist.
    """
    return Explainer(
        cfg, checkpoint, bank, num_neighbors=num_neighbors,
        max_segments=max_segments).write(image, out)


def sheet_rows(explained: ExplainedImage) -> List[Row]:
    """Return the rows of a sheet: the largest segments with neighbours."""
    return [Row(
        Crop(_small(item.crop), explained.classes[item.label], item.vote,
             explained.name),
        [Crop(_small(explained.crops[near.row]), explained.classes[near.label],
              f'{near.similarity:.3f}', near.source) for near in item.near])
        for item in explained.segments[:SHEET_ROWS]]


def _small(picture: np.ndarray) -> np.ndarray:
    """Return a picture in the size of a sheet."""
    return cv2.resize(
        picture, (SHEET_TILE, SHEET_TILE), interpolation=cv2.INTER_AREA)


def _counts(labels: Sequence[int]) -> Dict[int, int]:
    """Return how often each label occurs."""
    return {label: labels.count(label) for label in set(labels)}


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
