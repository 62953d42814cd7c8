"""A bank of instances with descriptions of their context, and its file.

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
    """Instances, one a row.

    Attributes:
        embeddings: Mean embeddings (M, D) of the instances, float32; unit
            rows if the embeddings of the head are unit vectors.
        baseline: Unit rows (M, E) of another feature for comparison,
            float32.
        classes: Classes (M,), int64 indices into `meta['classes']`.
        image_ids: Images (M,), int64 indices into `meta['images']`.
        numbers: Numbers (M,) of the instances within their image, int64 in
            [1, n].
        boxes: Bounding boxes (M, 4), int64 x1, y1, x2, y2 in pixels of the
            image, end exclusive.
        areas: Numbers of pixels (M,), int64.
        histograms: Class histograms (M, C) of the surroundings, float32; see
            `context_histograms`.
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
        """Return the instances of the given rows."""
        return InstanceRows(*(part[rows] for part in self))


FLOATS = ('embeddings', 'baseline', 'histograms')


@dataclass(frozen=True)
class StoredInstances:
    """Contents of the file of a bank of instances.

    Attributes:
        rows: Instances of the bank.
        meta: Dict of JSON types with 'classes' (including background, if the
            network has it), 'images', 'rules', 'split', 'fingerprint' of the
            weights, 'checkpoint' and 'embed_dims'.
    """

    rows: InstanceRows
    meta: Dict

    def __len__(self) -> int:
        return len(self.rows.classes)

    def bank(self, *, baseline: bool = False) -> InstanceBank:
        """Return the bank in the form that `score_context` takes.

        Args:
            baseline: Whether to use the baseline feature in place of the
                embedding.
        """
        rows = self.rows
        return InstanceBank(
            rows.baseline if baseline else rows.embeddings, rows.classes,
            rows.image_ids, rows.histograms)


def join_instances(parts: list) -> InstanceRows:
    """Join the instances of several images, in their order."""
    return InstanceRows(*map(torch.cat, zip(*parts)))


def write_instances(stored: StoredInstances, path: Union[str, Path]) -> None:
    """Write a bank of instances, completely or not at all.

    Equal banks give files of equal bytes.

    Raises:
        ValueError: If the bank is invalid.
        ImportError: If safetensors is not installed.
    """
    check_instances(stored)
    write_table(path, stored.rows._asdict(),
                dict(stored.meta, version=VERSION, kind=KIND))


def read_instances(path: Union[str, Path]) -> StoredInstances:
    """Read and check a bank of instances.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is truncated, altered or not a bank of
            instances.
        ImportError: If safetensors is not installed.
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
    """Return the bank, or raise ValueError that names what is wrong."""
    rows, meta = stored.rows, stored.meta
    count = len(stored)
    if count == 0:
        raise ValueError(
            'a bank must hold at least one instance, got none; is the '
            'annotation read, and is `min_area` below the area of things?')
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
                f'`{name}` of a bank must be finite; row {int(bad[0])} and '
                f'{len(bad)} in all are not')
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
            'the bank must be of the weights that are loaded (fingerprint '
            f'{fingerprint}), got one of {stored.meta["fingerprint"]}: its '
            'rows would not be comparable; build it with '
            'tools/retrieve_instances.py build CONFIG CHECKPOINT')
