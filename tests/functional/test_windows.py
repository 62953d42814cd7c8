"""`functional.windows` against what it promises."""
import pytest

from mmpixsort.functional.windows import windows


@pytest.mark.parametrize('length', [5, 8, 9, 31])
@pytest.mark.parametrize('crop, stride', [(8, 8), (8, 5), (3, 1)])
def test_windows__cover_everything_with_one_size(length, crop, stride):
    found = list(windows(length, crop, stride))
    seen = {i for w in found for i in range(w.start, w.stop)}
    assert seen == set(range(length))
    assert {w.stop - w.start for w in found} == {min(crop, length)}
    starts = [w.start for w in found]
    assert all(0 < b - a <= stride for a, b in zip(starts, starts[1:]))
