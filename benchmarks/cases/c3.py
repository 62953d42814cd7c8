"""The step of C1 with eight images."""
from typing import List

from benchmarks.case import Case, Setup

from .steps import ContrastStep


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [ContrastStep(4, 8, (12, 16), 3, 48, 5).setup('tiny')]
    return [
        ContrastStep(8, 256, (64, 128)).setup('batch 8', '100x')
    ]


CASE = Case(
    'C3', 'a step of pixel contrast at stride 8, batch 8', setups,
    limits='As in C2, the gradient of the map is the largest part of our '
    'time.')
