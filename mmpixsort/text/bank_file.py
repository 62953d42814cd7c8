"""Read and write text bank files, which are .npz archives without pickles.

Shapes: N names, E dimensions of the joint space of images and texts.
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
UNIT = 1e-3  # largest deviation of the length of a row from 1


class TextBankFile(NamedTuple):
    """Contents of a text bank file.

    Attributes:
        vocabulary: Classes and their names.
        embeddings: Unit rows (N, E), float32, in the order of the names.
        prompts: Templates that the names were put into.
        fingerprint: Hash of the weights of the text tower; '' if it is
            unknown.
    """

    vocabulary: Vocabulary
    embeddings: Tensor
    prompts: Tuple[str, ...]
    fingerprint: str


def write_text_bank(bank: TextBankFile, path: Union[str, Path]) -> None:
    """Write a text bank file, completely or not at all.

    Raises:
        ValueError: If the path does not end in .npz.
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
    """Read a text bank file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged or is not a text bank.
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
            f'{lengths.flatten()[:4].tolist()}; build it again')
    return bank
