"""Extract nouns from captions with spaCy or NLTK, without a word list.

Both need models that must be installed beforehand; nothing is downloaded
here. The results depend on the versions of the library and of the model,
unlike the results of a word list (:mod:`.nouns`).
"""
from pathlib import Path
from typing import List, Optional, Sequence, Union

from mmpixsort.functional.checks import check_choice
from mmpixsort.utils.extras import extra_error

from .nouns import LexiconExtractor, fold_text, singulars

KINDS = ('lexicon', 'spacy', 'nltk')
NLTK_DATA = ('punkt_tab', 'averaged_perceptron_tagger_eng')


def build_extractor(kind: str = 'lexicon',
                    *,
                    lexicon: Optional[Union[str, Path]] = None,
                    spacy_model: str = 'en_core_web_sm'):
    """Build a noun extractor of the given kind.

    An extractor is called with one caption, or `many(texts)` with several.

    Args:
        kind: Kind of extractor: 'lexicon', 'spacy' or 'nltk'.
        lexicon: Path of the word list, for kind 'lexicon'; None means the
            list of everyday nouns in this package.
        spacy_model: Name or folder of an installed spaCy model, for kind
            'spacy'.
    """
    check_choice('kind', kind, KINDS)
    if kind == 'lexicon':
        return LexiconExtractor.from_file(lexicon)
    if lexicon is not None:
        raise ValueError(f'`lexicon` must be None with {kind!r}, got '
                         f'{str(lexicon)!r}; only \'lexicon\' uses it')
    return SpacyExtractor(spacy_model) if kind == 'spacy' else NltkExtractor()


class SpacyExtractor:
    """Extract nouns with the parser of spaCy.

    For each noun chunk, the result is its head noun in the singular,
    preceded by the nouns that form a compound with it.

    Args:
        model: Name or folder of an installed spaCy model with a parser.

    Raises:
        ImportError: If spaCy or the model is missing.
    """

    def __init__(self, model: str = 'en_core_web_sm') -> None:
        try:
            import spacy
        except ImportError as error:
            raise extra_error(
                'this parser needs spaCy', 'text-nlp', error) from error
        try:
            self.pipeline = spacy.load(model)
        except OSError as error:
            raise ImportError(
                f'the model {model!r} of spaCy is missing; install it with '
                f'`python -m spacy download {model}`, or give the folder of '
                'a model') from error
        meta = self.pipeline.meta
        self.fingerprint = f'spacy {meta.get("name")} {meta.get("version")}'

    def __call__(self, text: str) -> List[str]:
        """Return the distinct nouns of a caption, in order."""
        return self.many([text])[0]

    def many(self, texts: Sequence[str]) -> List[List[str]]:
        """Return the distinct nouns of each of several captions."""
        return [self._nouns(doc) for doc in self.pipeline.pipe(texts)]

    def _nouns(self, doc) -> List[str]:
        found = {}
        for chunk in doc.noun_chunks:
            head = chunk.root
            if head.pos_ not in ('NOUN', 'PROPN'):
                continue
            words = [word.text for word in chunk
                     if word.dep_ == 'compound' and word.i < head.i]
            found[fold_text(' '.join([*words, head.lemma_]))] = None
        return list(found)


class NltkExtractor:
    """Extract common nouns with the part-of-speech tagger of NLTK.

    Consecutive nouns, such as 'traffic light', are returned as one.

    Raises:
        ImportError: If NLTK or its data is missing.
    """

    def __init__(self) -> None:
        try:
            import nltk
        except ImportError as error:
            raise extra_error(
                'this parser needs NLTK', 'text-nlp', error) from error
        self.nltk = nltk
        self.fingerprint = f'nltk {nltk.__version__}'
        try:
            self('a dog')
        except LookupError as error:
            raise ImportError(
                'data of NLTK is missing; install it with `python -m '
                f'nltk.downloader {" ".join(NLTK_DATA)}`') from error

    def __call__(self, text: str) -> List[str]:
        """Return the distinct nouns of a caption, in order."""
        tagged = self.nltk.pos_tag(self.nltk.word_tokenize(text))
        found, run = {}, []
        for word, tag in [*tagged, ('', '')]:
            if tag in ('NN', 'NNS'):
                # there is no word list to choose a singular, so take the
                # most likely one
                run.append(next(singulars(word.casefold()), word)
                           if tag == 'NNS' else word)
            elif run:
                found[fold_text(' '.join(run))] = None
                run = []
        return list(found)

    def many(self, texts: Sequence[str]) -> List[List[str]]:
        """Return the distinct nouns of each of several captions."""
        return [self(text) for text in texts]
