"""Store a bank under construction in parts, so that a build can continue.

A part is a file with the rows of consecutive images. It does not depend on
the number of processes or on interruptions. The final bank is therefore the
same, byte for byte, however often the build was interrupted.
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

PART_IMAGES = 16  # images in a part; an interruption loses unfinished parts


def open_folder(folder: Path, settings: Dict) -> None:
    """Create the folder of the parts, or check that it fits this build.

    Args:
        folder: Folder of the parts.
        settings: Settings that the rows depend on, of JSON types.

    Raises:
        ValueError: If the folder contains parts of another build.
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
    """Split the images into consecutive ranges, one for each part."""
    return [
        range(start, min(start + PART_IMAGES, num_images))
        for start in range(0, num_images, PART_IMAGES)
    ]


def part_path(folder: Path, images: range) -> Path:
    """Return the path of the part that holds the given images."""
    return folder / f'part_{images.start:08d}.npz'


def write_part(folder: Path, images: range,
               rows: List[ImageRows]) -> None:
    """Write a part, completely or not at all.

    Args:
        folder: Folder of the parts.
        images: Indices of the images of the part.
        rows: Rows of each of these images.
    """
    counts = torch.tensor([len(r.labels) for r in rows])
    save_tensors(part_path(folder, images), dict(
        zip(ImageRows._fields, map(torch.cat, zip(*rows))), counts=counts))


def read_parts(folder: Path,
               num_images: int) -> Iterator[Tuple[int, ImageRows]]:
    """Yield the index and the rows of every image, in order.

    Args:
        folder: Folder of the parts.
        num_images: Number of images of the whole bank.

    Raises:
        ValueError: If a part is truncated or altered.
    """
    for images in part_ranges(num_images):
        path = part_path(folder, images)
        with reading(path, 'a part of a bank; start anew with --restart'):
            part, _ = load_tensors(path, ('counts', *ImageRows._fields))
            counts = part.pop('counts').tolist()
            fields = [value.split(counts) for value in part.values()]
        for image, *rows in zip(images, *fields):
            yield image, ImageRows(*rows)


def remove_folder(folder: Path) -> None:
    """Remove the folder of the parts with all its files."""
    shutil.rmtree(folder, ignore_errors=True)
