"""The file of a text bank: .npz, never pickled.

Shapes: N names, E dims of the joint space.
"""
import json
from pathlib import Path
from typing import NamedTuple, Tuple, Union

import torch
from torch import Tensor

from mmpixsort.utils.reading import reading
from mmpixsort.utils.table_file import load_tensors, save_tensors

from .vocabulary import Vocabulary

VERSION = 1
UNIT = 1e-3  # by which the length of a row may differ from 1


class TextBankFile(NamedTuple):
    """What a file holds.

    Attributes:
        vocabulary: Classes and their names.
        embeddings: (N, E) float32 unit rows, name by name.
        prompts: Sentences that the names were put into.
        fingerprint: Fingerprint of the weights of the text tower; '': unknown.
    """

    vocabulary: Vocabulary
    embeddings: Tensor
    prompts: Tuple[str, ...]
    fingerprint: str


def write_text_bank(bank: TextBankFile, path: Union[str, Path]) -> None:
    """Write a bank, whole or not at all.

    Raises:
        ValueError: When the path does not end in .npz.
    """
    path = Path(path)
    if path.suffix != '.npz':
        raise ValueError(f'`path` must end in .npz, got {str(path)!r}')
    meta = dict(
        version=VERSION, classes=bank.vocabulary.classes,
        names=bank.vocabulary.names, prompts=bank.prompts,
        fingerprint=bank.fingerprint)
    save_tensors(path, dict(embeddings=bank.embeddings.detach().float().cpu()),
                 json.dumps(meta))


def read_text_bank(path: Union[str, Path]) -> TextBankFile:
    """Read a bank.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is damaged or no bank.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'text bank {str(path)!r} not found; make '
                                'one with tools/build_text_bank.py')
    with reading(path, 'a text bank'):
        tensors, text = load_tensors(path, ('embeddings', ))
        rows, meta = tensors['embeddings'], json.loads(text)
        vocabulary = Vocabulary(
            tuple(meta['classes']), tuple(map(tuple, meta['names'])))
        bank = TextBankFile(vocabulary, rows, tuple(meta['prompts']),
                            meta['fingerprint'])
        lengths = rows.float().norm(dim=-1)
        sound = (meta['version'] == VERSION and rows.dim() == 2 and
                 rows.dtype == torch.float32 and
                 len(rows) == len(vocabulary.flat_names()) and
                 bool(((lengths - 1).abs() < UNIT).all()))
    if not sound:
        raise ValueError(
            f'{str(path)!r} must be a text bank of version {VERSION} with a '
            f'unit row for each name, got version {meta["version"]} and rows '
            f'{tuple(rows.shape)} {rows.dtype} of lengths '
            f'{lengths.flatten()[:4].tolist()}; build it anew')
    return bank
