"""Vocabularies: classes and the names that are encoded for each of them."""
import unicodedata
from collections import Counter
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple


class Vocabulary(NamedTuple):
    """Classes and the names that stand for them.

    Attributes:
        classes: Classes of the data set, in its order.
        names: Names that are encoded for each class.
    """

    classes: Tuple[str, ...]
    names: Tuple[Tuple[str, ...], ...]

    def flat_names(self) -> List[str]:
        """Return all names as one list, class by class."""
        return [name for names in self.names for name in names]

    def owners(self) -> List[int]:
        """Return, for every name, the index of its class."""
        return [i for i, names in enumerate(self.names) for _ in names]

    def as_aliases(self) -> Dict[str, Tuple[str, ...]]:
        """Return a dict from classes to their names."""
        return dict(zip(self.classes, self.names))


def make_vocabulary(
        classes: Sequence[str],
        aliases: Optional[Mapping[str, Sequence[str]]] = None) -> Vocabulary:
    """Check classes and aliases, and bring all names to canonical form.

    The canonical form is Unicode NFC without white space at the ends.

    Args:
        classes: One or more names of classes.
        aliases: For a class, the names to encode in its place. A class that
            is not a key keeps its own name. To keep the name of a class
            beside others, list it among them.

    Raises:
        ValueError: If there is no class, a name is empty or occurs twice, or
            aliases are given for an unknown class.
        TypeError: If a string is given in place of a list.

    Example:
        >>> make_vocabulary(['cat', 'tvmonitor'],
        ...                 dict(tvmonitor=['tv', 'screen'])).flat_names()
        ['cat', 'tv', 'screen']
    """
    classes = _names('classes', classes)
    named = {
        canonical_word(word): _names(f'aliases[{word!r}]', names)
        for word, names in (aliases or {}).items()
    }
    for word in named:
        if word not in classes:
            raise ValueError(
                f'`aliases` must be of classes, got {word!r}; the classes '
                f'are {listed(classes)}')
    vocabulary = Vocabulary(
        classes, tuple(named.get(word, (word, )) for word in classes))
    owner: Dict[str, int] = {}
    for name, i in zip(vocabulary.flat_names(), vocabulary.owners()):
        if owner.setdefault(name, i) != i:
            raise ValueError(
                f'`aliases` must name one class each, got {name!r} for '
                f'{classes[owner[name]]!r} and {classes[i]!r}; drop one')
    return vocabulary


def canonical_word(word: str) -> str:
    """Return a name in Unicode NFC, without white space at its ends.

    Raises:
        TypeError: If the name is not a string.
        ValueError: If the name is empty.

    Example:
        >>> canonical_word(' traffic light ')
        'traffic light'
    """
    if not isinstance(word, str):
        raise TypeError('a name must be a string, got '
                        f'{type(word).__name__} {word!r}')
    canonical = unicodedata.normalize('NFC', word).strip()
    if not canonical:
        raise ValueError(f'a name must not be empty, got {word!r}')
    return canonical


def listed(words: Sequence[str], limit: int = 20) -> str:
    """Return a list of words for a message, cut after `limit` words."""
    rest = len(words) - limit
    return ', '.join(words[:limit]) + (f' and {rest} more' if rest > 0
                                       else '')


def _names(argument: str, words: Sequence[str]) -> Tuple[str, ...]:
    """Return names in canonical form, and check that they differ."""
    if isinstance(words, str):
        raise TypeError(f'`{argument}` must be a list of names, got the '
                        f'string {words!r}; write [{words!r}]')
    names = tuple(map(canonical_word, words))
    if not names:
        raise ValueError(f'`{argument}` must hold a name or more, got none')
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f'`{argument}` must differ, got twice: '
                         f'{listed(twice)}')
    return names
