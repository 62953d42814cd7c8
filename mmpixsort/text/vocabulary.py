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
        aliases: Dict from a class to the names that are encoded in place of
            its own name. To encode its own name too, add it to these names.
            A class that is not in the dict keeps its own name.

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
                f'the keys of `aliases` must be classes, got {word!r}; the '
                f'classes are {listed(classes)}')
    vocabulary = Vocabulary(
        classes, tuple(named.get(word, (word, )) for word in classes))
    owner: Dict[str, int] = {}
    for name, i in zip(vocabulary.flat_names(), vocabulary.owners()):
        if owner.setdefault(name, i) != i:
            raise ValueError(
                f'`aliases` must give each name to one class, got {name!r} '
                f'for {classes[owner[name]]!r} and {classes[i]!r}; remove one')
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
    """Join words for a message, and cut the list after `limit` words."""
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
        raise ValueError(f'`{argument}` must contain at least one name, got '
                         'none')
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f'`{argument}` must differ from each other, got '
                         f'twice: {listed(twice)}')
    return names
