"""Define, check, read and write banks of instances with their context.

Shapes: M instances, D embedding dimensions, E dimensions of the baseline
feature, C classes.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, NamedTuple, Union

import torch
from torch import Tensor

from mmpixsort.metrics.context_consistency import InstanceBank
from mmpixsort.utils.table_file import read_table, write_table

VERSION = 2
KIND = 'instances'


class InstanceRows(NamedTuple):
    """Instances of a bank, one per row.

    Attributes:
        embeddings: Mean embeddings (M, D) of the instances, float32; unit
            rows if the embeddings of the head are unit vectors.
        baseline: Another feature (M, E) of the instances for comparison,
            unit rows in float32.
        classes: Classes (M,), int64 indices into `meta['classes']`.
        image_ids: Images (M,), int64 indices into `meta['images']`.
        numbers: Numbers (M,) of the instances within their image, int64 in
            [1, n].
        boxes: Bounding boxes (M, 4), int64 x1, y1, x2, y2 in pixels of the
            image, end exclusive.
        areas: Numbers of pixels (M,), int64.
        histograms: Class histograms (M, C) of the surroundings of the
            instances, float32; see `context_histograms`.
    """

    embeddings: Tensor
    baseline: Tensor
    classes: Tensor
    image_ids: Tensor
    numbers: Tensor
    boxes: Tensor
    areas: Tensor
    histograms: Tensor

    def pick(self, rows: Tensor) -> 'InstanceRows':
        """Return the instances at the given indices or bool mask of rows."""
        return InstanceRows(*(part[rows] for part in self))


FLOATS = ('embeddings', 'baseline', 'histograms')


@dataclass(frozen=True)
class StoredInstances:
    """Bank of instances with its metadata, as a file stores it.

    Attributes:
        rows: Instances of the bank.
        meta: Dict of JSON types with 'classes' (with the background if the
            network predicts it), 'images', 'rules', 'split', 'fingerprint'
            of the weights, 'checkpoint' and 'embed_dims'.
    """

    rows: InstanceRows
    meta: Dict

    def __len__(self) -> int:
        return len(self.rows.classes)

    def bank(self, *, baseline: bool = False) -> InstanceBank:
        """Return the bank in the form that `score_context` needs.

        Args:
            baseline: Whether the bank holds the baseline features instead of
                the embeddings.
        """
        rows = self.rows
        return InstanceBank(
            rows.baseline if baseline else rows.embeddings, rows.classes,
            rows.image_ids, rows.histograms)


def join_instances(parts: list) -> InstanceRows:
    """Join the instances of several images in the order of the images."""
    return InstanceRows(*map(torch.cat, zip(*parts)))


def write_instances(stored: StoredInstances, path: Union[str, Path]) -> None:
    """Write a bank of instances, completely or not at all.

    The files of equal banks have equal bytes.

    Args:
        stored: Bank to write.
        path: Path of the file. The ending .npz selects NumPy's format, any
            other ending safetensors.

    Raises:
        ValueError: If the bank is invalid.
        ImportError: If safetensors is needed and not installed.
    """
    check_instances(stored)
    write_table(path, stored.rows._asdict(),
                dict(stored.meta, version=VERSION, kind=KIND))


def read_instances(path: Union[str, Path]) -> StoredInstances:
    """Read and check a bank of instances.

    Args:
        path: Path of a file that :func:`write_instances` wrote.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is truncated, altered or not a bank of
            instances.
        ImportError: If safetensors is needed and not installed.
    """
    tensors, meta = read_table(
        path, InstanceRows._fields, what='a bank of instances',
        remedy='make one with tools/retrieve_instances.py build')
    kind = meta.pop('kind', None), meta.pop('version', None)
    if kind != (KIND, VERSION):
        raise ValueError(f'{str(path)!r} must be of kind {(KIND, VERSION)}, '
                         f'got {kind}; build it anew')
    return check_instances(StoredInstances(InstanceRows(**tensors), meta))


def check_instances(stored: StoredInstances) -> StoredInstances:
    """Return the bank after a check of its shapes, data types and values.

    Raises:
        ValueError: If the bank is invalid; the message names the field.
    """
    rows, meta = stored.rows, stored.meta
    count = len(stored)
    if count == 0:
        raise ValueError(
            'a bank must hold at least one instance, got none; check that '
            'the annotation is loaded and that `min_area` is not too large')
    widths = dict(
        embeddings=meta['embed_dims'], histograms=len(meta['classes']),
        baseline=rows.baseline.shape[-1], boxes=4)
    for name, value in rows._asdict().items():
        shape = (count, widths[name]) if name in widths else (count, )
        dtype = torch.float32 if name in FLOATS else torch.int64
        if tuple(value.shape) != shape or value.dtype != dtype:
            raise ValueError(f'`{name}` must be {dtype} of shape {shape}, '
                             f'got {value.dtype} of {tuple(value.shape)}')
        if not value.isfinite().all():
            bad = (~value.isfinite().all(1)).nonzero().flatten()
            raise ValueError(
                f'`{name}` of a bank must be finite; row {int(bad[0])} is '
                f'not (invalid rows in all: {len(bad)})')
    for name, names in (('classes', 'classes'), ('image_ids', 'images')):
        value, limit = getattr(rows, name), len(meta[names])
        if value.min() < 0 or value.max() >= limit:
            raise ValueError(f'`{name}` must lie in [0, {limit}), got '
                             f'{int(value.min())} to {int(value.max())}')
    return stored


def check_fits_detector(stored: StoredInstances, *, fingerprint: str) -> None:
    """Raise ValueError unless a bank was made with the loaded weights.

    Args:
        stored: Bank that is going to be used.
        fingerprint: Fingerprint of the weights of the detector.
    """
    if stored.meta['fingerprint'] != fingerprint:
        raise ValueError(
            'the bank must be made with the loaded weights (fingerprint '
            f'{fingerprint}), got one made with {stored.meta["fingerprint"]}: '
            'its rows would not be comparable; build it with '
            'tools/retrieve_instances.py build CONFIG CHECKPOINT')
