"""TextBank: equation, cache, files, vocabularies (T16 and T17)."""
import copy
import warnings

import numpy as np
import pytest
import torch
from functional.words.test_noun_region import sine_rows
from torch import nn
from torch.nn.functional import normalize

from mmpixsort.text import bank as text_bank
from mmpixsort.text.bank import TextBank
from mmpixsort.text.bank_file import read_text_bank
from mmpixsort.text.templates import TEMPLATES, check_templates
from mmpixsort.text.vocabulary import canonical_word
from mmpixsort.registry import MODELS


class Tower(nn.Module):
    """A text tower that sums letters, and counts the texts it is given."""

    def __init__(self, dims=6):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.randn(256, dims, generator=g))
        self.texts = []

    def encode_text(self, texts):
        self.texts += texts
        return normalize(torch.stack([
            sum(self.table[ord(letter) % 256] * (i + 1)
                for i, letter in enumerate(text)) for text in texts]), dim=1)


WORDS = ['cat', 'dog', 'traffic light']


@pytest.fixture
def tower():
    return Tower()


def made(tower, classes=WORDS, **settings):
    bank = TextBank(classes=classes, **settings)
    bank.ensure(tower.encode_text)
    return bank


def test_text_bank__t16():
    rows = sine_rows(6, 8)
    texts = [f'{name} {i}' for name in 'abc' for i in range(2)]
    bank = TextBank(classes=['a', 'c'], aliases=dict(a=['a', 'b']),
                    templates=['{} 0', '{} 1'])
    bank.ensure(lambda words: rows[[texts.index(word) for word in words]])
    got = bank(sine_rows(2, 8, .05, .3))
    want = [[-.001648, -.047415], [.003756, .046441]]
    assert torch.allclose(got, torch.tensor(want).double(), atol=1e-6)


@pytest.mark.parametrize('templates', ['none', 'simple', 'subset', 'varied',
                                       ['one {}', '{}s']])
def test_text_bank__equals_loop(tower, templates):
    aliases = dict(dog=['dog', 'puppy', 'hound'], cat=['kitten'])
    bank = made(tower, aliases=aliases, templates=templates)
    g = torch.Generator().manual_seed(1)
    points = torch.randn(2, 3, 6, generator=g)
    got = bank(points)
    assert got.shape == (2, 3, 3) and bank.num_classes == 3
    for c, word in enumerate(WORDS):
        best = torch.full((2, 3), -9.)
        for name in aliases.get(word, [word]):
            texts = [t.format(name) for t in check_templates(templates)]
            row = normalize(tower.encode_text(texts).mean(0), dim=0)
            best = best.maximum(normalize(points, dim=2) @ row)
        assert torch.allclose(got[..., c], best, atol=1e-6)


def test_text_bank__point_zero_and_gradient(tower):
    bank = made(tower, aliases=dict(cat=['cat', 'kitten']))
    points = torch.zeros(2, 6)
    points[1, 0] = 3
    points.requires_grad_()
    bank(points).sum().backward()
    assert (bank(points)[0] == 0).all()
    assert points.grad.isfinite().all() and not bank.state_dict()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_text_bank__compares_in_float32(tower, dtype):
    bank = made(tower)
    points = torch.randn(4, 6).to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got = bank(points)
    assert got.dtype == torch.float32
    assert torch.allclose(got, bank(points.float()))


def test_text_bank__order_follows_the_vocabulary(tower):
    points = torch.randn(4, 6)
    want = made(tower)(points)
    got = made(tower, WORDS[::-1])(points)
    assert torch.allclose(got, want.flip(1))


def test_text_bank__encodes_a_name_once(tower):
    bank = made(tower)
    assert len(tower.texts) == 3
    bank.set_vocabulary(['dog', 'bird'], encode=tower.encode_text)
    assert tower.texts[3:] == ['a photo of a bird.']
    bank.set_vocabulary(WORDS, encode=tower.encode_text)
    bank.forget()
    bank.ensure(tower.encode_text)
    assert len(tower.texts) == 4


def test_text_bank__new_weights_are_encoded_anew(tower):
    bank = made(tower)
    before = bank.embeddings
    with torch.no_grad():
        tower.table.add_(torch.randn(256, 6))
    bank.set_vocabulary(WORDS, encode=tower.encode_text)
    assert len(tower.texts) == 6
    assert not torch.allclose(bank.embeddings, before)
    bank.set_vocabulary(WORDS, encode=tower.encode_text, fingerprint='x')
    bank.set_vocabulary(WORDS, encode=tower.encode_text, fingerprint='x')
    assert len(tower.texts) == 9
    # rows of one state of the weights are kept, not those of the last
    bank.set_vocabulary(WORDS, encode=tower.encode_text)
    assert len(tower.texts) == 12


