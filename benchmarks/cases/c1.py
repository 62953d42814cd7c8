"""A step of pixel contrast: sampling, gather, loss, gradient of the map."""
from typing import List

from benchmarks.case import Case, Setup

from .steps import ContrastStep


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [ContrastStep(2, 8, (12, 16), 3, 24, 5).setup('tiny')]
    return [
        ContrastStep(2, 256, (64, 128)).setup('19 classes', '10x'),
        ContrastStep(2, 256, (64, 128), 10).setup('10 classes')
    ]


CASE = Case(
    'C1', 'a step of pixel contrast at stride 8, batch 2', setups,
    limits='Matrix products take half of our time, and the gradient of the '
    'map, 17 MB of fresh memory that is set to zero, a sixth. '
    'Tried: one product for both parts of the gradient, (G + G^T) A, which '
    'saves 6.5 ms and spends 4.2 ms on the sum; other sizes of tiles. The '
    'ratio grows with the groups of images and classes, over which the peer '
    'loops.')
