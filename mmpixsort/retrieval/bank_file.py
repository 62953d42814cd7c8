"""Define, check, read and write the bank of prototypes of segments.

Shapes: M rows, D embedding dimensions.

The format of the file is described in `mmpixsort/utils/table_file.py`.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Union

import torch
from torch import Tensor

from mmpixsort.utils.table_file import read_table, write_table

VERSION = 1
FIELDS = dict(
    features=None, labels=torch.int64, image_ids=torch.int64,
    boxes=torch.int64, areas=torch.int64, purity=torch.float32)
# maximum difference between 1 and the length of a row in half precision
TOLERANCE = 5e-3


@dataclass(frozen=True)
class PrototypeBank:
    """Bank of annotated segments, one per row.

    Attributes:
        features: Prototypes (M, D) of the segments, unit rows in float16 or
            float32.
        labels: Classes (M,) of the segments, int64 indices into
            `meta['classes']`.
        image_ids: Images (M,) of the segments, int64 indices into
            `meta['images']`.
        boxes: Bounding boxes (M, 4) of the segments, int64 x1, y1, x2, y2 in
            pixels of the image, end exclusive.
        areas: Numbers of pixels (M,) of the segments, int64.
        purity: Fractions (M,) of the labelled pixels of each segment that
            have its label, float32.
        meta: Dict of JSON types with 'classes', 'palette', 'images',
            'fingerprint' of the weights, 'clustering', 'embed_dims' and
            further entries.
    """

    features: Tensor
    labels: Tensor
    image_ids: Tensor
    boxes: Tensor
    areas: Tensor
    purity: Tensor
    meta: Dict

    def tensors(self) -> Dict[str, Tensor]:
        """Return the fields that are tensors."""
        return {name: getattr(self, name).contiguous() for name in FIELDS}

    def __len__(self) -> int:
        return len(self.labels)


def check_bank(bank: PrototypeBank) -> PrototypeBank:
    """Return the bank after a check of its shapes, data types and values.

    Raises:
        ValueError: If the bank is invalid; the message names the first
            invalid row.
    """
    count = len(bank.labels)
    if count == 0:
        raise ValueError('a bank must hold at least one segment, got none')
    if bank.features.dim() != 2 or bank.features.dtype not in (
            torch.float16, torch.float32):
        raise ValueError('`features` must be float16 or float32 of shape '
                         f'(M, D), got {bank.features.dtype} of shape '
                         f'{tuple(bank.features.shape)}')
    for name, dtype in FIELDS.items():
        value = getattr(bank, name)
        shape = (count, 4) if name == 'boxes' else (count, )
        if name != 'features' and (value.dtype != dtype
                                   or tuple(value.shape) != shape):
            raise ValueError(f'`{name}` must be {dtype} of shape {shape}, '
                             f'got {value.dtype} of {tuple(value.shape)}')
    _check_length(bank.features, count)
    features = bank.features.float()
    _refuse('features', ~features.isfinite().all(1), 'be finite')
    length = features.norm(dim=1)
    _refuse('features', (length - 1).abs() > TOLERANCE, 'have length 1',
            length)
    for name, names in (('labels', 'classes'), ('image_ids', 'images')):
        value, limit = getattr(bank, name), len(bank.meta[names])
        _refuse(name, (value < 0) | (value >= limit),
                f'lie in [0, {limit}), the {names} of the bank', value)
    return bank


def _check_length(features: Tensor, count: int) -> None:
    if len(features) != count:
        raise ValueError(f'`features` must have {count} rows, as `labels`, '
                         f'got {len(features)}')


def _refuse(name: str, bad: Tensor, must: str,
            value: Optional[Tensor] = None) -> None:
    """Raise an error about the first bad row, if there is one."""
    if bad.any():
        row = int(bad.nonzero()[0])
        got = '' if value is None else f', got {value[row].item():.6g}'
        raise ValueError(
            f'`{name}` of a bank must {must}; row {row} does not (invalid '
            f'rows in all: {int(bad.sum())}){got}; build the bank anew')


def check_fits(bank: PrototypeBank, *, fingerprint: str,
               embed_dims: int) -> None:
    """Raise ValueError unless a bank was made with the loaded weights.

    Args:
        bank: Bank that is going to be used.
        fingerprint: Fingerprint of the weights of the model.
        embed_dims: Number of embedding dimensions D of the model.
    """
    if bank.features.shape[1] != embed_dims:
        raise ValueError(
            f'the bank must have {embed_dims} dims, as many as the metric '
            f'head, got {bank.features.shape[1]}; build it with this config')
    if bank.meta['fingerprint'] != fingerprint:
        raise ValueError(
            'the bank must be made with the loaded weights (fingerprint '
            f'{fingerprint}), got one made with {bank.meta["fingerprint"]}: '
            'its rows would not be comparable; build it with '
            'tools/build_bank.py CONFIG CHECKPOINT')


def write_bank(bank: PrototypeBank, path: Union[str, Path]) -> None:
    """Write a bank, completely or not at all.

    The files of equal banks have equal bytes.

    Args:
        bank: Bank to write.
        path: Path of the file. The ending .npz selects NumPy's format, any
            other ending safetensors.

    Raises:
        ValueError: If the bank is invalid.
        ImportError: If safetensors is needed and not installed.
    """
    check_bank(bank)
    write_table(path, bank.tensors(), dict(bank.meta, version=VERSION))


def read_bank(path: Union[str, Path]) -> PrototypeBank:
    """Read and check a bank.

    Args:
        path: Path of a file that :func:`write_bank` wrote.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is truncated, altered or not a bank.
        ImportError: If safetensors is needed and not installed.
    """
    tensors, meta = read_table(
        path, tuple(FIELDS), what='a bank of prototypes',
        remedy='make one with tools/build_bank.py')
    version = meta.pop('version', None)
    if version != VERSION:
        raise ValueError(f'{str(path)!r} must be a bank of version {VERSION}, '
                         f'got {version}; build it anew')
    return check_bank(PrototypeBank(**tensors, meta=meta))