def test_text_bank__function_without_weights_is_never_cached(tower):
    bank = TextBank(classes=WORDS)
    for _ in range(2):
        bank.set_vocabulary(WORDS, encode=lambda x: tower.encode_text(x))
    assert len(tower.texts) == 6


def test_text_bank__loading_weights_forgets(tower):
    model = nn.ModuleDict(dict(tower=tower, bank=made(tower)))
    other = nn.ModuleDict(dict(tower=Tower(), bank=TextBank(classes=['x'])))
    nn.init.normal_(other.tower.table)
    model.load_state_dict(other.state_dict())  # of another vocabulary
    assert model.bank.classes == tuple(WORDS) and not model.bank.is_ready
    with pytest.raises(RuntimeError, match='has no embeddings: call `ensure'):
        model.bank(torch.zeros(6))
    with pytest.raises(ValueError, match='`encode` must be given'):
        model.bank.set_vocabulary(['cat'])
    model.bank.ensure(tower.encode_text)
    want = made(other.tower)
    assert torch.equal(model.bank.embeddings, want.embeddings)


def test_text_bank__file_survives_loading_of_weights(tower, tmp_path):
    made(tower).save(tmp_path / 'x.npz')
    bank = TextBank(file=tmp_path / 'x.npz')
    nn.ModuleList([bank]).load_state_dict({})
    bank.forget()
    bank.ensure()
    assert bank.is_ready and bank.classes == tuple(WORDS)


def other_tower():
    """Of equal dims."""
    other = Tower()
    nn.init.normal_(other.table, generator=torch.Generator().manual_seed(5))
    return other


def saved(tower, path, fingerprint=None, **settings):
    bank = made(tower, **settings)
    if fingerprint is not None:
        bank.fingerprint = fingerprint
    bank.save(path)
    return TextBank(file=path)


@pytest.mark.parametrize('templates', ['simple', 'subset', 'none'])
def test_text_bank__file_of_another_tower_is_refused(tower, tmp_path,
                                                     templates):
    bank = saved(tower, tmp_path / 'x.npz', templates=templates)
    for _ in range(2):  # not only the first time
        with pytest.raises(
                ValueError, match="those of the text tower .* a cosine of .*"
                "'cat' and 'traffic light'.*build the"):
            bank.ensure(other_tower().encode_text)
    bank.ensure(tower.encode_text)  # its own
    count = len(tower.texts)
    bank.ensure(tower.encode_text)
    assert len(tower.texts) == count  # asked once


def test_text_bank__file_is_compared_again_after_weights_change(
        tower, tmp_path):
    bank = saved(tower, tmp_path / 'x.npz')
    bank.ensure(tower.encode_text)
    model = nn.ModuleDict(dict(tower=tower, bank=bank))
    model.load_state_dict({'tower.table': other_tower().table})
    with pytest.raises(ValueError, match='those of the text tower'):
        bank.ensure(tower.encode_text)
    bank = saved(tower, tmp_path / 'x.npz')
    bank.ensure(tower.encode_text)
    tower.table.data = other_tower().table.data * -1
    bank.forget()  # as a training does
    with pytest.raises(ValueError, match='those of the text tower'):
        bank.ensure(tower.encode_text)


def test_text_bank__file_of_the_same_tower_in_other_company(tower, tmp_path):
    # another image tower changes the hash of all weights, not the texts
    bank = saved(tower, tmp_path / 'x.npz', fingerprint='another hash')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        bank.ensure(tower.encode_text)
        saved(tower, tmp_path / 'x.npz', fingerprint='').ensure(
            tower.encode_text)
        saved(tower, tmp_path / 'x.npz').ensure(tower.half().encode_text)


def test_text_bank__file_that_does_not_say_is_warned_about(tower, tmp_path):
    bank = saved(tower, tmp_path / 'x.npz', fingerprint='')
    with pytest.warns(UserWarning, match='those of the text tower .* does '
                      'not say which weights'):
        bank.ensure(other_tower().encode_text)
    assert bank.is_ready


