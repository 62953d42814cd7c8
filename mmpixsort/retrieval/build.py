"""Make the rows of a bank from annotated images.

Shapes: D embedding dimensions, H W size of the image, h w size of the
embedding map that is segmented, S segments, C classes.
"""
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from mmpixsort.functional.checks import (check_choice, check_fraction,
                                         check_positive)
from mmpixsort.functional.segments.prototypes import segment_sums

from .bank_file import PrototypeBank

PIXELS = ('majority', 'all')
VOID_RULES = ('drop_pixels', 'drop_segments')
FORMAT = dict(float16=torch.float16, float32=torch.float32)


class ImageRows(NamedTuple):
    """The segments of one image, as rows of a bank.

    Attributes:
        features: Prototypes (S, D) of the segments, unit rows.
        labels: Majority classes (S,) of the segments.
        boxes: Bounding boxes (S, 4), x1, y1, x2, y2 in pixels of the
            original image, end exclusive.
        areas: Approximate numbers of pixels (S,) in the original image.
        purity: Fractions (S,) of the labelled pixels of each segment that
            have its label.
    """

    features: Tensor
    labels: Tensor
    boxes: Tensor
    areas: Tensor
    purity: Tensor


class RowRules(NamedTuple):
    """Rules by which segments become rows of a bank.

    Attributes:
        pixels: Pixels of a segment that are averaged into its prototype:
            'majority' for the pixels of its majority class (SegSort), or
            'all' (SPML).
        void: Treatment of pixels without a label: 'drop_pixels' leaves them
            out; 'drop_segments' leaves out segments in which they are the
            majority.
        min_purity: Purity in [0, 1] below which a segment is left out.
        scales: Factors by which the image is resized; each one adds separate
            rows.
        flip: Whether the mirrored image adds rows too.
    """

    pixels: str = 'majority'
    void: str = 'drop_pixels'
    min_purity: float = 0.
    scales: Tuple[float, ...] = (1., )
    flip: bool = False

    def check(self) -> 'RowRules':
        """Return the rules, or raise ValueError for a value out of range."""
        check_choice('pixels', self.pixels, PIXELS)
        check_choice('void', self.void, VOID_RULES)
        if self.min_purity:
            check_fraction('min_purity', self.min_purity)
        if not self.scales:
            raise ValueError('`scales` must hold at least one, got none')
        for scale in self.scales:
            check_positive('scales', scale)
        return self


@torch.no_grad()
def image_rows(embedding: Tensor, labels: Tensor, segmenter: nn.Module, *,
               num_classes: int, rules: RowRules) -> ImageRows:
    """Segment an annotated image and return its segments as rows of a bank.

    Args:
        embedding: Map of unit vectors (D, h, w).
        labels: Classes (H, W), integers; a value outside [0, num_classes)
            means that the pixel has no label.
        segmenter: Module that returns segment ids (B, h, w) for maps
            (B, D, h, w) and masks (B, h, w) of valid pixels.
        num_classes: Number of classes C.
        rules: Rules by which segments become rows.

    Returns:
        The rows on the CPU; an image without labels has none.
    """
    ids, small = cut_annotated(
        embedding, labels, segmenter, num_classes=num_classes,
        drop_void=rules.void == 'drop_pixels')
    count = segmenter.num_clusters
    table = _class_table(ids, small, count, num_classes + 1)
    most, majority = table.max(1)
    total = table.sum(1)
    bears = (small == majority[ids.clamp(min=0)]) & (ids >= 0)
    members = bears if rules.pixels == 'majority' else ids >= 0
    features = normalize(
        segment_sums(
            embedding.flatten(1).T,
            ids.masked_fill(~members, -1).flatten(), count), dim=1)
    purity = most / table[:, :num_classes].sum(1).clamp(min=1)
    kept = (total > 0) & (majority < num_classes) & (
        purity >= rules.min_purity)
    boxes = segment_boxes(ids, count, labels.shape)
    areas = (total * (labels.numel() / ids.numel())).round().long()
    areas = areas.clamp(min=1)
    return ImageRows(*(part[kept].cpu() for part in (
        features, majority, boxes, areas, purity)))


def cut_annotated(embedding: Tensor, labels: Tensor, segmenter: nn.Module,
                  *, num_classes: int,
                  drop_void: bool) -> Tuple[Tensor, Tensor]:
    """Segment an annotated image and resize its labels to the segments.

    Args:
        embedding: Map of unit vectors (D, h, w).
        labels: Classes (H, W), integers; a value outside [0, num_classes)
            means that the pixel has no label.
        segmenter: Module that returns segment ids (B, h, w) for maps
            (B, D, h, w) and masks (B, h, w) of valid pixels.
        num_classes: Number of classes C.
        drop_void: Whether pixels without a label are left out of the
            clustering.

    Returns:
        Segment ids (h, w), -1 for pixels in no segment, and labels (h, w), C
        for pixels without a label.
    """
    size = embedding.shape[1:]
    small = interpolate(labels[None, None].float(), size=size)[0, 0].long()
    small = small.masked_fill((small < 0) | (small >= num_classes),
                              num_classes)
    known = small < num_classes
    valid = known if drop_void else torch.ones_like(known)
    return segmenter(embedding[None], valid[None])[0], small


