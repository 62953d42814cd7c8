"""Keep the items that were used last."""
from collections import OrderedDict
from typing import Callable, Hashable, TypeVar

Item = TypeVar('Item')


class KeptItems:
    """A few items in memory, of those that are expensive to make.

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
        """Return the item of a key; call `make` where it is not kept.

        The item that was not used for the longest time gives way to a new
        one. Do not write into what is returned.
        """
        if key in self._items:
            self._items.move_to_end(key)
            return self._items[key]
        item = self._items[key] = make()
        while len(self._items) > self.capacity:
            self._items.popitem(last=False)
        return item
