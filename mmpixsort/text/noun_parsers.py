"""Nouns of captions by spaCy or NLTK, for words that no list foresees.

Both need models that they would fetch from the net; nothing is downloaded
here. Results depend on the version of library and model: a lexicon
(:mod:`.nouns`) does not.
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
    """Return an extractor: `many(texts)` gives the nouns of each.

    Args:
        kind: 'lexicon', 'spacy' or 'nltk'.
        lexicon: Word list of the lexicon; None: the everyday nouns.
        spacy_model: Name or folder of an installed model.
    """
    check_choice('kind', kind, KINDS)
    if kind == 'lexicon':
        return LexiconExtractor.from_file(lexicon)
    if lexicon is not None:
        raise ValueError(f'`lexicon` must be None with {kind!r}, got '
                         f'{str(lexicon)!r}; it belongs to \'lexicon\'')
    return SpacyExtractor(spacy_model) if kind == 'spacy' else NltkExtractor()


class SpacyExtractor:
    """Take the nouns that end spaCy's noun chunks, with their compounds.

    Args:
        model: Name or folder of an installed model with a parser.

    Raises:
        ImportError: When spaCy or the model is missing.
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
                f'the model {model!r} of spaCy is missing: python -m spacy '
                f'download {model}, or name a folder') from error
        meta = self.pipeline.meta
        self.fingerprint = f'spacy {meta.get("name")} {meta.get("version")}'

    def __call__(self, text: str) -> List[str]:
        """Return the nouns of a caption, each once, in order."""
        return self.many([text])[0]

    def many(self, texts: Sequence[str]) -> List[List[str]]:
        """Return the nouns of several captions."""
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
    """Join the neighbouring words that NLTK tags as common nouns.

    Raises:
        ImportError: When NLTK or its data is missing.
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
                'data of NLTK is missing: python -m nltk.downloader '
                f'{" ".join(NLTK_DATA)}') from error

    def __call__(self, text: str) -> List[str]:
        """Return the nouns of a caption, each once, in order."""
        tagged = self.nltk.pos_tag(self.nltk.word_tokenize(text))
        found, run = {}, []
        for word, tag in [*tagged, ('', '')]:
            if tag in ('NN', 'NNS'):
                # the likeliest singular, unchecked: there is no word list
                run.append(next(singulars(word.casefold()), word)
                           if tag == 'NNS' else word)
            elif run:
                found[fold_text(' '.join(run))] = None
                run = []
        return list(found)

    def many(self, texts: Sequence[str]) -> List[List[str]]:
        """Return the nouns of several captions."""
        return [self(text) for text in texts]