def test_text_bank__encoder_that_does_not_know_the_words(tower, tmp_path):

    def encode(texts):
        raise ValueError(f'no {texts[0]}')

    bank = saved(tower, tmp_path / 'x.npz')
    with pytest.raises(ValueError, match='no embedding: no a photo of a cat'):
        bank.ensure(encode)
    bank.ensure(encode, fingerprint=bank.fingerprint)
    bank = saved(tower, tmp_path / 'x.npz', fingerprint='')
    with pytest.warns(UserWarning, match='no embedding: no a photo of a cat'):
        bank.ensure(encode)


def test_text_bank__follows_the_module(tower):
    bank = made(tower).to(torch.float64)
    assert bank.embeddings.dtype == torch.float64
    bank.set_vocabulary(['cat'], encode=tower.encode_text)
    assert bank.embeddings.dtype == torch.float64
    bank = bank.to('meta')
    assert bank.embeddings.is_meta and bank.owners.is_meta


@pytest.mark.gpu
def test_text_bank__follows_the_module_to_a_gpu(tower):
    bank = TextBank(classes=WORDS, aliases=dict(cat=['cat', 'kitten'])).cuda()
    bank.ensure(tower.cuda().encode_text)
    assert bank(torch.randn(2, 6).cuda()).is_cuda


def test_text_bank__file_is_bit_equal(tower, tmp_path):
    bank = made(tower, aliases=dict(dog=['dog', 'puppy']),
                templates='subset')
    bank.save(tmp_path / 'x.npz')
    other = MODELS.build(dict(
        type='mmpixsort.TextBank', file=tmp_path / 'x.npz'))
    assert torch.equal(other.embeddings, bank.embeddings)
    assert torch.equal(other.owners, bank.owners)
    assert (other.classes, other.aliases, other.templates,
            other.fingerprint) == (bank.classes, bank.aliases,
                                   bank.templates, bank.fingerprint)
    points = torch.randn(5, 6)
    assert torch.equal(other(points), bank(points))
    other.save(tmp_path / 'y.npz')
    assert torch.equal(
        read_text_bank(tmp_path / 'y.npz').embeddings, bank.embeddings)
    # same weights: what the file has is not encoded again
    count = len(tower.texts)
    other.set_vocabulary(['cat'], encode=tower.encode_text)
    assert len(tower.texts) == count


def test_text_bank__part_of_a_file_and_back(tower, tmp_path):
    points = torch.randn(5, 6)
    whole = made(tower, aliases=dict(dog=['dog', 'puppy']))
    whole.save(tmp_path / 'x.npz')
    bank = TextBank(classes=['dog', 'cat'], file=tmp_path / 'x.npz')
    assert torch.allclose(bank(points), whole(points)[:, [1, 0]])
    bank.set_vocabulary(['puppy'])
    assert bank(points).shape == (5, 1)
    bank.set_vocabulary(WORDS)
    assert torch.equal(bank(points), whole(points))
    bank.set_vocabulary(['pet'], dict(pet=['cat', 'dog', 'puppy']))
    want = whole(points)[:, :2].amax(1, keepdim=True)
    assert torch.allclose(bank(points), want)


def test_text_bank__unknown_word_is_named(tower, tmp_path):
    made(tower).save(tmp_path / 'x.npz')
    text = "unknown word 'cow'; the bank has cat, dog, traffic light"
    with pytest.raises(ValueError, match=text):
        TextBank(classes=['cat', 'cow'], file=tmp_path / 'x.npz')
    bank = made(tower)
    before = bank.embeddings
    with pytest.raises(ValueError, match=text):
        bank.set_vocabulary(['cow'])
    assert bank.classes == tuple(WORDS) and bank.embeddings is before


def test_text_bank__one_form_of_unicode(tower):
    composed, decomposed = 'caf\u00e9', ' cafe\u0301 '
    assert canonical_word(decomposed) == composed
    bank = made(tower, [decomposed], aliases={composed: ['cafe\u0301 bar']})
    assert bank.classes == (composed, )
    assert bank.aliases == {composed: (f'{composed} bar', )}
    with pytest.raises(ValueError, match='must differ .* got twice'):
        TextBank(classes=[composed, decomposed])


def test_text_bank__one_word(tower):
    assert made(tower, ['cat'])(torch.randn(2, 3, 6)).shape == (2, 3, 1)


def test_text_bank__copies_with_its_model(tower):
    bank = copy.deepcopy(made(tower))
    bank.set_vocabulary(['dog'])
    assert bank.is_ready and 'num_classes=1' in repr(bank)


