"""Captions: three formats that read alike, and what is wrong with a file."""
import json
import sys

import pytest

from mmpixsort.text.captions import (Caption, caption_statistics,
                                     group_by_image, read_captions, with_nouns)

CAPTIONS = [
    Caption('a.jpg', 'Two dogs, "one" ball', ('dog', 'ball')),
    Caption('a.jpg', 'Ein Café\nmit Öl', ('café', )),
    Caption('sub/b.jpg', 'nothing; here', ()),
]


def _entry(caption):
    return dict(img_path=caption.img_path, caption=caption.text,
                nouns=list(caption.nouns))


def _jsonl(path):
    path.write_text('\n\n'.join(
        json.dumps(_entry(c), ensure_ascii=False) for c in CAPTIONS),
        encoding='utf-8')


def _table(path):
    mark = '\t' if path.suffix == '.tsv' else ','
    rows = [mark.join(['img_path', 'nouns', 'caption'])]
    for c in CAPTIONS:
        text = c.text
        if mark == ',':
            text = '"' + text.replace('"', '""') + '"'
        rows.append(mark.join([c.img_path, ';'.join(c.nouns), text]))
    path.write_text('\n'.join(rows), encoding='utf-8-sig')


def _coco(path):
    path.write_text(json.dumps(dict(
        images=[dict(id=7, file_name='a.jpg'),
                dict(id=9, file_name='sub/b.jpg')],
        annotations=[
            dict(image_id={'a.jpg': 7, 'sub/b.jpg': 9}[c.img_path], id=i,
                 caption=c.text, nouns=list(c.nouns))
            for i, c in reversed(list(enumerate(CAPTIONS)))])))


@pytest.mark.parametrize('name, write', [
    ('x.jsonl', _jsonl), ('x.csv', _table), ('x.tsv', _table),
    ('x.json', _coco)])
def test_read_captions__formats_read_alike(tmp_path, name, write,
                                           monkeypatch):
    if name == 'x.tsv':  # whose rows are lines
        monkeypatch.setattr(sys.modules[__name__], 'CAPTIONS', [
            c._replace(text=c.text.replace('\n', ' ')) for c in CAPTIONS])
    write(tmp_path / name)
    assert list(read_captions(tmp_path / name)) == CAPTIONS


@pytest.mark.parametrize('texts', [
    ['"A cat', 'a dog', 'an owl"'], ['a 5" disk', 'say ""', '"'],
    ['"quoted"', ', ;', '\'']])
def test_read_captions__quotes_of_a_tsv_are_letters(tmp_path, texts):
    rows = ['img_path\tcaption', *(
        f'{k}.jpg\t{text}' for k, text in enumerate(texts))]
    (tmp_path / 'x.tsv').write_text('\n'.join(rows))
    assert list(read_captions(tmp_path / 'x.tsv')) == [
        Caption(f'{k}.jpg', text) for k, text in enumerate(texts)]


def test_read_captions__counts_the_lines_of_a_csv(tmp_path):
    path = tmp_path / 'x.csv'
    path.write_text('img_path,caption\na,"one\ntwo"\n\nb,"x"\nc,d,e\n')
    captions = read_captions(path)
    assert [next(captions).text for _ in range(2)] == ['one\ntwo', 'x']
    with pytest.raises(ValueError, match='x.csv:6: expected 2 values'):
        next(captions)


@pytest.mark.parametrize('nouns, read', [
    (['Dog', 'dog ', '', 'DOG'], ('dog', )),
    (['Cafe\u0301', 'hot  dog'], ('caf\u00e9', 'hot dog')), ([], ())])
def test_read_captions__folds_nouns(tmp_path, nouns, read):
    path = tmp_path / 'x.jsonl'
    path.write_text(json.dumps(dict(img_path='a', caption='', nouns=nouns)))
    assert next(read_captions(path)).nouns == read


@pytest.mark.parametrize('name, content, text', [
    ('x.jsonl', '{"img_path": "a"}', 'x.jsonl:1: expected a string `caption`'),
    ('x.jsonl', '{"img_path": "", "caption": ""}', 'string `img_path`'),
    ('x.jsonl', '\n{"img_path"', r'x.jsonl:2: expected a JSON object'),
    ('x.jsonl', '[1]', 'expected a string `img_path`'),
    ('x.jsonl', '{"img_path": "a", "caption": "", "nouns": "dog"}',
     'a list of strings `nouns`'),
    ('x.csv', 'path,caption\na,b', 'x.csv:2: expected a string `img_path`'),
    ('x.csv', 'img_path,caption\na', 'x.csv:2: expected a string `caption`'),
    ('x.csv', 'img_path,caption,nouns\na,A cat, a dog,cat;dog',
     r'x.csv:2: expected 3 values \(img_path, caption, nouns\), got 4: .*A c'),
    ('x.csv', 'img_path,caption\na,A cat, a dog', 'got 3: .* quote values'),
    ('x.csv', 'img_path,caption,nouns\na,b', 'expected 3 values .*, got 2'),
    ('x.csv', 'img_path,caption\na,b\nb,"c', 'x.csv:3: expected a row'),
    ('x.csv', 'img_path,caption\na,"b" c', 'x.csv:2: expected a row'),
    ('x.csv', 'img_path,caption,caption\na,b,c', 'each column once'),
    ('x.tsv', 'img_path\tcaption\na\tb\nb\t"c\td"',
     'x.tsv:3: .* no quoting'),
    ('x.tsv', 'img_path\tnouns\tcaption\na\t\t"b\nc"',
     'x.tsv:3: expected a string `caption`'),
    ('x.json', '[]', 'must end in .jsonl'),
    ('x.json', '{"images": [], "annotations": [{"image_id": 3, "id": 1}]}',
     'annotation 1: expected an `image_id`'),
    ('x.json', '{"images": [{"id": 3}], "annotations": []}',
     'each of the images of .*x.json. must have `file_name`, got'),
    ('x.json', '{"images": [], "annotations": [{"caption": "a"}]}',
     'each of the annotations of .*x.json. must have `image_id`, got'),
    ('x.txt', '', 'must end in one of .jsonl'),
])
def test_read_captions__says_where_it_is_wrong(tmp_path, name, content, text):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=text):
        list(read_captions(tmp_path / name))


def test_read_captions__missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.jsonl'):
        read_captions(tmp_path / 'none.jsonl')


def test_with_nouns__leaves_those_that_are_there():
    captions = [Caption('a', 'dog'), Caption('b', 'dog', ())]
    found = list(with_nouns(captions, lambda text: [text]))
    assert [c.nouns for c in found] == [('dog', ), ()]


def test_group_by_image__keeps_order():
    groups = group_by_image([*CAPTIONS[1:], CAPTIONS[0]])
    assert list(groups) == ['a.jpg', 'sub/b.jpg']
    assert groups['a.jpg'] == [CAPTIONS[1], CAPTIONS[0]]


def test_caption_statistics__hand_case():
    found = caption_statistics([*CAPTIONS, CAPTIONS[0]])
    assert found[:3] == (2, 4, 1)
    assert list(found.counts.items()) == [
        ('ball', 2), ('dog', 2), ('café', 1)]
    assert '25.0% of the captions without any' in str(found)
    assert caption_statistics([])[:3] == (0, 0, 0)
    assert 'none' in str(caption_statistics([]))


def test_read__refuses_addresses(tmp_path):
    path = tmp_path / 'x.csv'
    path.write_text('img_path,caption\nhttp://host/a.jpg,A dog')
    with pytest.raises(ValueError, match='images are never downloaded'):
        list(read_captions(path))
