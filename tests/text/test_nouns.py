"""Nouns by a word list: longest match, plurals, scripts, files."""
import itertools
import unicodedata

import pytest

from mmpixsort.text.nouns import (LexiconExtractor, fold_text, read_lexicon,
                                  singulars, folded_words)

WORDS = {'dog': ['puppy', 'hound'], 'hot dog': ['frankfurter'],
         'hot dog stand': [], 'bus': [], 'knife': [], 'leaf': [],
         'city': [], 'glass': [], 'person': ['people', 'man'],
         'café': [], 'traffic light': ['stop light']}


@pytest.fixture(scope='module')
def extract():
    return LexiconExtractor(WORDS)


@pytest.fixture(scope='module')
def everyday():
    return LexiconExtractor.from_file()


@pytest.mark.parametrize('text, nouns', [
    ('', []),
    ('  ...!', []),
    ('Nothing of the kind', []),
    ('A dog', ['dog']),
    ('A dog, a DOG and a puppy', ['dog']),  # repeated, by an alias
    ('dogs and puppies', ['dog']),
    ('a hot dog', ['hot dog']),
    ('two hot dogs, one dog', ['hot dog', 'dog']),
    ('the hot dog stand', ['hot dog stand']),
    ('the hot-dog stand', ['hot dog stand']),
    ('it is hot. dog asleep', ['dog']),  # a mark parts words
    ('buses, knives, leaves, cities and glasses',
     ['bus', 'knife', 'leaf', 'city', 'glass']),
    ('doghouse, busy, grass', []),  # parts of words
    ("the dog's bone, the dogs\u2019 bones", ['dog']),
    ('men at traffic lights', ['person', 'traffic light']),
    ('frankfurters', ['hot dog']),
])
def test_lexicon__finds_the_longest_names(extract, text, nouns):
    assert extract(text) == nouns


@pytest.mark.parametrize('form', ['NFC', 'NFD', 'NFKC'])
def test_lexicon__unicode_forms_are_equal(extract, form):
    text = unicodedata.normalize(form, 'Ein CAFÉ, zwei Cafés')
    assert extract(text) == ['café']


@pytest.mark.parametrize('word', ['猫', 'किताब', 'кошка', 'straße', 'kedi'])
def test_lexicon__any_script(word):
    extract = LexiconExtractor([word])
    assert extract(f'x {word.upper()}, y') == [fold_text(word)]
    assert extract(f'x{word}y') == []


def test_lexicon__equals_a_slow_search(extract):
    names = {tuple(folded_words(name)): noun
             for noun, others in WORDS.items() for name in (noun, *others)}
    pool = ['hot', 'dog', 'stand', 'traffic', 'light', ',', 'people']
    for words in itertools.product(pool, repeat=4):
        left, found = list(words), []
        while left:
            best = max((key for key in names
                        if tuple(left[:len(key)]) == key),
                       key=len, default=None)
            if best and names[best] not in found:
                found.append(names[best])
            left = left[len(best or 'x'):]
        assert extract(' '.join(words)) == found


def test_lexicon__many_is_one_after_the_other(everyday):
    texts = ['A man and two cats', '', 'hot dogs on plates']
    assert everyday.many(texts) == [everyday(text) for text in texts] == [
        ['person', 'cat'], [], ['hot dog', 'plate']]


def test_everyday_list__is_large_and_finds_itself(everyday):
    assert len(everyday.nouns) > 300
    for noun in everyday.nouns:
        assert everyday(f'the {noun} there') == [noun]


def test_lexicon__fingerprint_follows_the_words():
    prints = {LexiconExtractor(words).fingerprint for words in (
        ['a1', 'b1'], ['a1'], {'a1': ['b1']}, {'b1': ['a1']})}
    assert len(prints) == 4
    assert LexiconExtractor(['b1', 'a1']).fingerprint in prints


@pytest.mark.parametrize('words, error, text', [
    ('dog', TypeError, 'from_file'),
    ({'dog': ['hound'], 'fox': ['hound']}, ValueError, "'hound' for 'dog'"),
    (['dog', ' '], ValueError, 'a letter'),
    (["'"], ValueError, 'a letter'),
])
def test_lexicon__bad_words(words, error, text):
    with pytest.raises(error, match=text):
        LexiconExtractor(words)


def test_read_lexicon__comments_aliases_and_marks(tmp_path):
    path = tmp_path / 'words.txt'
    path.write_text('\ufeff# animals\nDog: Puppy, hound  # both\n\nox\n',
                    encoding='utf-8')
    assert read_lexicon(path) == {'dog': ['Puppy', 'hound'], 'ox': []}


@pytest.mark.parametrize('content, text', [
    ('dog\nDOG: puppy\n', ':2: expected a noun that is on'),
    (': puppy\n', ':1: expected'), ('# nothing\n', 'got none')])
def test_read_lexicon__bad_files(tmp_path, content, text):
    path = tmp_path / 'words.txt'
    path.write_text(content)
    with pytest.raises(ValueError, match=text):
        read_lexicon(path)
    with pytest.raises(FileNotFoundError, match='one noun per line'):
        read_lexicon(tmp_path / 'none.txt')


@pytest.mark.parametrize('word, singular', [
    ('cities', 'city'), ('wolves', 'wolf'), ('knives', 'knife'),
    ('children', 'child'), ('boxes', 'box'), ('horses', 'horse')])
def test_singulars__hold_the_right_one(word, singular):
    assert singular in list(singulars(word))


@pytest.mark.parametrize('word', ['grass', 'is', 'dog', ''])
def test_singulars__of_no_plural(word):
    assert list(singulars(word)) == []


def test_from_file__everyday_by_name(everyday):
    found = LexiconExtractor.from_file('everyday')
    assert found.fingerprint == everyday.fingerprint
