"""Read the embeddings of any bank on disk.

Shapes: M rows, D embedding dimensions.
"""
from pathlib import Path
from typing import List, NamedTuple, Sequence, Union

import torch
from torch import Tensor

from mmpixsort.functional.random import keyed_generator
from mmpixsort.retrieval import read_bank
from mmpixsort.retrieval.instances import read_instances
from mmpixsort.text.bank_file import read_text_bank


class BankRows(NamedTuple):
    """Embeddings with their classes, and a note on each.

    Attributes:
        embeddings: (M, D) float32.
        labels: (M,) int64 indices into `classes`.
        classes: Names of the classes.
        palette: RGB colours in [0, 255] of the classes; empty if unknown.
        notes: Sources of the rows: an image, or a word.
    """

    embeddings: Tensor
    labels: Tensor
    classes: List[str]
    palette: List[Sequence[int]]
    notes: List[str]

    def pick(self, rows: Tensor) -> 'BankRows':
        """Return the rows at given indices."""
        return self._replace(
            embeddings=self.embeddings[rows], labels=self.labels[rows],
            notes=[self.notes[row] for row in rows.tolist()])


def read_rows(path: Union[str, Path]) -> BankRows:
    """Read a bank of prototypes, of instances, or of texts.

    Args:
        path: File of tools/build_bank.py, of tools/retrieve_instances.py
            build, or, ending in .npz, of tools/build_text_bank.py.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is none of these banks.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'`bank` must be a file, got {str(path)!r}, '
                                'which does not exist')
    errors = []
    for kind, read in (('prototypes', _prototypes), ('instances', _instances),
                       ('texts', _texts)):
        try:
            return read(path)
        except ValueError as error:
            errors.append(f'as a bank of {kind}: {error}')
    raise ValueError(f'{str(path)!r} must be a bank, and cannot be read\n  '
                     + '\n  '.join(errors))


def _prototypes(path: Path) -> BankRows:
    bank = read_bank(path)
    images = bank.meta['images']
    return BankRows(
        bank.features.float(), bank.labels, list(bank.meta['classes']),
        list(bank.meta.get('palette') or []),
        [images[i] for i in bank.image_ids.tolist()])


def _instances(path: Path) -> BankRows:
    stored = read_instances(path)
    rows, images = stored.rows, stored.meta['images']
    return BankRows(
        rows.embeddings.float(), rows.classes, list(stored.meta['classes']),
        list(stored.meta.get('palette') or []),
        [images[i] for i in rows.image_ids.tolist()])


def _texts(path: Path) -> BankRows:
    bank = read_text_bank(path)
    names = bank.vocabulary.names
    labels = [label for label, words in enumerate(names) for _ in words]
    return BankRows(
        bank.embeddings, torch.tensor(labels), list(bank.vocabulary.classes),
        [], [word for words in names for word in words])


def even_rows(labels: Tensor, most: int, seed: int = 0) -> Tensor:
    """Return indices of at most `most` rows, drawn evenly over classes.

    Of a class with fewer rows than its share all are taken, and the rest is
    shared by the other classes.

    Args:
        labels: (M,) int64.
        most: Maximum number of rows.
        seed: Seed of the draw.

    Returns:
        Sorted indices, int64.

    Example:
        >>> even_rows(torch.tensor([0, 0, 0, 0, 1]), 3).numel()
        3
    """
    generator = keyed_generator(seed, 0, 0, labels.device)
    order = torch.randperm(len(labels), generator=generator)
    _, inverse, counts = labels[order].unique(
        return_inverse=True, return_counts=True)
    # place of each row among those of its class
    by_class = inverse.argsort(stable=True)
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(inverse)
    rank[by_class] = torch.arange(len(labels)) - starts[inverse[by_class]]
    first = rank.argsort(stable=True)[:most]
    return order[first].sort().values
