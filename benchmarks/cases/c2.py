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


CASE = Case(
    'C2', 'a step of pixel contrast at stride 4, batch 2', setups,
    limits='The gradient of the map, 67 MB of fresh memory that is set to '
    'zero, takes 33 ms (9 ms with huge pages), more than all matrix '
    'products. A buffer that is kept would avoid it, but autograd may hand '
    'the gradient to others, which change it. The time of the peer is '
    'likewise that of such maps, one for each image and class.')
