"""Extract nouns from captions with a word list, without any download.

A word list (lexicon) contains nouns and, for each noun, its aliases. In a
caption, the longest entry is taken ('hot dog' rather than 'dog'), plurals are
reduced to singulars, and an alias is reported as its noun. The result is the
same on every machine. Grammar is ignored: if 'fly' is in the list, it is found
in 'a man can fly'.
"""
import json
import re
import unicodedata
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import (Dict, Iterator, List, Mapping, Optional, Sequence, Tuple,
                    Union)

from mmpixsort.utils.reading import read_text

EVERYDAY = 'everyday'
EVERYDAY_FILE = Path(__file__).with_name('everyday_nouns.txt')
IRREGULAR = dict(
    men='man', women='woman', children='child', people='person',
    feet='foot', teeth='tooth', geese='goose', mice='mouse', oxen='ox',
    knives='knife', wives='wife', lives='life')
Words = Tuple[str, ...]


def fold_text(text: str) -> str:
    """Return a text in canonical spelling: NFC, case folded, single spaces.

    Example:
        >>> fold_text('  Cafe\u0301 STRASSE ') == fold_text('café Straße')
        True
    """
    folded = unicodedata.normalize('NFC', text).casefold()
    return ' '.join(unicodedata.normalize('NFC', folded).split())


@lru_cache(maxsize=1)
def _pattern() -> 're.Pattern':
    # words of many scripts contain combining marks (Mn, Mc), which \w does
    # not match
    marks = ''.join(
        chr(code) for code in range(0x300, 0x10000)
        if unicodedata.category(chr(code)) in ('Mn', 'Mc'))
    letter = f'(?:[^\\W_]|[{marks}])'
    return re.compile(f"{letter}+(?:['\u2019]{letter}+)*|[^\\s\\-]")


def folded_words(text: str) -> List[str]:
    """Split a text into words in canonical spelling and punctuation marks.

    A hyphen separates words like a space. An apostrophe inside a word belongs
    to the word, but a possessive ending ('s) is dropped.

    Example:
        >>> folded_words("The dog's T-shirt, o'clock")
        ['the', 'dog', 't', 'shirt', ',', "o'clock"]
    """
    words = _pattern().findall(fold_text(text))
    return [re.sub("['\u2019]s$", '', word) for word in words]


def singulars(word: str) -> Iterator[str]:
    """Yield possible singular forms of a word, the most likely one first.

    Example:
        >>> list(singulars('buses')), list(singulars('glass'))
        (['buse', 'bus'], [])
    """
    if word in IRREGULAR:
        yield IRREGULAR[word]
    if len(word) < 3 or not word.endswith('s') or word.endswith('ss'):
        return
    if word.endswith('ies'):
        yield word[:-3] + 'y'
    if word.endswith('ves'):
        yield word[:-3] + 'f'
        yield word[:-3] + 'fe'
    yield word[:-1]
    if word.endswith('es'):
        yield word[:-2]


def read_lexicon(path: Union[str, Path]) -> Dict[str, List[str]]:
    """Read a word list with one `noun` or `noun: alias, alias` per line.

    A `#` starts a comment.

    Returns:
        The aliases of every noun, in the order of the file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the list or a noun is empty, or a noun is listed
            twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'lexicon {str(path)!r} not found; it must '
                                'be a text file with one noun per line')
    lexicon: Dict[str, List[str]] = {}
    lines = read_text(path, 'a word list').splitlines()
    for number, line in enumerate(lines, 1):
        entry = line.split('#')[0].strip()
        if not entry:
            continue
        noun, _, aliases = entry.partition(':')
        noun = fold_text(noun)
        if not noun or noun in lexicon:
            raise ValueError(f'{path}:{number}: expected a noun that is on no '
                             f'other line, got {line!r}')
        lexicon[noun] = [a.strip() for a in aliases.split(',') if a.strip()]
    if not lexicon:
        raise ValueError(f'lexicon {str(path)!r} must contain at least one '
                         'noun, got none')
    return lexicon


class LexiconExtractor:
    """Extract the nouns of a word list from captions.

    Args:
        words: List of nouns, or dict from nouns to their aliases. A name
            (noun or alias) may consist of several words. It must belong to
            one noun only.

    Raises:
        ValueError: If a name belongs to two nouns or contains no letter.

    Example:
        >>> extract = LexiconExtractor({'dog': ['puppy'], 'hot dog': []})
        >>> extract('Two Puppies, a dog and a hot-dog stand')
        ['dog', 'hot dog']
    """

    def __init__(self, words: Union[Sequence[str], Mapping[str, Sequence[str]]]
                 ) -> None:
        if isinstance(words, str):
            raise TypeError('`words` must be a list of nouns or a dict of '
                            f'aliases, got the string {words!r}; to read a '
                            'file, call `LexiconExtractor.from_file`')
        aliases = words if isinstance(words, Mapping) else {
            word: () for word in words}
        self.noun_of: Dict[Words, str] = {}
        for noun, others in aliases.items():
            for name in (noun, *others):
                self._enter(name, fold_text(noun))
        self.longest = max(map(len, self.noun_of), default=0)

    def _enter(self, name: str, noun: str) -> None:
        key = tuple(folded_words(name))
        if not key or not any(part.strip("'\u2019") for part in key):
            raise ValueError(f'each name in `words` must contain a letter, '
                             f'got {name!r}')
        if self.noun_of.setdefault(key, noun) != noun:
            raise ValueError(
                f'`words` must assign each name to one noun, got {name!r} for '
                f'{self.noun_of[key]!r} and {noun!r}')

    @classmethod
    def from_file(cls, path: Optional[Union[str, Path]] = None
                  ) -> 'LexiconExtractor':
        """Read a word list from a file; None means the everyday nouns."""
        everyday = path is None or str(path) == EVERYDAY
        return cls(read_lexicon(EVERYDAY_FILE if everyday else path))

    @property
    def nouns(self) -> List[str]:
        """Nouns of the word list, in its order."""
        return list(dict.fromkeys(self.noun_of.values()))

    @property
    def fingerprint(self) -> str:
        """Hash of the word list; equal hashes mean equal results."""
        entries = sorted((*key, noun) for key, noun in self.noun_of.items())
        return sha256(json.dumps(entries).encode()).hexdigest()

    def __call__(self, text: str) -> List[str]:
        """Return the distinct nouns of a caption, in order."""
        words = folded_words(text)
        found: Dict[str, None] = {}
        start = 0
        while start < len(words):
            noun, length = self._match(words, start)
            if noun is not None:
                found[noun] = None
            start += length
        return list(found)

    def many(self, texts: Sequence[str]) -> List[List[str]]:
        """Return the distinct nouns of each of several captions."""
        return [self(text) for text in texts]

    def _match(self, words: List[str],
               start: int) -> Tuple[Optional[str], int]:
        """Return the noun of the longest entry that begins at a word.

        Returns:
            The noun and the number of words of the entry; None and 1 if no
            entry begins there.
        """
        for length in range(min(self.longest, len(words) - start), 0, -1):
            *first, last = words[start:start + length]
            for ending in (last, *singulars(last)):
                noun = self.noun_of.get((*first, ending))
                if noun is not None:
                    return noun, length
        return None, 1
