"""The queue against `collections.deque`."""
import copy
from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpixsort.banks import ClassQueue
from mmpixsort.registry import MODELS


def _queue(**changes):
    return ClassQueue(**{**dict(num_classes=3, capacity=5, embed_dims=2),
                         **changes})


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000),
       batches=st.lists(st.integers(0, 23), min_size=1, max_size=6),
       sections=st.integers(1, 2))
def test_class_queue__equals_deques(seed, batches, sections):
    g = torch.Generator().manual_seed(seed)
    queue = _queue(num_sections=sections)
    want = [[deque(maxlen=5) for _ in range(sections)] for _ in range(3)]
    for size in batches:
        rows = torch.randn(size, 2, generator=g)
        labels = torch.randint(-2, 5, (size, ), generator=g)
        first = size // 2 if sections == 2 else size
        queue.enqueue(rows, labels, (first, size - first)[:sections])
        for i, (row, label) in enumerate(zip(rows, labels.tolist())):
            if 0 <= label < 3:
                want[label][int(i >= first)].append(row)
    entries = queue.entries()
    flat = [row for rings in want for ring in rings for row in ring]
    labels = [c for c, rings in enumerate(want) for ring in rings
              for _ in ring]
    assert entries.labels.tolist() == labels
    if flat:
        assert torch.equal(entries.embeddings, torch.stack(flat))
    block = queue.read()
    assert sorted(block.labels[block.labels >= 0].tolist()) == labels
    assert torch.equal(queue.keys[0], torch.zeros(2))  # the dump stays clean


def test_class_queue__read_is_a_view_of_fixed_shape():
    queue = _queue(num_sections=2)
    queue.enqueue(torch.ones(2, 2), torch.tensor([0, 2]), (1, 1))
    keys, labels = queue.read()
    assert keys.shape == (3, 10, 2) and labels.shape == (3, 10)
    assert keys.untyped_storage().data_ptr() == (
        queue.keys.untyped_storage().data_ptr())
    # class 0 is stored like any other; its pixel lies in section 0 and the
    # region of class 2 in section 1
    assert labels[0, 0] == 0 and labels[2, 5] == 2
    assert (labels >= 0).sum() == 2


def test_class_queue__state_dict_round_trip_mid_wrap():
    queue = _queue()
    g = torch.Generator().manual_seed(0)
    for _ in range(3):
        queue.enqueue(torch.randn(7, 2, generator=g),
                      torch.randint(0, 3, (7, ), generator=g))
    other = _queue()
    other.load_state_dict(copy.deepcopy(queue.state_dict()))
    rows = torch.randn(9, 2, generator=g)
    labels = torch.randint(0, 3, (9, ), generator=g)
    for each in (queue, other):
        each.enqueue(rows, labels)
    assert torch.equal(queue.keys, other.keys)
    assert torch.equal(queue.written, other.written)


def test_class_queue__loads_all_or_nothing():
    queue, other = _queue(), _queue(capacity=4)
    queue.enqueue(torch.ones(2, 2), torch.tensor([0, 2]))
    with pytest.raises(RuntimeError, match='none of its buffers is loaded'):
        other.load_state_dict(queue.state_dict(), strict=False)
    assert other.written.sum() == 0 and other.keys.abs().sum() == 0


def test_class_queue__reset_empties():
    queue = _queue()
    queue.enqueue(torch.ones(2, 2), torch.tensor([0, 2]))
    queue.reset()
    assert len(queue.entries().labels) == 0
    assert (queue.read().labels < 0).all()


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_class_queue__half_precision(dtype):
    queue = _queue(dtype=dtype)
    rows = torch.rand(4, 2)
    queue.enqueue(rows, torch.tensor([0, 0, 1, 2]))
    got = queue.entries().embeddings
    assert got.dtype == getattr(torch, dtype)
    torch.testing.assert_close(got.float(), rows, rtol=1e-2, atol=1e-2)


def test_class_queue__not_persistent_stays_out_of_checkpoints():
    assert _queue(persistent=False).state_dict() == {}
    assert set(_queue().state_dict()) == {'keys', 'written'}


def test_class_queue__builds_from_a_config():
    queue = MODELS.build(dict(type='mmpixsort.ClassQueue', num_classes=2,
                              capacity=3, embed_dims=4))
    assert isinstance(queue, ClassQueue)


@pytest.mark.parametrize('change, text', [
    (dict(capacity=0), '`capacity` must be at least 1, got 0'),
    (dict(num_classes=-1), '`num_classes` must be at least 1'),
    (dict(dtype='int8'), '`dtype` must be one of'),
])
def test_class_queue__bad_sizes(change, text):
    with pytest.raises(ValueError, match=text):
        _queue(**change)


@pytest.mark.parametrize('rows, labels, sections, text', [
    (torch.rand(2, 3), torch.tensor([0, 1]), (), 'must have 2 dims, got 3'),
    (torch.rand(2, 2), torch.tensor([0]), (), r'must have shape \(2,\)'),
    (torch.rand(2, 2), torch.tensor([0, 1]), (1, 1), '`sections` must be'),
])
def test_class_queue__bad_rows(rows, labels, sections, text):
    with pytest.raises(ValueError, match=text):
        _queue().enqueue(rows, labels, sections)
