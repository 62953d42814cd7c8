"""A bank of text embeddings of class names, which are compared with pixels.

Shapes: C classes, N names, T templates, E dimensions of the joint space of
images and texts.
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

# largest number of names in the cache, which takes 20 MB at 512 dimensions
MAX_CACHED = 10_000
# smallest cosine of two embeddings of the same name by the same text tower, in
# any precision
SAME = .99


@MODELS.register_module()
class TextBank(nn.Module):
    """Store text embeddings of class names and compare points with them.

    A class has one or more names, and every name has one embedding. To
    compute it, the name is put into each template, the resulting sentences
    are encoded, and their normalised embeddings are averaged and normalised
    again. The similarity between a point and a class is the largest over the
    names of the class. Words for the background form a class like any other.

    The embeddings are computed by a text encoder or read from a file; with a
    file, no text tower is needed. Checkpoints do not contain the embeddings,
    so a checkpoint fits every vocabulary. When weights are loaded, embeddings
    that an encoder has computed are dropped. Embeddings from a file are kept,
    and :meth:`ensure` compares them with those of the encoder.

    Args:
        classes: Names of the classes, in the order of the channels. None
            takes the classes of `file`, or leaves them to be set later.
        aliases: Dict from a class to the names that are encoded in place of
            its own name; see :func:`make_vocabulary`.
        templates: Name of a list of templates ('simple', 'none', 'subset' or
            'varied'), or a list of sentences that contain `{}`. It is
            ignored if `file` is given, because the file contains its own.
        file: Path of a .npz file that :meth:`save` wrote.

    Raises:
        ValueError: If the vocabulary or the templates are invalid, or the
            file lacks a word.

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
        """Names of the classes, in the order of the channels."""
        return self.vocabulary.classes

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.classes)

    @property
    def aliases(self) -> Dict[str, Tuple[str, ...]]:
        """Dict from each class to the names that are encoded for it."""
        return self.vocabulary.as_aliases()

    @property
    def is_ready(self) -> bool:
        """Whether the bank holds embeddings of its vocabulary."""
        return len(self.embeddings) > 0

    @property
    def is_from_file(self) -> bool:
        """Whether the embeddings were read from a file."""
        return self._from_file

    def set_vocabulary(
            self,
            classes: Sequence[str],
            aliases: Optional[Mapping[str, Sequence[str]]] = None,
            *,
            encode: Optional[Encode] = None,
            fingerprint: Optional[str] = None) -> None:
        """Replace the classes and their names.

        Names that were already encoded with the same weights are not encoded
        again. If an error is raised, the bank does not change.

        Args:
            classes: Names of the classes, in the order of the channels.
            aliases: Dict from a class to the names that are encoded in place
                of its own name.
            encode: Function that maps texts to unit rows (N, E), such as
                `encode_text` of a dual encoder in evaluation mode. With None,
                all names must already be in the bank or its file.
            fingerprint: Hash of the weights that `encode` uses. With None, it
                is computed if `encode` is a module or a method of one;
                otherwise it is unknown, and every name is encoded.

        Raises:
            ValueError: If the vocabulary is invalid, a word is unknown and
                there is no `encode`, or embeddings are not finite.
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
        """Encode the vocabulary unless the bank already holds embeddings.

        If the embeddings come from a file, two of the names are encoded and
        compared with the file. This is done once after the file or new
        weights were loaded.

        Args:
            encode: Function that maps texts to unit rows; see
                :meth:`set_vocabulary`.
            fingerprint: Hash of the weights that `encode` uses; see
                :meth:`set_vocabulary`.

        Raises:
            ValueError: If the bank has no classes, or its file was made with
                another text tower.

        Warns:
            UserWarning: If the embeddings of a file differ from those of the
                encoder, and the file does not contain the hash of the weights
                that it was made with.
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
        """Drop the embeddings that an encoder has computed.

        Call it when the weights of the encoder change. The vocabulary and
        embeddings from a file are kept.
        """
        self._is_compared = False
        if not self._from_file:
            self.embeddings = self.embeddings[:0]

    def forward(self, points: Tensor) -> Tensor:
        """Return the cosines (..., C) between points (..., E) and classes.

        Points need not be normalised; a point of zeros has the cosine 0. The
        cosine of a class is the largest over its names. It is computed in
        float32 with autocast off (float64 points stay float64).

        Raises:
            RuntimeError: If the bank has no embeddings yet.
            ValueError: If the points do not have E dimensions.
        """
        if not self.is_ready:
            raise RuntimeError(
                'the bank has no embeddings: call `ensure(encode)` or '
                '`set_vocabulary(classes, encode=encode)` first, or give a '
                '`file`')
        if points.shape[-1] != self.embeddings.shape[1]:
            raise ValueError(
                f'`points` must have {self.embeddings.shape[1]} dims, as the '
                f'embeddings of the bank, got {points.shape[-1]}; build the '
                'bank with the text tower of this model')
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
        """Write the vocabulary and its embeddings to a .npz file.

        Raises:
            RuntimeError: If the bank has no embeddings yet.
            ValueError: If the path does not end in .npz.
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
        """Read a file that :meth:`save` wrote.

        Args:
            path: Path of the .npz file.
            classes: Classes to use, each of them a class or a name in the
                file; None uses all classes of the file.
            aliases: Dict from a class to the names that are used in place of
                its own name; the file must contain all of them.

        Raises:
            FileNotFoundError: If the file does not exist.
            ValueError: If the file is damaged or lacks a word.
        """
        self.use(read_text_bank(path), classes, aliases)

    def use(self,
            file: TextBankFile,
            classes: Optional[Sequence[str]] = None,
            aliases: Optional[Mapping[str, Sequence[str]]] = None) -> None:
        """Use the contents of a text bank file; see :meth:`load`."""
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
        """Raise an error for the first name that has no embedding."""
        for name in vocabulary.flat_names():
            if self._key(self.fingerprint, name) not in self._cache:
                have = [key[2] for key in self._cache]
                raise ValueError(
                    f'unknown word {name!r}; the bank has '
                    f'{listed(have) or "none"}; give `encode` to add words')

    def _compare(self, encode: Encode, fingerprint: Optional[str]) -> None:
        """Check that the embeddings of the file are those of the encoder.

        If they differ, an error is raised if the file contains the hash of
        its weights; otherwise there is a warning. There is also a warning if
        the encoder has no text tower to compare with.
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
            # `forward` raises an error if the dimensions differ
            rows = rows[:, :self.embeddings.shape[1]]
            cosine = (rows.to(self.embeddings)
                      * self.embeddings[places, :rows.shape[1]]).sum(1).min()
            seen = f'a cosine of {cosine:.3f}'
            is_same = cosine >= SAME
        except ValueError as error:  # the encoder does not know the word
            seen, is_same = f'no embedding: {error}', False
        except AttributeError as error:
            warnings.warn(
                'the embeddings of the text bank cannot be checked, because '
                f'this model has no text tower: {error}', stacklevel=3)
            self._is_compared = True
            return
        text = (f'the embeddings of the text bank must be those of the text '
                f'tower of this model, got {seen} (for {names[0]!r} and '
                f'{names[1]!r}); build the bank again with this tower '
                '(tools/build_text_bank.py)')
        if not is_same and self.fingerprint:
            raise ValueError(
                f'{text}; its weights have the hash {self.fingerprint}')
        if not is_same:
            warnings.warn(f'{text}. The bank does not say which weights it '
                          'was made with; another possible cause is that it '
                          'names wrong templates', stacklevel=3)
        self._is_compared = True

    def _encode(self, vocabulary: Vocabulary, encode: Encode,
                fingerprint: Optional[str]) -> Tuple[dict, str]:
        """Return a cache with all embeddings, and the hash of its weights.

        The cache is kept for one state of the weights only; otherwise it
        would grow throughout training. If it contains too many names, it is
        reduced to those of this vocabulary.
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
        """Set the vocabulary, and copy its embeddings to the bank's device."""
        rows = torch.stack([
            self._cache[self._key(self.fingerprint, name)]
            for name in vocabulary.flat_names()
        ])
        self.vocabulary = vocabulary
        self.embeddings = rows.to(self.embeddings)
        self.owners = torch.tensor(
            vocabulary.owners(), device=self.owners.device)

    def _load_from_state_dict(self, *args) -> None:
        """Drop outdated embeddings when weights are loaded into the model."""
        self.forget()
        super()._load_from_state_dict(*args)
