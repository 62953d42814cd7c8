"""Convert the instances of COCO to semantic labels, for COCO-Object.

The label of background is 0, and the things have labels 1 to 80 in the order
of their category ids. Where two instances overlap, the smaller one is on top.
Existing files are skipped, so an interrupted run continues.

Example:
    python tools/dataset_converters/coco_object.py \\
        data/coco/annotations/instances_val2017.json \\
        data/coco/coco_object/val2017
"""
import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Dict, List

import numpy as np

from mmpixsort.utils.command import errors_as_text
from mmpixsort.utils.files import path_inside, write_image
from mmpixsort.utils.progress import tracked
from mmpixsort.utils.reading import check_entry, read_json

# keys that each entry of a part of the JSON file must have
KEYS = dict(
    images=('id', 'file_name', 'height', 'width'),
    categories=('id', ),
    annotations=('id', 'image_id', 'category_id', 'area', 'segmentation'))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'instances', type=Path, help='.json file of COCO instances')
    parser.add_argument('out', type=Path, help='folder to write labels to')
    return parser.parse_args()


def read_mask(entry: dict, size: tuple) -> np.ndarray:
    """Return the mask (H, W) of an instance, as bool."""
    from pycocotools import mask as coco_mask
    outline = entry['segmentation']
    if isinstance(outline, list):
        code = coco_mask.merge(coco_mask.frPyObjects(outline, *size))
    elif isinstance(outline['counts'], list):
        code = coco_mask.frPyObjects(outline, *size)
    else:
        code = outline
    return coco_mask.decode(code).astype(bool)


def paint(entries: List[dict], size: tuple,
          label_of: Dict[int, int]) -> np.ndarray:
    """Return the label map (H, W) of an image, uint8.

    Crowds are painted first, and then instances from large to small.
    """
    labels = np.zeros(size, np.uint8)
    order = sorted(entries, key=lambda entry: (
        -entry.get('iscrowd', 0), -entry['area'], entry['id']))
    for entry in order:
        if entry['segmentation']:
            labels[read_mask(entry, size)] = label_of[entry['category_id']]
    return labels


def convert(instances: Path, out: Path) -> None:
    """Write the label map of every image."""
    content = read_json(instances, 'annotations of COCO')
    if not isinstance(content, dict) or not {
            'images', 'annotations', 'categories'} <= content.keys():
        raise ValueError(f'{instances} must hold `images`, `annotations` and '
                         '`categories` of COCO instances')
    for part, keys in KEYS.items():
        for entry in content[part]:
            check_entry(entry, keys, f'each of the {part} of {instances}')
    ids = sorted(category['id'] for category in content['categories'])
    if len(ids) != 80:
        raise ValueError(f'{instances} must have the 80 categories of COCO, '
                         f'got {len(ids)}')
    label_of = {ident: label for label, ident in enumerate(ids, 1)}
    entries = defaultdict(list)
    for entry in content['annotations']:
        if entry['category_id'] not in label_of:
            raise ValueError(
                f'annotation {entry["id"]} of {instances} must have the id of '
                f'a category, got {entry["category_id"]!r}')
        entries[entry['image_id']].append(entry)
    skipped, share = 0, []
    for image in tracked(content['images'], 'painting'):
        path = path_inside(out, image['file_name']).with_suffix('.png')
        if path.exists():
            skipped += 1
            continue
        size = image['height'], image['width']
        labels = paint(entries[image['id']], size, label_of)
        share.append((labels > 0).mean())
        write_image(path, labels)
    covered = f', {np.mean(share):.1%} of the pixels things' if share else ''
    print(f'{len(share)} label maps written, {skipped} existed{covered}, '
          f'in {out}')


def main() -> None:
    args = parse_args()
    try:
        import pycocotools  # noqa: F401
    except ImportError:
        sys.exit('error: pycocotools is missing: pip install mmpixsort[det]')
    with errors_as_text():
        convert(args.instances, args.out)


if __name__ == '__main__':
    main()
