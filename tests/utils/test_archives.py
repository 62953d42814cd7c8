"""Archives are read as far as they are asked for, and not unpacked."""
import io
import zipfile

import numpy as np
import pytest

from mmpixsort.utils.archives import stored_arrays


def test_arrays__are_those_that_were_asked_for(tmp_path):
    path = tmp_path / 'x.npz'
    np.savez(path, a=np.arange(3.), b=np.ones((2, 2), np.uint8))
    with zipfile.ZipFile(path, 'a', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('bomb.npy', bytes(10**7))  # never looked at
    found = stored_arrays(path, ('a', ))
    assert list(found) == ['a'] and found['a'].tolist() == [0, 1, 2]
    with pytest.raises(KeyError):
        stored_arrays(path, ('c', ))


def test_arrays__that_are_compressed_are_refused(tmp_path):
    path = tmp_path / 'x.npz'
    np.savez_compressed(path, a=np.zeros(10**6))
    with pytest.raises(ValueError, match='is compressed'):
        stored_arrays(path, ('a', ))


def test_arrays__are_never_pickled(tmp_path):
    path = tmp_path / 'x.npz'
    np.savez(path, a=np.array([object()]))
    with pytest.raises(ValueError, match='allow_pickle'):
        stored_arrays(path, ('a', ))


def test_arrays__that_say_they_are_huge_are_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, dict(
        descr='<f8', fortran_order=False, shape=(1 << 44, )))
    path = tmp_path / 'x.npz'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a.npy', header.getvalue() + bytes(8))
    with pytest.raises((ValueError, MemoryError)):
        stored_arrays(path, ('a', ))
