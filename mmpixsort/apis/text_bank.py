"""Make text banks from a text encoder or from a matrix of embeddings."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from mmpixsort.text.bank import TextBank
from mmpixsort.text.bank_file import TextBankFile
from mmpixsort.text.templates import check_templates
from mmpixsort.text.vocabulary import Vocabulary, make_vocabulary
from mmpixsort.utils.extras import extra_error
from mmpixsort.utils.reading import read_text, reading


def read_vocabulary(source: Union[str, Path]) -> Vocabulary:
    """Return the classes of a data set of mmseg, or of a text file.

    Args:
        source: Name that mmseg's `get_classes` accepts ('voc', 'ade', ...),
            or path of a file with one class per line: `name`, or `name:
            alias, alias`, which encodes the aliases in place of the name.
            Empty lines and lines that start with # are skipped.

    Raises:
        ValueError: If `source` is neither, or the names are invalid.
    """
    path = Path(source)
    if not path.is_file():
        return make_vocabulary(_dataset_classes(str(source)))
    classes: List[str] = []
    aliases: Dict[str, Sequence[str]] = {}
    for line in read_text(path, 'a list of classes').splitlines():
        line = line.strip()
        if not line or line.startswith('#'):
            continue
        word, colon, names = line.partition(':')
        classes.append(word)
        if colon:
            aliases[word] = names.split(',')
    with reading(path, 'a list of classes'):
        return make_vocabulary(classes, aliases)


def _dataset_classes(name: str) -> Sequence[str]:
    try:
        from mmseg.utils import get_classes
    except ImportError as error:
        raise extra_error(
            f'{name!r} is not a file, and names of data sets need mmseg',
            'hosts', error) from error
    try:
        return get_classes(name)
    except ValueError as error:
        raise ValueError(f'`classes` must be a text file or the name of a '
                         f'data set of mmseg, got {name!r}') from error


def build_text_bank(vocabulary: Vocabulary,
                    encoder: nn.Module,
                    *,
                    templates: Union[str, Sequence[str]] = 'simple',
                    device: Optional[str] = None) -> TextBank:
    """Encode the names of classes as a text bank.

    Args:
        vocabulary: Classes and their names; see :func:`read_vocabulary`.
        encoder: Dual encoder with `encode_text`.
        templates: Templates as for `TextBank`.
        device: Name of the device; None uses a GPU if there is one.
    """
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    bank = TextBank(
        classes=vocabulary.classes,
        aliases=vocabulary.as_aliases(),
        templates=templates)
    bank.ensure(encoder.to(device).encode_text)
    return bank


def import_matrix(matrix: Union[str, Path],
                  names: Union[str, Path],
                  *,
                  templates: Union[str, Sequence[str]] = 'none') -> TextBank:
    """Make a text bank from embeddings that another program has written.

    Args:
        matrix: Path of a .npy file of floats (N, E) of any precision. The
            rows are normalised.
        names: Path of a text file with one name per line, in the order of
            the rows.
        templates: Templates that the embeddings were made with; they are
            stored in the bank and not applied.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the numbers of rows and names differ, or a row is zero
            or not finite.
    """
    rows, words = _read_matrix(Path(matrix), Path(names))
    vocabulary = make_vocabulary(words)
    unit = normalize(torch.from_numpy(rows.astype(np.float32)), dim=1)
    good = unit.norm(dim=1) > .5
    if not good.all():
        row = int((~good).nonzero()[0])
        raise ValueError(f'`matrix` {str(matrix)!r} must hold finite rows '
                         'that are not 0, got NaN, infinity or zeros in '
                         f'row {row}, {words[row]!r}')
    bank = TextBank()
    bank.use(TextBankFile(vocabulary, unit, check_templates(templates), ''))
    return bank


def _read_matrix(matrix: Path, names: Path) -> Tuple[np.ndarray, List[str]]:
    """Return rows and names, after checking that they fit together."""
    for path in (matrix, names):
        if not path.is_file():
            raise FileNotFoundError(f'{str(path)!r} not found')
    with reading(matrix, 'a matrix of floats, as numpy.save writes it'):
        rows = np.load(matrix, allow_pickle=False)
        shape, dtype = rows.shape, rows.dtype
    words = read_text(names, 'a list of names').splitlines()
    words = [word for word in words if word.strip()]
    if len(shape) != 2 or dtype.kind != 'f' or shape[0] != len(words):
        raise ValueError(
            f'`matrix` {str(matrix)!r} must be floats ({len(words)}, E), one '
            f'row for each name of {str(names)!r}, got {dtype} {shape}')
    return rows, words
