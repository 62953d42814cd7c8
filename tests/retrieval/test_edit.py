"""Changes of a bank."""
from dataclasses import replace

import pytest
import torch
from retrieval.test_bank_file import make_bank, same
from torch.nn.functional import normalize

from mmpixsort.retrieval import (add, check_bank, cluster, images_named, info,
                                 merge, relabel, remove)


def test_remove__by_row_image_and_class():
    bank = make_bank()
    assert len(remove(bank, rows=[0, 3])) == 18
    assert (remove(bank, image='image_1.png').image_ids != 1).all()
    assert (remove(bank, name='tree').labels != 1).all()
    assert remove(bank, name='tree').meta == bank.meta


@pytest.mark.parametrize('image, numbers', [
    ('1.jpg', [0, 3]), ('val/1.jpg', [3]), ('data/train/1.jpg', [0]),
    ('./train/1.jpg', [0]), ('11.jpg', [1]), ('rain/1.jpg', None),
    ('.jpg', None), ('', None), ('train', None)])
def test_remove__an_image_by_its_last_folders(image, numbers):
    bank = make_bank(images=['data/train/1.jpg', 'data/train/11.jpg',
                             'data\\val\\21.jpg', 'data\\val\\1.jpg'])
    if numbers is None:
        with pytest.raises(ValueError, match='`image` must be the path'):
            remove(bank, image=image)
        return
    kept = set(range(4)) - set(numbers)
    assert set(remove(bank, image=image).image_ids.tolist()) == kept
    assert images_named(bank, image) == {
        bank.meta['images'][k]: 5 for k in numbers}


def test_relabel__to_a_new_class_and_back():
    bank = make_bank()
    changed = relabel(bank, old='tree', new='bush')
    assert changed.meta['classes'] == ['road', 'tree', 'car', 'bush']
    assert len(changed.meta['palette']) == 4
    assert torch.equal(changed.labels == 3, bank.labels == 1)
    back = relabel(changed, old='bush', new='tree')
    assert torch.equal(back.labels, bank.labels)
    some = relabel(bank, rows=[2], new='car')
    assert some.labels[2] == 2
    assert bank.meta['classes'] == ['road', 'tree', 'car']  # untouched


def test_merge__joins_classes_by_name():
    first = make_bank(0)
    second = make_bank(1, classes=['car', 'road', 'kerb'])
    joined = merge([first, second])
    assert joined.meta['classes'] == ['road', 'tree', 'car', 'kerb']
    names = [joined.meta['classes'][i] for i in joined.labels[20:]]
    assert names == [second.meta['classes'][i] for i in second.labels]
    images = [joined.meta['images'][i] for i in joined.image_ids[20:]]
    assert images == [second.meta['images'][i] for i in second.image_ids]
    assert same(merge([first]), first)
    check_bank(joined)


def test_merge__keeps_what_banks_share_once():
    first = make_bank(0)
    extended = merge([remove(first, rows=[0]), make_bank(1)])
    joined = merge([first, extended])
    assert len(joined) == 40
    assert joined.meta['images'] == merge(
        [first, make_bank(1)]).meta['images']
    assert same(merge([joined, first, joined]), joined)
    half = replace(first, features=normalize(
        first.features.double(), dim=1).half())
    assert len(merge([half, half])) == len(half)


def test_merge__keeps_two_names_of_a_segment():
    first = make_bank(0)
    other = relabel(first, rows=[4], new='tram')
    joined = merge([first, other])
    assert len(joined) == 21
    assert joined.meta['classes'][joined.labels[20]] == 'tram'
    assert torch.equal(joined.boxes[20], first.boxes[4])


def test_merge__tells_segments_of_other_images_apart():
    first = make_bank(0)
    other = replace(first, meta=dict(first.meta, images=[
        f'other/{name}' for name in first.meta['images']]))
    assert len(merge([first, other])) == 40


def test_add__under_a_new_name():
    bank = make_bank(0)
    new = remove(make_bank(1), rows=range(3, 20))
    joined = add(bank, new, classes=['tram', 'road', 'car'])
    assert len(joined) == 23
    names = [joined.meta['classes'][i] for i in joined.labels[20:]]
    assert names == [['tram', 'road', 'car'][i] for i in new.labels]


@pytest.mark.parametrize('change, error', [
    (lambda b: remove(b), 'must match a segment'),
    (lambda b: remove(b, name='sky'), 'class must be one of'),
    (lambda b: remove(b, rows=[20]), '`rows` must lie in'),
    (lambda b: remove(b, rows=range(20)), 'at least one segment'),
    (lambda b: relabel(b, new='x'), 'one of `old` and `rows`'),
    (lambda b: relabel(b, new='x', old='sky'), 'class must be one of'),
    (lambda b: relabel(b, new='x', rows=[-1]), '`rows` must lie in'),
    (lambda b: merge([b, make_bank(fingerprint='other')]), 'same fingerpr'),
])
def test_edit__bad_input(change, error):
    with pytest.raises(ValueError, match=error):
        change(make_bank())


def test_info__counts_by_class():
    text = info(make_bank())
    assert '20 segments of 4 images, 4 dims, float16' in text
    for name, count in zip(('road', 'tree', 'car'),
                           make_bank().labels.bincount().tolist()):
        assert any(line.split()[:2] == [name, str(count)]
                   for line in text.splitlines())


def test_cluster__finds_groups_and_forgets_classes():
    pytest.importorskip('faiss')
    bank = make_bank(dtype=torch.float32)
    group = torch.arange(20) % 3
    features = torch.eye(4)[group] + .1 * bank.features
    bank = replace(bank, features=normalize(features, dim=1))
    found = cluster(bank, 3)
    assert found.meta['classes'] == ['cluster 0', 'cluster 1', 'cluster 2']
    pairs = set(zip(found.labels.tolist(), group.tolist()))
    assert len(pairs) == 3
    assert torch.equal(cluster(bank, 3).labels, found.labels)
    assert torch.equal(found.features, bank.features)


def test_cluster__more_than_segments():
    with pytest.raises(ValueError, match='`num_clusters` must be at most 20'):
        cluster(make_bank(), 21)
