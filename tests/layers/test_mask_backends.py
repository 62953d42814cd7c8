"""Instances of a mask: components and watershed."""
import builtins

import pytest
import torch

from mmpixsort.layers import ComponentsBackend, SeparatedComponentsBackend
from mmpixsort.registry import MODELS


def disks(*centres, radius=8, size=(40, 60)):
    y, x = torch.meshgrid(*(torch.arange(s) for s in size), indexing='ij')
    return torch.stack([
        (y - a)**2 + (x - b)**2 <= radius**2 for a, b in centres])


def test_components__count_and_size():
    parts = disks((12, 12), (28, 45))
    parts[0, :6] = False
    mask = parts.any(0)
    mask[39, 0] = True
    ids = ComponentsBackend(min_pixels=5)(torch.zeros(2, 40, 60), mask)
    assert ids.dtype == torch.int32
    assert (ids[parts[1]] == 1).all() and (ids[parts[0]] == 2).all()
    assert ids[39, 0] == 0 and ids.max() == 2


def test_watershed__cuts_what_touches():
    parts = disks((20, 20), (20, 34))
    mask = parts.any(0)
    maps = torch.zeros(2, 40, 60)
    assert ComponentsBackend()(maps, mask).max() == 1
    backend = MODELS.build(dict(
        type='mmpixsort.ComponentsBackend', watershed=True))
    ids = backend(maps, mask)
    assert ids.max() == 2
    assert ids[20, 16] != ids[20, 38]
    assert torch.equal(ids > 0, mask)


def test_split_components__of_a_cluster():
    embeddings = torch.zeros(1, 4, 9)
    embeddings[:, :, 4] = 9.
    embeddings[:, :, 8] = 9.
    mask = torch.ones(4, 9).bool()
    mask[:, 7] = False
    options = dict(type='mmpixsort.MeanShiftBackend', min_pixels=3)
    assert MODELS.build(options)(embeddings, mask).max() == 2
    ids = MODELS.build(dict(options, split_components=True))(
        embeddings, mask)
    assert ids[0].tolist() == [1, 1, 1, 1, 3, 2, 2, 0, 4]
    few = MODELS.build(dict(options, split_components=True, min_pixels=5))(
        embeddings, mask)
    assert few[0].tolist() == [1, 1, 1, 1, 0, 2, 2, 0, 0]


@pytest.mark.parametrize('watershed', [True, False])
def test_components__of_nothing(watershed):
    ids = ComponentsBackend(watershed=watershed)(
        torch.zeros(1, 5, 5), torch.zeros(5, 5).bool())
    assert (ids == 0).all()


def test_components__missing_library_and_bad_options(monkeypatch):
    load = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith('skimage'):
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match=r'mmpixsort\[instances\]'):
        ComponentsBackend()
    with pytest.raises(ImportError, match=r'mmpixsort\[instances\]'):
        SeparatedComponentsBackend()
    monkeypatch.undo()
    with pytest.raises(ValueError, match='`min_distance` must'):
        ComponentsBackend(min_distance=0)
