"""Pictures of the annotation in a data sample.

All pictures are (H, W, 3) uint8 RGB arrays.
"""
import textwrap
from typing import Any, Dict, List, Optional, Sequence

import cv2
import numpy as np
import torch

from mmpixsort.functional.instances.id_masks import paint_masks
from mmpixsort.visualization.panels import outline_ids, paint_labels

from .anchors import Anchors

VIEWS = ('image', 'labels', 'instances', 'regions', 'anchors', 'nouns')
REGIONS = ('gt_overseg', 'gt_groups')
FONT = 13  # pixels
LINE = 17  # pixels from one line of text to the next


def label_map(sample: Any) -> Optional[np.ndarray]:
    """Return the classes (H, W) of a sample of mmseg or mmdet, if any."""
    if 'gt_sem_seg' not in sample:
        return None
    maps = sample.gt_sem_seg
    labels = (maps.data if 'data' in maps else maps.sem_seg)[0]
    return labels.numpy().astype(np.int64)


def instance_map(sample: Any) -> Optional[np.ndarray]:
    """Return the instances (H, W) of a sample, 0 for none, if it has any."""
    if 'gt_instance_map' in sample:
        return sample.gt_instance_map.data[0].numpy()
    if 'gt_instances' in sample and 'masks' in sample.gt_instances:
        masks = sample.gt_instances.masks.to_ndarray()
        return paint_masks(torch.from_numpy(masks)).numpy()
    return None


def region_map(sample: Any) -> Optional[np.ndarray]:
    """Return the regions (H, W) of a sample, -1 for none, if it has any."""
    for name in REGIONS:
        if name in sample:
            return sample.get(name).data[0].numpy()
    return None


def annotation_views(image: np.ndarray, sample: Any, palette: Sequence,
                     anchors: Optional[Anchors] = None
                     ) -> Dict[str, np.ndarray]:
    """Return the views that a sample has the annotation for, by title.

    Args:
        image: Picture of the image.
        sample: Data sample of mmseg or mmdet.
        palette: Colours of the classes; empty: colours far apart.
        anchors: Anchors of the image.

    Returns:
        Pictures in the order of `VIEWS`; a title starts with the name of its
        view.
    """
    views = dict(image=image)
    labels = label_map(sample)
    if labels is not None:
        views['labels'] = paint_labels(labels, palette)
    instances = instance_map(sample)
    if instances is not None:
        count = len(np.unique(instances[instances > 0]))
        views[f'instances: {count}'] = outline_ids(
            _mixed(image, instances, instances > 0), instances)
    regions = region_map(sample)
    if regions is not None:
        count = len(np.unique(regions[regions >= 0]))
        views[f'regions: {count}'] = outline_ids(
            _mixed(image, regions, regions >= 0), regions)
    if anchors is not None:
        title = (f'anchors: {len(anchors.labels)}, '
                 f'{int(anchors.hard.sum())} hard')
        views[title] = draw_anchors(image, anchors, palette)
    return views


def _mixed(image: np.ndarray, ids: np.ndarray,
           shown: np.ndarray) -> np.ndarray:
    """Colour the image by ids (H, W) where `shown`, half transparent."""
    image = cv2.resize(image, ids.shape[::-1])
    colours = paint_labels(ids.astype(np.int64) % 255, ())
    return np.where(shown[..., None], image // 2 + colours // 2, image)


def draw_anchors(image: np.ndarray, anchors: Anchors,
                 palette: Sequence) -> np.ndarray:
    """Draw anchors as dots in the colour of their class.

    A hard anchor is a square with a white border, another one a dot with a
    grey border.
    """
    picture = np.ascontiguousarray(image // 2)
    height, width = picture.shape[:2]
    radius = max(2, round(width / 160))
    table = np.arange(256)[None]
    colours = paint_labels(table, palette)[0].tolist()
    for (x, y), label, hard in zip(anchors.places.tolist(),
                                   anchors.labels.tolist(),
                                   anchors.hard.tolist()):
        x, y = int(x * width), int(y * height)
        if hard:
            corners = (x - radius, y - radius), (x + radius, y + radius)
            cv2.rectangle(picture, *corners, colours[label], -1)
            cv2.rectangle(picture, *corners, (255, 255, 255), 1)
        else:
            cv2.circle(picture, (x, y), radius, colours[label], -1,
                       cv2.LINE_AA)
            cv2.circle(picture, (x, y), radius, (170, 170, 170), 1,
                       cv2.LINE_AA)
    return picture


def noun_lines(sample: Any) -> List[str]:
    """Return the caption of a sample and its nouns as lines, if any."""
    lines = []
    caption = sample.metainfo.get('caption')
    if caption:
        lines.append(f'caption: {caption}')
    for name in ('nouns', 'caption_nouns'):
        if name in sample.metainfo:
            words = ', '.join(sample.metainfo[name]) or 'none'
            lines.append(f'{name.replace("_", " ")}: {words}')
    return lines


def write_below(picture: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """Add lines of text below a picture; long ones are wrapped.

    The letters are those of matplotlib's font, which has most alphabets.
    """
    from matplotlib.font_manager import findfont
    from PIL import Image, ImageDraw, ImageFont
    if not lines:
        return picture
    width = picture.shape[1]
    wrapped = [part for line in lines for part in textwrap.wrap(
        line, max(8, int(width / (FONT * .58)))) or ['']]
    strip = Image.new('RGB', (width, LINE * len(wrapped) + 4), 'white')
    font = ImageFont.truetype(findfont('DejaVu Sans'), FONT)
    drawing = ImageDraw.Draw(strip)
    for number, line in enumerate(wrapped):
        drawing.text((3, 2 + LINE * number), line, 'black', font)
    return np.concatenate([picture, np.asarray(strip)])
