"""Segment every image of a folder into regions, for training without labels.

Existing files are skipped, so an interrupted run continues.

Examples:
    python tools/dataset_converters/oversegment.py data/images data/regions
    python tools/dataset_converters/oversegment.py data/ucm data/regions \\
        --method contours --threshold 32
"""
import argparse
import sys
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import List

import cv2
import numpy as np

from mmpixsort.datasets.id_maps import read_id_image
from mmpixsort.datasets.map_owners import claim_maps
from mmpixsort.datasets.oversegment import (contour_segments,
                                            felzenszwalb_segments,
                                            read_segments, slic_segments,
                                            write_segments)
from mmpixsort.utils.command import errors_as_text
from mmpixsort.utils.files import remove_leftovers
from mmpixsort.utils.progress import tracked

ENDINGS = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=Path, help='folder of images')
    parser.add_argument('out', type=Path, help='folder to write maps to')
    parser.add_argument(
        '--method', default='felzenszwalb',
        choices=('felzenszwalb', 'slic', 'contours'),
        help='algorithm; for contours, the images must be ultrametric contour '
        'maps of double size (default: %(default)s)')
    parser.add_argument(
        '--scale', type=float, default=200.,
        help='for felzenszwalb: a larger scale gives larger regions')
    parser.add_argument(
        '--num-segments', type=int, default=100,
        help='for slic: approximate number of regions')
    parser.add_argument(
        '--threshold', type=float, default=32.,
        help='for contours: strength above which a contour separates regions')
    parser.add_argument(
        '--num-workers', type=int, default=1, help='number of processes')
    return parser.parse_args()


def cut(image: np.ndarray, args: argparse.Namespace) -> np.ndarray:
    if args.method == 'felzenszwalb':
        return felzenszwalb_segments(image, scale=args.scale)
    if args.method == 'slic':
        return slic_segments(image, num_segments=args.num_segments)
    return contour_segments(image, args.threshold)


def map_path(path: Path, args: argparse.Namespace) -> Path:
    """Return the path of the map of an image."""
    return args.out / path.relative_to(args.images).with_suffix('.png')


def check_names(paths: List[Path], args: argparse.Namespace) -> None:
    """Raise ValueError if two images would get the same map.

    Images of earlier runs that wrote to the same folder count too.
    """
    owners = {}
    for path in paths:
        other = owners.setdefault(map_path(path, args), path)
        if other != path:
            raise ValueError(f'{other} and {path} would share the map '
                             f'{map_path(path, args)}: rename one of them')
    claim_maps(args.out, {
        target: str(path) for target, path in owners.items()})


def read_input(path: Path, args: argparse.Namespace) -> np.ndarray:
    """Read an image (H, W, 3), uint8 BGR, or contour strengths (H, W)."""
    if args.method == 'contours':
        image = read_id_image(path)
        if image.values.ndim != 2 or image.alpha is not None or (
                image.palette is not None):
            raise ValueError(f'{path} must hold contours as one channel of '
                             f'grey, got {image}')
        return image.values
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f'{path} cannot be read as an image')
    return image


def convert(path: Path, args: argparse.Namespace) -> int:
    """Write the map of an image, and return its number of regions."""
    out = map_path(path, args)
    if out.exists():
        return int(read_segments(out).max()) + 1
    ids = cut(read_input(path, args), args)
    try:
        write_segments(out, ids)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return int(ids.max()) + 1


def main() -> None:
    args = parse_args()
    paths = sorted(path for path in args.images.rglob('*')
                   if path.suffix.lower() in ENDINGS)
    if not paths:
        sys.exit(f'error: no image in {args.images}')
    work = partial(convert, args=args)
    with errors_as_text():
        check_names(paths, args)
        remove_leftovers(args.out)
        if args.num_workers > 1:
            with Pool(args.num_workers) as pool:
                counts = list(tracked(
                    pool.imap(work, paths), 'cutting', total=len(paths)))
        else:
            counts = [work(path) for path in tracked(paths, 'cutting')]
    print(f'{len(paths)} images, {np.mean(counts):.1f} regions on average, '
          f'in {args.out}')


if __name__ == '__main__':
    main()
