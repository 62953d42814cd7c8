"""The step of C1 on the map of HRNet, of stride 4."""
from typing import List

from benchmarks.case import Case, Setup

from .steps import ContrastStep


def setups(tiny: bool) -> List[Setup]:
    """Return the sizes."""
    if tiny:
        return [ContrastStep(2, 8, (16, 24), 3, 24, 5).setup('tiny')]
    return [
        ContrastStep(2, 256, (128, 256)).setup('stride 4', '45x')
    ]


CASE = Case('C2', 'a step of pixel contrast at stride 4, batch 2', setups)
