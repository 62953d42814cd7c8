"""Embeddings of the names of classes.

Shapes: C classes, N names, T templates, E dims of the joint space.
"""
import warnings
from pathlib import Path
from typing import Dict, Mapping, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmpixsort.functional.precision import autocast_off
from mmpixsort.functional.words.joint_space import full_precision
from mmpixsort.registry import MODELS
from mmpixsort.text.encoders.text_encoding import Encode, embed_names
from mmpixsort.utils.hashing import weights_fingerprint

from .bank_file import TextBankFile, read_text_bank, write_text_bank
from .templates import check_templates
from .vocabulary import Vocabulary, canonical_word, listed, make_vocabulary

__all__ = ['TextBank', 'canonical_word']

MAX_CACHED = 10_000  # names: 20 MB at 512 dims
# Cosine of two embeddings of one name by one tower, in any precision
SAME = .99


@MODELS.register_module()
class TextBank(nn.Module):
    """Words of a vocabulary as points, that others are compared with.

    Each name is put into every template; its embedding is the normalised
    mean of the normalised embeddings. A class has one name or several, and
    is as near as the nearest of them. Words for the background are a class
    like any other.

    Rows are made by an encoder, or come from a file, after which no text
    tower is needed. They are no part of checkpoints, which hold the weights
    that they are made from, so a checkpoint fits every vocabulary. When
    weights are loaded, rows that an encoder made are forgotten; rows of a
    file stay, and :meth:`ensure` compares them with those of the encoder.

    Args:
        classes: In the order of the channels; None: set later, or those of
            the file.
        aliases: Class -> the names to encode in its place; see
            :func:`make_vocabulary`.
        templates: 'simple', 'none', 'subset', 'varied' or a list of
            sentences with `{}`; a file brings its own.
        file: Path of a .npz of :meth:`save`.

    Raises:
        ValueError: On a bad vocabulary or templates, or a word that the
            file lacks.

    Example:
        >>> bank = TextBank(classes=['cat', 'dog'], templates='none')
        >>> bank.ensure(lambda texts: torch.eye(2)[:len(texts)])
        >>> bank(torch.tensor([3., 4.]))
        tensor([0.6000, 0.8000])
    """

    embeddings: Tensor
    owners: Tensor

    def __init__(self,
                 *,
                 classes: Optional[Sequence[str]] = None,
                 aliases: Optional[Mapping[str, Sequence[str]]] = None,
                 templates: Union[str, Sequence[str]] = 'simple',
                 file: Optional[Union[str, Path]] = None) -> None:
        super().__init__()
        if classes is None and aliases and file is None:
            raise ValueError('`classes` must be given with `aliases`, got '
                             'None')
        self.templates = check_templates(templates)
        self.fingerprint = ''
        self.vocabulary = Vocabulary((), ())
        self._cache: Dict[tuple, Tensor] = {}
        self._known: Dict[str, Tuple[str, ...]] = {}
        self._from_file = False
        self._is_compared = False
        for name, empty in (('embeddings', torch.zeros(0, 0)),
                            ('owners', torch.zeros(0).long())):
            self.register_buffer(name, empty, persistent=False)
        if file is not None:
            self.load(file, classes, aliases)
        elif classes is not None:
            self.vocabulary = make_vocabulary(classes, aliases)

    @property
    def classes(self) -> Tuple[str, ...]:
        """Classes, in the order of the channels."""
        return self.vocabulary.classes

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.classes)

    @property
    def aliases(self) -> Dict[str, Tuple[str, ...]]:
        """Names of every class."""
        return self.vocabulary.as_aliases()

    @property
    def is_ready(self) -> bool:
        """Whether there are embeddings of the vocabulary."""
        return len(self.embeddings) > 0

    @property
    def is_from_file(self) -> bool:
        """Whether embeddings came from a file, and no encoder makes more."""
        return self._from_file

    def set_vocabulary(
            self,
            classes: Sequence[str],
            aliases: Optional[Mapping[str, Sequence[str]]] = None,
            *,
            encode: Optional[Encode] = None,
            fingerprint: Optional[str] = None) -> None:
        """Compare with other words from now on.

        What was encoded with the same weights is not encoded again. Nothing
        changes when it fails.

        Args:
            classes: In the order of the channels.
            aliases: Class -> the names to encode in its place.
            encode: Texts to unit rows (N, E), `encode_text` of a dual
                encoder, in the mode of a test; None: words that the bank or
                its file has.
            fingerprint: Fingerprint of the weights of `encode`; None: a hash
                of the weights of the module that it is a method of, or
                unknown, and then all is encoded.

        Raises:
            ValueError: On a bad vocabulary, a word that is not known
                without `encode`, or embeddings that are not finite.
        """
        if encode is None:
            if not self.is_ready and not self._from_file:
                raise ValueError('`encode` must be given, got None: the bank '
                                 'has no embeddings of the present weights')
            known = {c: self._known[c] for c in map(canonical_word, classes)
                     if c in self._known}
            vocabulary = make_vocabulary(classes, {**known, **(aliases or {})})
            cache, weights = self._cache, self.fingerprint
            self._check_known(vocabulary)
        else:
            vocabulary = make_vocabulary(classes, aliases)
            cache, weights = self._encode(vocabulary, encode, fingerprint)
            self._known = {**(self._known if cache is self._cache else {}),
                           **vocabulary.as_aliases()}
            self._from_file = False
        self._cache, self.fingerprint = cache, weights
        self._use(vocabulary)

    def ensure(self,
               encode: Optional[Encode] = None,
               fingerprint: Optional[str] = None) -> None:
        """Encode the vocabulary, unless there are embeddings of it.

        Embeddings of a file are compared with what the encoder makes of two
        of the names, once after the file or weights were loaded.

        Args:
            encode: As :meth:`set_vocabulary` takes it.
            fingerprint: As :meth:`set_vocabulary` takes it.

        Raises:
            ValueError: When the bank has no classes, or is a file of another
                text tower.

        Warns:
            UserWarning: When a file that does not say what it was made with
                disagrees with the encoder.
        """
        if self.is_ready:
            if self._from_file and encode is not None:
                self._compare(encode, fingerprint)
            return
        if not self.classes:
            raise ValueError('`classes` of the bank must be given before it '
                             'is used, got none; call `set_vocabulary`')
        self.set_vocabulary(
            self.classes, self.aliases, encode=encode,
            fingerprint=fingerprint)

    def forget(self) -> None:
        """Drop embeddings that an encoder made, since its weights change.

        Those of a file stay, as does the vocabulary.
        """
        self._is_compared = False
        if not self._from_file:
            self.embeddings = self.embeddings[:0]

    def forward(self, points: Tensor) -> Tensor:
        """Return cosines (..., C) of points (..., E) of any length.

        The largest over the names of a class. In float32 (float64 stays),
        autocast off; a point 0 has cosine 0.

        Raises:
            RuntimeError: When there are no embeddings yet.
            ValueError: On a wrong E.
        """
        if not self.is_ready:
            raise RuntimeError(
                'the bank has no embeddings: call `ensure(encode)` or '
                '`set_vocabulary(classes, encode=encode)` first, or give a '
                '`file`')
        if points.shape[-1] != self.embeddings.shape[1]:
            raise ValueError(
                f'`points` must have {self.embeddings.shape[1]} dims, those '
                f'of the bank, got {points.shape[-1]}; build the bank with '
                'the text tower of this model')
        with autocast_off(points.device):
            points, rows = full_precision(points, self.embeddings)
            cosines = normalize(points, dim=-1) @ rows.T
        if len(rows) == self.num_classes:
            return cosines
        best = cosines.new_zeros(*points.shape[:-1], self.num_classes)
        return best.scatter_reduce(
            -1, self.owners.expand_as(cosines), cosines, 'amax',
            include_self=False)

    def save(self, path: Union[str, Path]) -> None:
        """Write the vocabulary and its embeddings as .npz, not pickled.

        Raises:
            RuntimeError: When there are no embeddings yet.
            ValueError: When the path does not end in .npz.
        """
        if not self.is_ready:
            raise RuntimeError('the bank has no embeddings to save: call '
                               '`ensure(encode)` first')
        write_text_bank(
            TextBankFile(self.vocabulary, self.embeddings, self.templates,
                         self.fingerprint), path)

    def load(self,
             path: Union[str, Path],
             classes: Optional[Sequence[str]] = None,
             aliases: Optional[Mapping[str, Sequence[str]]] = None) -> None:
        """Read a file of :meth:`save`.

        Args:
            path: Path of the .npz file.
            classes: Classes to use, by any name of the file; None: all of
                them.
            aliases: Class -> names, all in the file.

        Raises:
            FileNotFoundError: When there is no such file.
            ValueError: When it is damaged or lacks a word.
        """
        self.use(read_text_bank(path), classes, aliases)

    def use(self,
            file: TextBankFile,
            classes: Optional[Sequence[str]] = None,
            aliases: Optional[Mapping[str, Sequence[str]]] = None) -> None:
        """Take what a file holds; see :meth:`load`."""
        self.templates = file.prompts
        self.fingerprint = file.fingerprint
        self._cache = {
            self._key(file.fingerprint, name): row
            for name, row in zip(file.vocabulary.flat_names(),
                                 file.embeddings)
        }
        self._known = file.vocabulary.as_aliases()
        self._from_file = True
        self._is_compared = False
        self.set_vocabulary(
            file.vocabulary.classes if classes is None else classes, aliases)

    def extra_repr(self) -> str:
        """Show the size of the vocabulary."""
        return (f'num_classes={self.num_classes}, '
                f'templates={len(self.templates)}, ready={self.is_ready}')

    def _key(self, fingerprint: str, name: str) -> tuple:
        return fingerprint, self.templates, name

    def _check_known(self, vocabulary: Vocabulary) -> None:
        """Raise about the first name without an embedding."""
        for name in vocabulary.flat_names():
            if self._key(self.fingerprint, name) not in self._cache:
                have = [key[2] for key in self._cache]
                raise ValueError(
                    f'unknown word {name!r}; the bank has '
                    f'{listed(have) or "none"}; give `encode` to add words')

    def _compare(self, encode: Encode, fingerprint: Optional[str]) -> None:
        """Raise or warn when rows of a file are not those of the encoder.

        An encoder that has been stripped of its text tower is taken at its
        word, with a warning.
        """
        own = fingerprint or getattr(
            getattr(encode, '__self__', encode), 'text_fingerprint', None)
        if self._is_compared or (own and own == self.fingerprint):
            return
        names = self.vocabulary.flat_names()
        places = [0, len(names) - 1]
        names = [names[place] for place in places]
        try:
            with autocast_off(self.embeddings.device):
                rows = embed_names(names, self.templates, encode)
            rows = rows[:, :self.embeddings.shape[1]]  # checked in `forward`
            cosine = (rows.to(self.embeddings)
                      * self.embeddings[places, :rows.shape[1]]).sum(1).min()
            seen = f'a cosine of {cosine:.3f}'
            is_same = cosine >= SAME
        except ValueError as error:  # it does not know the word
            seen, is_same = f'no embedding: {error}', False
        except AttributeError as error:
            warnings.warn(
                'the rows of the bank cannot be compared with those of this '
                f'model, which has no text tower: {error}', stacklevel=3)
            self._is_compared = True
            return
        text = (f'the rows of the bank must be those of the text tower of '
                f'this model, which has for {names[0]!r} and {names[1]!r} '
                f'{seen}; build the bank anew with this tower '
                '(tools/build_text_bank.py)')
        if not is_same and self.fingerprint:
            raise ValueError(
                f'{text}; it was made with weights {self.fingerprint}')
        if not is_same:
            warnings.warn(f'{text}, unless it was made with other templates '
                          'than it notes: it does not say with which weights '
                          'it was made', stacklevel=3)
        self._is_compared = True

    def _encode(self, vocabulary: Vocabulary, encode: Encode,
                fingerprint: Optional[str]) -> Tuple[dict, str]:
        """Return a cache with the vocabulary, and whose weights it is of.

        Of one state of the weights, or training would fill the memory; when
        that has too many names, of this vocabulary alone.
        """
        if fingerprint is None:
            owner = getattr(encode, '__self__', encode)
            fingerprint = ''
            if isinstance(owner, nn.Module):
                fingerprint = weights_fingerprint(owner.state_dict().items())
        known = fingerprint and fingerprint == self.fingerprint
        cache = self._cache if known else {}
        missing = [
            name for name in vocabulary.flat_names()
            if self._key(fingerprint, name) not in cache
        ]
        if missing:
            with autocast_off(self.embeddings.device):
                rows = embed_names(missing, self.templates, encode)
            keys = [self._key(fingerprint, name) for name in missing]
            if len(cache) + len(missing) > MAX_CACHED:
                names = set(vocabulary.flat_names())
                cache = {key: row for key, row in cache.items()
                         if key[2] in names}
            cache.update(zip(keys, rows))
        return cache, fingerprint

    def _use(self, vocabulary: Vocabulary) -> None:
        """Put the rows of a vocabulary in order, on the bank's device."""
        rows = torch.stack([
            self._cache[self._key(self.fingerprint, name)]
            for name in vocabulary.flat_names()
        ])
        self.vocabulary = vocabulary
        self.embeddings = rows.to(self.embeddings)
        self.owners = torch.tensor(
            vocabulary.owners(), device=self.owners.device)

    def _load_from_state_dict(self, *args) -> None:
        """Called whenever weights are loaded into the model around it."""
        self.forget()
        super()._load_from_state_dict(*args)