def _class_table(ids: Tensor, labels: Tensor, num_segments: int,
                 num_labels: int) -> Tensor:
    """Count the pixels (S, num_labels) of each label in each segment."""
    code = (ids * num_labels + labels)[ids >= 0]
    counts = code.bincount(minlength=num_segments * num_labels)
    return counts.view(num_segments, num_labels)


def segment_boxes(ids: Tensor, num_segments: int,
                  size: Sequence[int]) -> Tensor:
    """Return the bounding boxes of segments in pixels of the image.

    Args:
        ids: Segment ids (h, w), int64 in [0, S), -1 for pixels in no
            segment.
        num_segments: Number of segments S.
        size: Height H and width W of the image.

    Returns:
        Boxes (S, 4), int64 x1, y1, x2, y2, end exclusive.
    """
    ratio = [full / part for full, part in zip(size, ids.shape)]
    rows, columns = (
        torch.arange(side, device=ids.device) for side in ids.shape)
    slot = (ids + 1).flatten()
    ends = []
    for axis, line in enumerate((columns.expand_as(ids),
                                 rows[:, None].expand_as(ids))):
        scale = ratio[1 - axis]
        for reduce, shift in (('amin', 0), ('amax', 1)):
            end = line.new_zeros(num_segments + 1).scatter_reduce(
                0, slot, line.flatten(), reduce, include_self=False)
            ends.append(((end + shift) * scale).round().long())
    x1, x2, y1, y2 = ends
    return torch.stack([x1, y1, x2, y2], 1)[1:]


def flip_boxes(rows: ImageRows, width: int) -> ImageRows:
    """Return rows of a mirrored image with the boxes of the original image.

    Args:
        rows: Rows of the mirrored image.
        width: Width of the image in pixels.
    """
    x1, y1, x2, y2 = rows.boxes.unbind(1)
    return rows._replace(
        boxes=torch.stack([width - x2, y1, width - x1, y2], 1))


def join_rows(images: Sequence[Tuple[int, ImageRows]], *, names: List[str],
              meta: Dict, dtype: str = 'float16') -> PrototypeBank:
    """Join the rows of images into a bank, sorted by image.

    Args:
        images: Pairs of the index of an image and rows of this image. An
            image may occur several times; its rows keep their order.
        names: Names of all images.
        meta: Further entries of `meta` of the bank.
        dtype: Data type of the features, 'float16' or 'float32'.

    Raises:
        ValueError: If there is no row at all.
    """
    check_choice('dtype', dtype, tuple(FORMAT))
    images = sorted(images, key=lambda item: item[0])
    if not sum(len(rows.labels) for _, rows in images):
        raise ValueError('the images must have labelled segments, got none; '
                         'check that the annotation is loaded and that its '
                         'labels are below the number of classes')
    image_ids = torch.cat([
        torch.full((len(rows.labels), ), number) for number, rows in images
    ])
    parts = [torch.cat(part) for part in zip(*(rows for _, rows in images))]
    features, labels, boxes, areas, purity = parts
    return PrototypeBank(
        features=features.to(FORMAT[dtype]),
        labels=labels,
        image_ids=image_ids,
        boxes=boxes,
        areas=areas,
        purity=purity.float(),
        meta=dict(meta, images=list(names), embed_dims=features.shape[1]))


def share(num_images: int, rank: int, world_size: int) -> range:
    """Return the indices of the images that one process handles.

    Args:
        num_images: Number of all images.
        rank: Index of the process, from 0.
        world_size: Number of processes.
    """
    return range(rank, num_images, world_size)


def bank_meta(*, classes: Sequence[str], palette: Optional[Sequence],
              fingerprint: str, clustering: Dict, rules: RowRules) -> Dict:
    """Return the entries of `meta` that describe how a bank was made.

    Args:
        classes: Names of the classes.
        palette: Colours (R, G, B) of the classes; None if there are none.
        fingerprint: Fingerprint of the weights.
        clustering: Settings of the clustering.
        rules: Rules by which segments became rows.
    """
    return dict(
        classes=list(classes),
        palette=[list(map(int, colour)) for colour in palette or ()],
        fingerprint=fingerprint,
        clustering=clustering,
        rules={k: list(v) if isinstance(v, tuple) else v
               for k, v in rules._asdict().items()})
