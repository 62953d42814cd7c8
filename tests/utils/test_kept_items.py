"""`utils.kept_items` makes what it does not hold, and holds the last used."""
import pickle

from mmpixsort.utils.kept_items import KeptItems


def made_by(kept, keys):
    """Ask for keys in turn; return those whose item had to be made."""
    made = []
    for key in keys:
        item = kept.get(key, lambda key=key: made.append(key) or -key)
        assert item == -key
    return made


def test_kept_items__the_last_used_stay():
    kept = KeptItems(2)
    assert made_by(kept, [1, 2, 1, 3, 1, 2]) == [1, 2, 3, 2]
    assert len(kept) == 2


def test_kept_items__none_without_capacity():
    kept = KeptItems(0)
    assert made_by(kept, [1, 1]) == [1, 1]
    assert len(kept) == 0


def test_kept_items__an_item_of_none_is_made_once():
    kept, made = KeptItems(1), []
    for _ in range(2):
        assert kept.get(1, lambda: made.append(1)) is None
    assert made == [1]


def test_kept_items__travel_to_a_worker():
    kept = KeptItems(2)
    made_by(kept, [1])
    assert made_by(pickle.loads(pickle.dumps(kept)), [1]) == []
