"""Cache of the most recently used items."""
from collections import OrderedDict
from typing import Callable, Hashable, TypeVar

Item = TypeVar('Item')


class KeptItems:
    """Cache for a few items that are expensive to make.

    Args:
        capacity: Number of items to keep; 0 keeps none.

    Example:
        >>> kept = KeptItems(1)
        >>> [kept.get(key, lambda: key * 2) for key in (1, 2)]
        [2, 4]
        >>> len(kept)
        1
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._items: OrderedDict = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable, make: Callable[[], Item]) -> Item:
        """Return the item of a key, or call `make` if it is not kept.

        If the cache is full, the least recently used item is dropped. The
        caller must not modify the item.
        """
        if key in self._items:
            self._items.move_to_end(key)
            return self._items[key]
        item = self._items[key] = make()
        while len(self._items) > self.capacity:
            self._items.popitem(last=False)
        return item