@pytest.mark.parametrize('change, error, text', [
    (dict(classes=[]), ValueError, '`classes` must contain at least one'),
    (dict(classes='cat'), TypeError, r"write \['cat'\]"),
    (dict(classes=['cat', ' ']), ValueError, "must not be empty, got ' '"),
    (dict(classes=['cat', 3]), TypeError, 'a string, got int 3'),
    (dict(classes=['cat', 'dog', 'cat']), ValueError, 'got twice: cat'),
    (dict(aliases=dict(cow=['cow'])), ValueError,
     "must be classes, got 'cow'; the classes are cat, dog"),
    (dict(aliases=dict(cat=[])), ValueError, 'must contain at least one name'),
    (dict(aliases=dict(cat='kitten')), TypeError, "the string 'kitten'"),
    (dict(aliases=dict(cat=['dog'])), ValueError,
     "each name to one class, got 'dog' for 'cat' and 'dog'"),
    (dict(classes=None, aliases=dict(a='b')), ValueError,
     '`classes` must be given with `aliases`'),
    (dict(templates='many'), ValueError, '`templates` must be one of none, '),
    (dict(templates=[]), ValueError, '`templates` must contain at least'),
    (dict(templates=['a photo']), ValueError, 'with one {} in place'),
    (dict(templates=['a {size} {}']), ValueError, 'and no other braces'),
    (dict(templates=['a {} }']), ValueError, 'and no other braces'),
    (dict(templates=['a {{}}']), ValueError, 'and no other braces'),
    (dict(templates=['a {0} {}']), ValueError, r"got 'a \{0\} \{\}'"),
    (dict(templates=['{}', '{}']), ValueError, '`templates` must differ'),
])
def test_text_bank__bad_input(change, error, text):
    with pytest.raises(error, match=text):
        TextBank(**{'classes': WORDS, **change})


@pytest.mark.parametrize('encode, text', [
    (lambda texts: torch.ones(1, 4), 'a row for each of 3 texts'),
    (lambda texts: torch.full((len(texts), 4), float('nan')),
     "zeros for 'cat'; check that the"),
    (lambda texts: torch.zeros(len(texts), 4), 'finite rows that are not 0'),
])
def test_text_bank__bad_encoder(encode, text):
    bank = TextBank(classes=WORDS)
    with pytest.raises(ValueError, match=text):
        bank.ensure(encode)
    assert not bank.is_ready


def test_text_bank__not_ready(tower, tmp_path):
    with pytest.raises(ValueError, match='`classes` of the bank'):
        TextBank().ensure(tower.encode_text)
    with pytest.raises(RuntimeError, match='no embeddings to save'):
        TextBank(classes=WORDS).save(tmp_path / 'x.npz')
    with pytest.raises(ValueError, match='must have 6 dims'):
        made(tower)(torch.zeros(5))
    with pytest.raises(ValueError, match='must end in .npz'):
        made(tower).save(tmp_path / 'x.pth')


def test_text_bank__damaged_files(tower, tmp_path):
    path = tmp_path / 'x.npz'
    with pytest.raises(FileNotFoundError, match='not found; make one with'):
        TextBank(file=path)
    made(tower).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="truncated, was changed, or is"):
        TextBank(file=path)
    np.savez(path, embeddings=np.array([{}], object))
    with pytest.raises(ValueError, match='cannot be read'):
        TextBank(file=path)


@pytest.mark.parametrize('bad', [np.nan, np.inf, 0., 1000.])
def test_text_bank__rows_of_a_file_must_be_unit_rows(tower, tmp_path, bad):
    path = tmp_path / 'x.npz'
    made(tower).save(path)
    arrays = dict(np.load(path))
    arrays['embeddings'][1] *= bad
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match='unit row for each name'):
        TextBank(file=path)


def test_text_bank__names_that_are_kept_are_bounded(tower, monkeypatch):
    monkeypatch.setattr(text_bank, 'MAX_CACHED', 3)
    bank = made(tower)
    for word in WORDS:
        bank.set_vocabulary([word], encode=tower.encode_text)
        assert bank.classes == (word, ) and bank.is_ready
    assert len(tower.texts) == 3  # all are kept
    bank.set_vocabulary(['bird'], encode=tower.encode_text)
    assert len(tower.texts) == 4
    # a fourth has driven the others out
    bank.set_vocabulary(WORDS, encode=tower.encode_text)
    assert len(tower.texts) == 7


def test_templates__differ_and_hold_one_place():
    for templates in TEMPLATES:
        assert check_templates(templates) == TEMPLATES[templates]
        assert check_templates(TEMPLATES[templates])
    assert [len(t) for t in TEMPLATES.values()] == [1, 1, 7, 32]
