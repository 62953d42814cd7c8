"""The file of a text bank: .npz, never pickled.

Shapes: N names, E dims of the joint space.
"""
import json
import os
from pathlib import Path
from typing import NamedTuple, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from ..utils.archives import stored_arrays
from .text_vocabulary import Vocabulary

VERSION = 1


class TextBankFile(NamedTuple):
    """What a file holds.

    Attributes:
        vocabulary: Classes and their names.
        embeddings: (N, E) float32 unit rows, name by name.
        prompts: Sentences that the names were put into.
        fingerprint: Of the weights of the text tower; '' unknown.
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
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    rows = bank.embeddings.detach().float().cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'wb') as file:
            np.savez(file, embeddings=rows, meta=text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    try:
        arrays = stored_arrays(path, ('embeddings', 'meta'))
        rows, meta = arrays['embeddings'], json.loads(
            arrays['meta'].tobytes())
        vocabulary = Vocabulary(
            tuple(meta['classes']), tuple(map(tuple, meta['names'])))
        bank = TextBankFile(vocabulary, torch.from_numpy(rows),
                            tuple(meta['prompts']), meta['fingerprint'])
        sound = (meta['version'] == VERSION and rows.ndim == 2 and
                 rows.dtype == np.float32 and
                 len(rows) == len(vocabulary.flat_names()))
    except Exception as error:  # of numpy, zip or JSON, about any damage
        raise ValueError(
            f'{str(path)!r} must be a text bank of mmpixsort, but cannot be '
            f'read ({type(error).__name__}: {error}): it is cut off or '
            'something else') from error
    if not sound:
        raise ValueError(
            f'{str(path)!r} must be a text bank of version {VERSION} with a '
            f'row for each name, got version {meta["version"]} and rows '
            f'{rows.shape} {rows.dtype}; build it anew')
    return bank
