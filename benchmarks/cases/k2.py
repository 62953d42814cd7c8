"""How the time of k-means grows with pixels and clusters."""
from typing import List

from benchmarks.case import Case, Setup

from .k1 import clustering


def setups(tiny: bool) -> List[Setup]:
    """Return maps of one image whose sides double."""
    if tiny:
        return [clustering(1, 6, size, 3, name=f'N {size**2}', scale=size**2)
                for size in (8, 16)]
    return [
        clustering(1, 64, size, 6, name=f'N {size**2:,}', scale=size**2)
        for size in (64, 90, 128, 181, 256)
    ]


CASE = Case('K2', 'growth of the time of k-means with the pixels', setups)
