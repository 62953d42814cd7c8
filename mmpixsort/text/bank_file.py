"""The file of a text bank: .npz, never pickled.

Shapes: N names, E dims of the joint space.
"""
import io
import json
from pathlib import Path
from typing import NamedTuple, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from mmpixsort.utils.archives import stored_arrays
from mmpixsort.utils.files import write_whole

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
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    rows = bank.embeddings.detach().float().cpu().numpy()
    content = io.BytesIO()
    np.savez(content, embeddings=rows, meta=text)
    write_whole(path, content.getvalue())


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
        lengths = np.linalg.norm(rows, axis=-1)
        sound = (meta['version'] == VERSION and rows.ndim == 2 and
                 rows.dtype == np.float32 and
                 len(rows) == len(vocabulary.flat_names()) and
                 np.allclose(lengths, 1, atol=UNIT))
    except Exception as error:  # of numpy, zip or JSON, about any damage
        raise ValueError(
            f'{str(path)!r} must be a text bank of mmpixsort, but cannot be '
            f'read ({type(error).__name__}: {error}): it is cut off or '
            'something else') from error
    if not sound:
        raise ValueError(
            f'{str(path)!r} must be a text bank of version {VERSION} with a '
            f'unit row for each name, got version {meta["version"]} and rows '
            f'{rows.shape} {rows.dtype} of length '
            f'{lengths.min(initial=np.inf):.3g} to '
            f'{lengths.max(initial=0):.3g}; build it anew')
    return bank
