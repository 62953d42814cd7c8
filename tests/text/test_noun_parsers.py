"""Extractors by spaCy and NLTK, against stand-ins: neither is a must."""
import sys
from types import SimpleNamespace as Fake

import pytest

from mmpixsort.text.noun_parsers import build_extractor


def test_build_extractor__lexicon(tmp_path):
    path = tmp_path / 'words.txt'
    path.write_text('gizmo\n')
    assert build_extractor(lexicon=path)('two gizmos') == ['gizmo']
    assert build_extractor()('two gizmos, a cat') == ['cat']


@pytest.mark.parametrize('kind', ['spacy', 'nltk'])
def test_build_extractor__missing_library_names_the_extra(monkeypatch, kind):
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(ImportError, match=r'mmpixsort\[text-nlp\]'):
        build_extractor(kind)


def test_build_extractor__bad_arguments():
    with pytest.raises(ValueError, match='`kind` must be one of lexicon'):
        build_extractor('magic')
    with pytest.raises(ValueError, match="belongs to 'lexicon'"):
        build_extractor('nltk', lexicon='words.txt')


def _spacy(load):
    return Fake(load=load)


def test_spacy__missing_model_is_named(monkeypatch):
    def load(name):
        raise OSError(f"can't find {name}")
    monkeypatch.setitem(sys.modules, 'spacy', _spacy(load))
    with pytest.raises(ImportError, match='spacy download tiny_model'):
        build_extractor('spacy', spacy_model='tiny_model')


def test_spacy__heads_of_chunks_with_compounds(monkeypatch):
    def word(i, text, lemma, pos, dep):
        return Fake(i=i, text=text, lemma_=lemma, pos_=pos, dep_=dep)

    class Chunk(list):
        root = property(lambda self: self[-1])
    dogs = Chunk([word(0, 'the', 'the', 'DET', 'det'),
                  word(1, 'Hot', 'hot', 'NOUN', 'compound'),
                  word(2, 'dogs', 'dog', 'NOUN', 'nsubj')])
    they = Chunk([word(4, 'they', 'they', 'PRON', 'nsubj')])
    pipeline = Fake(
        meta=dict(name='tiny', version='1'),
        pipe=lambda texts: [Fake(noun_chunks=[dogs, they, dogs])
                            for _ in texts])
    monkeypatch.setitem(sys.modules, 'spacy', _spacy(lambda name: pipeline))
    extract = build_extractor('spacy')
    assert extract('the Hot dogs, they') == ['hot dog']
    assert extract.fingerprint == 'spacy tiny 1'


def _nltk(tags):
    return Fake(
        __version__='3.9.1', word_tokenize=str.split,
        pos_tag=lambda words: [(word, tags.get(word, 'DT'))
                               for word in words])


def test_nltk__joins_neighbours(monkeypatch):
    tags = dict(Traffic='NN', lights='NNS', dog='NN', runs='VBZ')
    monkeypatch.setitem(sys.modules, 'nltk', _nltk(tags))
    extract = build_extractor('nltk')
    assert extract('the Traffic lights runs a dog') == [
        'traffic light', 'dog']
    assert extract.many(['', 'dog dog']) == [[], ['dog dog']]


def test_nltk__missing_data_is_named(monkeypatch):
    def fail(text):
        raise LookupError('punkt_tab')
    library = _nltk({})
    library.word_tokenize = fail
    monkeypatch.setitem(sys.modules, 'nltk', library)
    with pytest.raises(ImportError, match='nltk.downloader punkt_tab'):
        build_extractor('nltk')
