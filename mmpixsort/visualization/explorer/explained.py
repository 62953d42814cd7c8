"""Describe what an explorer page shows, as JSON.

Shapes: H W size of the image.
"""
import base64
from typing import Dict, List, NamedTuple, Sequence

import cv2
import numpy as np

from .layers import MAX_SIDE, confidence_layer, segment_lines, shrink

PNG, JPEG = '.png', '.jpg'


class NearSegment(NamedTuple):
    """An annotated segment that voted for the class of a segment.

    Attributes:
        row: Row of the annotated segment in the bank.
        label: Class index of the annotated segment.
        similarity: Similarity to the segment of the image.
        source: Name of the image that the annotated segment is from.
    """

    row: int
    label: int
    similarity: float
    source: str


class ShownSegment(NamedTuple):
    """A segment of the image, with the votes for its class.

    Attributes:
        number: Value of the segment in the ids of the image.
        label: Class index that the votes chose.
        vote: Votes for this class as text, such as '9/15'.
        votes: Number of votes for each class index that has any.
        area: Number of pixels.
        crop: Picture of the segment with its outline.
        near: Nearest annotated segments, the most similar first.
    """

    number: int
    label: int
    vote: str
    votes: Dict[int, int]
    area: int
    crop: np.ndarray
    near: List[NearSegment]


class ExplainedImage(NamedTuple):
    """An image and everything that its explorer page shows.

    Attributes:
        name: Name of the image.
        picture: (H, W, 3) RGB picture of the image.
        prediction: (H, W, 3) RGB picture of the predicted classes.
        embedding: (H, W, 3) RGB picture of the embedding.
        ids: (H, W) segment ids, integers from 0.
        labels: Class index (S,) of each segment.
        confidence: Share (S,) of the votes for the class of each segment.
        classes: Names of the classes.
        palette: Colours (R, G, B) of the classes.
        segments: Segments with their neighbours, the largest first. Other
            segments in `ids` can be seen on the page, but not opened.
        crops: Picture of each annotated segment, by its row in the bank.
    """

    name: str
    picture: np.ndarray
    prediction: np.ndarray
    embedding: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    segments: List[ShownSegment]
    crops: Dict[int, np.ndarray]


def page_content(explained: ExplainedImage) -> dict:
    """Return the content of an explorer page, made of JSON types only.

    Pictures become data URIs. Segment ids become runs of equal ids. An image
    with a side above `MAX_SIDE` pixels is shown smaller.
    """
    ids = shrink(explained.ids, MAX_SIDE, nearest=True)
    confidence = confidence_layer(ids, explained.confidence)
    return dict(
        name=str(explained.name),
        width=ids.shape[1],
        height=ids.shape[0],
        runs=runs_of_ids(ids),
        labels=[int(label) for label in explained.labels],
        pictures=dict(
            image=data_uri(shrink(explained.picture, MAX_SIDE), JPEG),
            label=data_uri(
                shrink(explained.prediction, MAX_SIDE, nearest=True), PNG),
            segment=data_uri(segment_lines(ids), PNG),
            embedding=data_uri(shrink(explained.embedding, MAX_SIDE), JPEG),
            confidence=data_uri(confidence, PNG)),
        classes=[dict(name=str(name), colour=[int(part) for part in colour])
                 for name, colour in zip(
                     explained.classes, explained.palette)],
        segments=[_segment(item, explained) for item in explained.segments],
        crops={str(row): data_uri(crop, JPEG)
               for row, crop in explained.crops.items()})


def _segment(item: ShownSegment, explained: ExplainedImage) -> dict:
    """Return the content of one segment."""
    return dict(
        number=item.number,
        label=item.label,
        vote=item.vote,
        votes=[[label, count] for label, count in sorted(
            item.votes.items(), key=lambda pair: -pair[1])],
        share=item.area / explained.ids.size,
        confidence=float(explained.confidence[item.number]),
        crop=data_uri(item.crop, JPEG),
        near=[dict(near._asdict(), source=str(near.source))
              for near in item.near])


def runs_of_ids(ids: np.ndarray) -> List[int]:
    """Return ids (H, W) as alternating lengths of runs and their ids.

    The pixels are read row by row.

    Example:
        >>> runs_of_ids(np.array([[4, 4, 4], [4, 7, 7]]))
        [4, 4, 2, 7]
    """
    flat = np.asarray(ids).ravel()
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    lengths = np.diff(np.r_[starts, len(flat)])
    return np.stack([lengths, flat[starts]], 1).ravel().tolist()


def data_uri(picture: np.ndarray, suffix: str) -> str:
    """Return a picture as a data URI.

    Args:
        picture: (H, W, 3) RGB or (H, W, 4) RGBA, uint8.
        suffix: '.png', which keeps every value, or '.jpg', which is smaller.
    """
    order = [2, 1, 0, 3][:picture.shape[2]]
    options = [cv2.IMWRITE_JPEG_QUALITY, 88] if suffix == JPEG else []
    _, data = cv2.imencode(
        suffix, np.ascontiguousarray(picture[..., order]), options)
    kind = 'jpeg' if suffix == JPEG else 'png'
    return (f'data:image/{kind};base64,'
            + base64.b64encode(data.tobytes()).decode())
