"""The bank of prototypes and its file.

Shapes: M rows, D embedding dims.

Tensors and meta are stored as safetensors, or as .npz; never pickled. The
meta holds a digest of everything, which is checked on reading.
"""
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Collection, Dict, Optional, Union

import numpy as np
import torch
from torch import Tensor

from mmpixsort.utils.archives import stored_arrays
from mmpixsort.utils.extras import extra_error
from mmpixsort.utils.files import write_whole

VERSION = 1
FIELDS = dict(
    features=None, labels=torch.int64, image_ids=torch.int64,
    boxes=torch.int64, areas=torch.int64, purity=torch.float32)
# of the length of a row of half precision numbers
TOLERANCE = 5e-3


@dataclass(frozen=True)
class PrototypeBank:
    """Annotated segments, one a row.

    Attributes:
        features: (M, D) float16 or float32 unit rows.
        labels: (M,) int64, index into `meta['classes']`.
        image_ids: (M,) int64, index into `meta['images']`.
        boxes: (M, 4) int64 x1, y1, x2, y2, end exclusive, pixels of the
            image.
        areas: (M,) int64 pixels.
        purity: (M,) float32, share of the pixels that bear the label.
        meta: 'classes', 'palette', 'images', 'fingerprint' of the weights,
            'clustering', 'embed_dims' and more, of JSON types.
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
    """Return the bank, or raise ValueError naming the first bad row."""
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
    """Raise about the first bad row, if there is one."""
    if bad.any():
        row = int(bad.nonzero()[0])
        got = '' if value is None else f', got {value[row].item():.6g}'
        raise ValueError(
            f'`{name}` of a bank must {must}; row {row} and {int(bad.sum())} '
            f'in all do not{got}; build the bank anew')


def check_fits(bank: PrototypeBank, *, fingerprint: str,
               embed_dims: int) -> None:
    """Raise ValueError unless a bank was made with these weights.

    Args:
        bank: Bank to be used.
        fingerprint: Fingerprint of the weights of the model.
        embed_dims: D of the model.
    """
    if bank.features.shape[1] != embed_dims:
        raise ValueError(
            f'the bank must have {embed_dims} dims, those of the metric '
            f'head, got {bank.features.shape[1]}; build it with this config')
    if bank.meta['fingerprint'] != fingerprint:
        raise ValueError(
            'the bank must be of the weights that are loaded (fingerprint '
            f'{fingerprint}), got one of {bank.meta["fingerprint"]}: its '
            'rows would not be comparable; build it with '
            'tools/build_bank.py CONFIG CHECKPOINT')


def write_bank(bank: PrototypeBank, path: Union[str, Path]) -> None:
    """Write a bank, whole or not at all; equal banks give equal files.

    Args:
        bank: Bank to write.
        path: .npz, or any other ending for safetensors.

    Raises:
        ValueError: When the bank is not sound.
        ImportError: When safetensors is needed and missing.
    """
    check_bank(bank)
    path = Path(path)
    meta = dict(bank.meta, version=VERSION)
    meta['digest'] = _digest(bank.tensors(), meta)
    text = json.dumps(meta, sort_keys=True)
    if path.suffix == '.npz':
        content = _npz_bytes(bank.tensors(), text)
    else:
        content = _safetensors().torch.save(
            bank.tensors(), metadata=dict(mmpixsort=text))
    write_whole(path, content)


def read_bank(path: Union[str, Path]) -> PrototypeBank:
    """Read and check a bank.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is cut off, changed, or no bank.
        ImportError: When safetensors is needed and missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'bank {str(path)!r} not found; make one '
                                'with tools/build_bank.py')
    read = _read_npz if path.suffix == '.npz' else read_safetensors
    try:
        tensors, text = read(path, FIELDS)
        meta = json.loads(text)
        digest, version = meta.pop('digest'), meta['version']
        missing = set(FIELDS) - set(tensors)
    except ImportError:
        raise
    except Exception as error:  # of any reader, about any damage
        raise ValueError(
            f'{str(path)!r} must be a bank of mmpixsort, but cannot be read '
            f'({type(error).__name__}: {error}): it is cut off, changed, or '
            'something else') from error
    if version != VERSION or missing:
        raise ValueError(
            f'{str(path)!r} must be a bank of version {VERSION}, got version '
            f'{version} without {sorted(missing)}; build it anew')
    tensors = {name: tensors[name] for name in FIELDS}
    if _digest(tensors, meta) != digest:
        raise ValueError(f'{str(path)!r} was changed after it was written: '
                         'its digest differs; build the bank anew')
    del meta['version']
    return check_bank(PrototypeBank(**tensors, meta=meta))


def _digest(tensors: Dict[str, Tensor], meta: Dict) -> str:
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name in FIELDS:
        value = tensors[name]
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _safetensors():
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise extra_error('a bank that does not end in .npz needs safetensors',
                          'safetensors', error) from error
    return safetensors


def read_safetensors(path: Path, names: Collection[str]):
    """Return tensors of a file by their names, and its text.

    Args:
        path: The file; what else it holds is not read.
        names: Names of the tensors; those that are missing are left out.
    """
    with _safetensors().safe_open(path, framework='pt') as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()
                   if name in names}
        return tensors, file.metadata()['mmpixsort']


def _npz_bytes(tensors: Dict[str, Tensor], text: str) -> bytes:
    """Return the file; np.savez would put the time of writing into it."""
    arrays = {name: value.numpy() for name, value in tensors.items()}
    arrays['meta'] = np.frombuffer(text.encode(), np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.save(part, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f'{name}.npy', (1980, 1, 1, 0, 0, 0))
            file.writestr(entry, part.getvalue())
    return buffer.getvalue()


def _read_npz(path: Path, names: Collection[str]):
    arrays = stored_arrays(path, (*names, 'meta'))
    text = arrays.pop('meta').tobytes().decode()
    return {k: torch.from_numpy(v) for k, v in arrays.items()}, text
