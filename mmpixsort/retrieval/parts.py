"""Parts of a bank on disk, so that a long build can go on.

A part holds the rows of a run of images, and depends neither on the number
of processes nor on what was built before: the joined bank is the same, byte
by byte, however often the build was cut off.
"""
import json
import shutil
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import torch

from mmpixsort.utils.files import write_whole
from mmpixsort.utils.reading import reading
from mmpixsort.utils.table_file import load_tensors, save_tensors

from .build import ImageRows

PART_IMAGES = 16  # images of a part: what a cut-off build loses at most


def open_folder(folder: Path, settings: Dict) -> None:
    """Make the folder of the parts, or check that it is of the same build.

    Raises:
        ValueError: When it holds parts of another build.
    """
    note = folder / 'settings.json'
    text = json.dumps(settings, sort_keys=True)
    if note.exists() and note.read_text() != text:
        raise ValueError(
            f'{str(folder)!r} holds parts of a bank with other weights, '
            'images or settings: remove the folder (--restart) or choose '
            'another `out`')
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(note, text)


def part_ranges(num_images: int) -> List[range]:
    """Cut the images into runs."""
    return [
        range(start, min(start + PART_IMAGES, num_images))
        for start in range(0, num_images, PART_IMAGES)
    ]


def part_path(folder: Path, images: range) -> Path:
    """Return the file of a part."""
    return folder / f'part_{images.start:08d}.npz'


def write_part(folder: Path, images: range,
               rows: List[ImageRows]) -> None:
    """Write the rows of a run of images, whole or not at all."""
    counts = torch.tensor([len(r.labels) for r in rows])
    save_tensors(part_path(folder, images), dict(
        zip(ImageRows._fields, map(torch.cat, zip(*rows))), counts=counts))


def read_parts(folder: Path,
               num_images: int) -> Iterator[Tuple[int, ImageRows]]:
    """Yield number and rows of every image."""
    for images in part_ranges(num_images):
        path = part_path(folder, images)
        with reading(path, 'a part of a bank; start anew with --restart'):
            part, _ = load_tensors(path, ('counts', *ImageRows._fields))
            counts = part.pop('counts').tolist()
            fields = [value.split(counts) for value in part.values()]
        for image, *rows in zip(images, *fields):
            yield image, ImageRows(*rows)


def remove_folder(folder: Path) -> None:
    """Remove the parts."""
    shutil.rmtree(folder, ignore_errors=True)
