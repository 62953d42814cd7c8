"""Edit a bank of prototypes without training, and describe it.

Functions that edit a bank return a new one.
"""
from dataclasses import replace
from typing import Dict, List, Mapping, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from mmpixsort.functional.checks import check_count
from mmpixsort.utils.files import ends_with_path

from .bank_file import PrototypeBank, check_bank
from .index import import_faiss


def add(bank: PrototypeBank, new: PrototypeBank,
        classes: Sequence[str]) -> PrototypeBank:
    """Append the rows of another bank to a bank.

    Args:
        bank: Bank to extend.
        new: Bank with the rows to append, made with the same weights. Its
            labels are indices into `classes`.
        classes: Names of the classes of `new`. Names that are unknown to
            `bank` become new classes.

    Raises:
        ValueError: If the weights or the dimensions differ.
    """
    return merge([bank, replace(new, meta=dict(new.meta, classes=list(
        classes), palette=[]))])


def remove(bank: PrototypeBank,
           *,
           rows: Optional[Sequence[int]] = None,
           image: Optional[str] = None,
           name: Optional[str] = None) -> PrototypeBank:
    """Remove given rows, all rows of an image, or all rows of a class.

    Rows that meet any of the criteria are removed. The lists of classes and
    images stay the same, so that labels keep their meaning.

    Args:
        bank: Bank to change.
        rows: Indices of rows.
        image: Path of an image, or its last parts; see :func:`images_named`.
        name: Name of a class.

    Raises:
        ValueError: If no row meets a criterion, no row would be left, or a
            row, image or class does not exist.
    """
    gone = torch.zeros(len(bank), dtype=torch.bool)
    if rows is not None:
        wrong = [row for row in rows if not 0 <= row < len(bank)]
        if wrong:
            raise ValueError(f'`rows` must lie in [0, {len(bank)}), got '
                             f'{wrong}')
        gone[list(rows)] = True
    if image is not None:
        matched = images_named(bank, image)
        ids = [i for i, path in enumerate(bank.meta['images'])
               if path in matched]
        gone |= torch.isin(bank.image_ids, torch.tensor(ids).long())
    if name is not None:
        gone |= bank.labels == class_index(bank, name)
    if not gone.any():
        raise ValueError('`rows`, `image` or `name` must match a segment, '
                         'got no match')
    return check_bank(take(bank, ~gone))


def images_named(bank: PrototypeBank, image: str) -> Dict[str, int]:
    """Return the numbers of segments of the images that a path refers to.

    Args:
        bank: Bank to search.
        image: Path of an image, or the last parts of it: 'val/1.jpg' and
            '1.jpg' both refer to 'data/val/1.jpg', but '1.jpg' does not
            refer to 'data/val/11.jpg'.

    Returns:
        A dict from the path of each such image to its number of segments.

    Raises:
        ValueError: If the bank has no such image.
    """
    counts = bank.image_ids.bincount(minlength=len(bank.meta['images']))
    found: Dict[str, int] = {}
    for path, count in zip(bank.meta['images'], counts.tolist()):
        if ends_with_path(path, image):
            found[path] = found.get(path, 0) + count
    if not found:
        raise ValueError(
            '`image` must be the path, or the last folders and name, of one '
            f'of the {len(counts)} images of the bank, such as '
            f'{bank.meta["images"][:3]}, got {image!r}')
    return found


def take(bank: PrototypeBank, chosen: Tensor) -> PrototypeBank:
    """Return the bank with only the rows of a bool mask (M,) or an index."""
    return replace(
        bank, **{k: v[chosen] for k, v in bank.tensors().items()})


def class_index(bank: PrototypeBank, name: str) -> int:
    """Return the label of the class with the given name.

    Raises:
        ValueError: If the bank has no such class.
    """
    if name not in bank.meta['classes']:
        raise ValueError(f'class must be one of {bank.meta["classes"]}, got '
                         f'{name!r}')
    return bank.meta['classes'].index(name)


def relabel(bank: PrototypeBank,
            *,
            new: str,
            old: Optional[str] = None,
            rows: Optional[Sequence[int]] = None) -> PrototypeBank:
    """Give segments another class, which may be a new one.

    Args:
        bank: Bank to change.
        new: Name of the class that the segments get.
        old: Name of the class that all changed segments have now;
            alternative to `rows`.
        rows: Indices of the rows to change; alternative to `old`.

    Raises:
        ValueError: If both or none of `old` and `rows` are given, or the
            class or a row does not exist.
    """
    if (old is None) == (rows is None):
        raise ValueError('exactly one of `old` and `rows` must be given, got '
                         f'{old!r} and {rows!r}')
    meta = with_class(bank.meta, new)
    labels = bank.labels.clone()
    if old is not None:
        labels[bank.labels == class_index(bank, old)] = (
            meta['classes'].index(new))
    else:
        wrong = [row for row in rows if not 0 <= row < len(bank)]
        if wrong:
            raise ValueError(f'`rows` must lie in [0, {len(bank)}), got '
                             f'{wrong}')
        labels[list(rows)] = meta['classes'].index(new)
    return check_bank(replace(bank, labels=labels, meta=meta))


