"""The queue of prototypes against `collections.deque`."""
from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpixsort.banks import PrototypeQueue
from mmpixsort.registry import MODELS


def _queue(**changes):
    return PrototypeQueue(**{**dict(capacity=7, embed_dims=2), **changes})


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000),
       batches=st.lists(st.integers(0, 12), min_size=1, max_size=6),
       num_iterations=st.sampled_from([None, 1, 2]))
def test_prototype_queue__equals_deque(seed, batches, num_iterations):
    g = torch.Generator().manual_seed(seed)
    queue = _queue(num_iterations=num_iterations)
    want = deque(maxlen=7)
    for step, size in enumerate(batches):
        rows = torch.randn(size, 2, generator=g)
        labels = torch.randint(-1, 3, (size, ), generator=g)
        queue.enqueue(rows, labels)
        want.extend((step, row, label) for row, label in zip(
            rows, labels.tolist()) if label >= 0)
    last = len(batches) - 1
    want = [(row, label) for step, row, label in want
            if num_iterations is None or step > last - num_iterations]
    entries = queue.entries()
    assert entries.labels.tolist() == [label for _, label in want]
    for row, (expected, _) in zip(entries.embeddings, want):
        assert torch.equal(row, expected)
    assert torch.equal(queue.keys[0], torch.zeros(2))  # the dump stays clean


def test_prototype_queue__state_dict_mid_wrap():
    first, second = _queue(), _queue()
    for step in range(3):
        first.enqueue(torch.randn(5, 2), torch.arange(5))
    second.load_state_dict(first.state_dict())
    for queue in (first, second):
        queue.enqueue(torch.ones(2, 2), torch.tensor([0, 1]))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_prototype_queue__loads_whole_or_not_at_all():
    saved = _queue(capacity=9)
    saved.enqueue(torch.ones(2, 2), torch.tensor([0, 1]))
    queue = _queue()
    with pytest.raises(RuntimeError, match='none of its buffers is loaded'):
        queue.load_state_dict(saved.state_dict(), strict=False)
    assert queue.written == 0


def test_prototype_queue__reset_and_config():
    queue = MODELS.build(dict(
        type='mmpixsort.PrototypeQueue', capacity=3, embed_dims=2))
    queue.enqueue(torch.ones(2, 2), torch.tensor([0, 1]))
    queue.reset()
    assert len(queue.entries().labels) == 0
    assert (queue.read().labels == -1).all()


@pytest.mark.parametrize('changes', [
    dict(capacity=0), dict(embed_dims=0), dict(num_iterations=0)])
def test_prototype_queue__bad_sizes(changes):
    with pytest.raises(ValueError, match='must be at least 1'):
        _queue(**changes)


def test_prototype_queue__bad_rows():
    with pytest.raises(ValueError, match='must have 2 dims'):
        _queue().enqueue(torch.ones(1, 3), torch.tensor([0]))
