"""The file of a bank: round trip, equal bytes, refusals."""
import builtins
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.retrieval import (PrototypeBank, check_bank, check_fits,
                                 read_bank, write_bank)

ENDINGS = ('bank', 'npz', 'safetensors')


def make_bank(seed=0, count=20, dims=4, dtype=torch.float16, **meta):
    g = torch.Generator().manual_seed(seed)
    features = normalize(torch.randn(count, dims, generator=g), dim=1)
    return PrototypeBank(
        features=features.to(dtype),
        labels=torch.randint(0, 3, (count, ), generator=g),
        image_ids=torch.arange(count) // 5,
        boxes=torch.arange(4).repeat(count, 1),
        areas=torch.arange(1, count + 1),
        purity=torch.linspace(.5, 1, count),
        meta={**dict(
            classes=['road', 'tree', 'car'], palette=[[1, 2, 3]] * 3,
            images=[f'image_{i}.png' for i in range(4)], fingerprint='abc',
            clustering=dict(grid=[5, 5]), embed_dims=dims), **meta})


def same(first, second):
    return first.meta == second.meta and all(
        torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(
            first.tensors().values(), second.tensors().values()))


@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_bank_file__round_trip_and_equal_bytes(tmp_path, ending, dtype):
    bank = make_bank(dtype=dtype)
    paths = [tmp_path / f'{i}.{ending}' for i in range(2)]
    for path in paths:
        write_bank(bank, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert same(read_bank(paths[0]), bank)
    assert len(list(tmp_path.iterdir())) == 2  # nothing is left behind


@pytest.mark.parametrize('ending', ENDINGS)
def test_read_bank__refuses_what_was_cut_off(tmp_path, ending):
    path = tmp_path / f'x.{ending}'
    write_bank(make_bank(), path)
    whole = path.read_bytes()
    for share in (0., .1, .5, .99):
        path.write_bytes(whole[:int(len(whole) * share)])
        with pytest.raises(ValueError, match='must be a bank of prototypes'):
            read_bank(path)


@pytest.mark.parametrize('ending', ENDINGS)
def test_read_bank__refuses_what_was_changed(tmp_path, ending):
    path = tmp_path / f'x.{ending}'
    bank = make_bank(dtype=torch.float32)
    write_bank(bank, path)
    whole = bytearray(path.read_bytes())
    place = whole.find(bank.features[3].numpy().tobytes())
    assert place > 0
    whole[place] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match='changed'):
        read_bank(path)


def test_read_bank__refuses_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='build_bank.py'):
        read_bank(tmp_path / 'none.bank')
    np.savez(tmp_path / 'other.npz', labels=np.zeros(3))
    with pytest.raises(ValueError, match='must be a bank of prototypes'):
        read_bank(tmp_path / 'other.npz')
    np.savez(tmp_path / 'pickle.npz', meta=np.array([dict(a=1)]))
    with pytest.raises(ValueError, match='must be a bank of prototypes'):
        read_bank(tmp_path / 'pickle.npz')


def test_bank_file__says_which_extra_is_missing(tmp_path, monkeypatch):
    real = builtins.__import__

    def fake(name, *args, **kwargs):
        if name.startswith('safetensors'):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', fake)
    with pytest.raises(ImportError, match=r'mmpixsort\[safetensors\]'):
        write_bank(make_bank(), tmp_path / 'x.bank')
    write_bank(make_bank(), tmp_path / 'x.npz')


def _nan(bank):
    bank.features[3, 1] = float('nan')
    return bank


@pytest.mark.parametrize('change, error', [
    (_nan, '`features` of a bank must be finite; row 3'),
    (lambda b: replace(b, features=b.features * 2), 'have length 1; row 0'),
    (lambda b: replace(b, labels=b.labels + 3), '`labels` of a bank must'),
    (lambda b: replace(b, image_ids=b.image_ids - 1), '`image_ids` of a'),
    (lambda b: replace(b, areas=b.areas[:3]), '`areas` must be'),
    (lambda b: replace(b, features=b.features[:3]), 'must have 20 rows'),
    (lambda b: replace(b, features=b.features.double()), '`features` must'),
    (lambda b: make_bank(count=0), 'at least one segment'),
])
def test_check_bank__names_what_is_wrong(change, error, tmp_path):
    bank = change(make_bank())
    with pytest.raises(ValueError, match=error):
        check_bank(bank)
    with pytest.raises(ValueError, match=error):
        write_bank(bank, tmp_path / 'x.npz')


def test_check_fits():
    check_fits(make_bank(), fingerprint='abc', embed_dims=4)
    with pytest.raises(ValueError, match='must have 5 dims'):
        check_fits(make_bank(), fingerprint='abc', embed_dims=5)
    with pytest.raises(ValueError, match='made with the loaded weights'):
        check_fits(make_bank(), fingerprint='def', embed_dims=4)