def cluster(bank: PrototypeBank, num_clusters: int,
            *, seed: int = 0) -> PrototypeBank:
    """Replace the classes of a bank by clusters of its features.

    The features are clustered by the spherical k-means of FAISS, in which
    segments are weighted by area. Together with `ClusterMatchingMetric` this
    scores an embedding that was learned without classes.

    Args:
        bank: Bank to change; its labels are not used.
        num_clusters: Number of clusters.
        seed: Seed of the random draw of the first centres.

    Raises:
        ImportError: If FAISS is not installed.
        ValueError: If there are more clusters than segments.
    """
    check_count('num_clusters', num_clusters)
    if num_clusters > len(bank):
        raise ValueError(f'`num_clusters` must be at most {len(bank)}, the '
                         f'segments of the bank, got {num_clusters}')
    rows = bank.features.float().numpy()
    kmeans = import_faiss().Kmeans(
        rows.shape[1], num_clusters, niter=50, nredo=5, seed=seed,
        spherical=True, max_points_per_centroid=len(rows),
        min_points_per_centroid=1)
    kmeans.train(rows, weights=bank.areas.float().numpy())
    _, labels = kmeans.index.search(rows, 1)
    meta = dict(bank.meta, palette=[],
                classes=[f'cluster {k}' for k in range(num_clusters)])
    return check_bank(replace(
        bank, labels=torch.from_numpy(labels[:, 0]).to(bank.labels.dtype),
        meta=meta))


def class_colour(number: int) -> List[int]:
    """Return a colour (R, G, B) for a class index.

    Classes with close indices get clearly different colours.
    """
    return [64 + (number * 2654435761 >> s) % 192 for s in (8, 16, 24)]


def full_palette(meta: Dict) -> List[List[int]]:
    """Return a colour (R, G, B) for each class of a bank.

    Colours that the palette lacks are generated.

    Args:
        meta: Entries `meta` of the bank.
    """
    given = list(meta.get('palette') or [])
    return given + [class_colour(number) for number in range(
        len(given), len(meta['classes']))]


def with_class(meta: Dict, name: str) -> Dict:
    """Return `meta` with a class added if it is new.

    The class gets a colour if all other classes have one.
    """
    classes, palette = list(meta['classes']), list(meta.get('palette', []))
    if name not in classes:
        if len(palette) == len(classes):
            palette.append(class_colour(len(classes)))
        classes.append(name)
    return dict(meta, classes=classes, palette=palette)


def merge(banks: Sequence[PrototypeBank]) -> PrototypeBank:
    """Join banks made with the same weights, matching classes by name.

    Images are matched by name too. If several banks contain a segment with
    the same image, box, class and feature, it is kept only once, because it
    would otherwise vote twice. If banks give a segment different classes, it
    is kept once with each class.

    Args:
        banks: One or more banks.

    Raises:
        ValueError: If the weights or the dimensions differ.
    """
    first = banks[0]
    meta = first.meta
    images: Dict[str, int] = {}
    joined, known = [], np.empty(0, bytes)
    for bank in banks:
        for key in ('fingerprint', 'embed_dims'):
            if bank.meta[key] != meta[key]:
                raise ValueError(
                    f'banks must have the same {key}, got {meta[key]} and '
                    f'{bank.meta[key]}; build both with one checkpoint')
        for label in bank.labels.unique().tolist():
            meta = with_class(meta, bank.meta['classes'][label])
        for name in bank.meta['images']:
            images.setdefault(name, len(images))
        tensors = dict(
            bank.tensors(),
            features=bank.features.to(first.features.dtype),
            labels=_renumber(bank.labels, bank.meta['classes'], {
                name: i for i, name in enumerate(meta['classes'])}),
            image_ids=_renumber(bank.image_ids, bank.meta['images'], images))
        keys = _row_keys(tensors)
        new = torch.from_numpy(~np.isin(keys, known))
        joined.append({k: v[new] for k, v in tensors.items()})
        known = np.concatenate([known, keys])
    tensors = {k: torch.cat([part[k] for part in joined]) for k in joined[0]}
    return check_bank(
        PrototypeBank(**tensors, meta=dict(meta, images=list(images))))


def _renumber(values: Tensor, names: Sequence[str],
              numbers: Mapping[str, int]) -> Tensor:
    """Replace indices into a list of names by new indices of these names.

    Args:
        values: Indices into `names`.
        names: Old list of names.
        numbers: Dict from names to new indices. Names that no value refers
            to may be missing.
    """
    return torch.tensor([numbers.get(name, -1) for name in names])[values]


def _row_keys(tensors: Dict[str, Tensor]) -> np.ndarray:
    """Return keys (M,) that are equal for equal segments, as bytes."""
    numbers = [tensors[name].reshape(len(tensors['labels']), -1).long()
               for name in ('image_ids', 'boxes', 'labels')]
    rows = torch.cat([
        part.contiguous().view(torch.uint8)
        for part in (*numbers, tensors['features'])], 1).numpy()
    return np.ascontiguousarray(rows).view(f'S{rows.shape[1]}')[:, 0]


def info(bank: PrototypeBank) -> str:
    """Return a text that describes a bank, with a table of its classes."""
    names = bank.meta['classes']
    counts = bank.labels.bincount(minlength=len(names)).tolist()
    purity = torch.zeros(len(names)).index_add_(0, bank.labels, bank.purity)
    width = max(map(len, names))
    lines = [
        f'{len(bank)} segments of {len(bank.meta["images"])} images, '
        f'{bank.features.shape[1]} dims, '
        f'{str(bank.features.dtype).removeprefix("torch.")}',
        f'weights {bank.meta["fingerprint"]}',
        f'clustering {bank.meta["clustering"]}', '',
        f'{"class":<{width}}  segments  mean purity'
    ]
    for name, count, total in zip(names, counts, purity.tolist()):
        mean = f'{total / count:11.3f}' if count else f'{"-":>11}'
        lines.append(f'{name:<{width}}  {count:8d}  {mean}')
    return '\n'.join(lines)
