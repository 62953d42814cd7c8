"""How segments become instances in the test."""
from typing import NamedTuple, Optional

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_positive)
from mmpixsort.functional.segments.graph import check_cosine

MERGES = ('linkage', 'meanshift')


class PanopticRules(NamedTuple):
    """How segments become instances, and what is too small.

    Attributes:
        merge: 'linkage': average linkage on neighbours; 'meanshift': modes
            of a von Mises-Fisher density of the prototypes of a connected
            part of a class.
        threshold: Mean cosine above which neighbours merge, or that modes
            must have to be one; None: measured.
        far_threshold: Cosine above which segments of a class that do not
            touch may merge, with 'linkage'; None: only neighbours.
        concentration: kappa of 'meanshift'; None: that of the loss.
        min_area: Smaller things join the most similar segment around them,
            if that is above the threshold, and are void otherwise; pixels
            of the result.
        max_instances: Most instances of an image; the largest stay, the rest
            is void. Each has a mask of the size of the image.
        min_stuff_area: Smaller stuff is void; 2048 on Cityscapes (its
            usual convention).
    """

    merge: str = 'linkage'
    threshold: Optional[float] = None
    far_threshold: Optional[float] = None
    concentration: Optional[float] = None
    min_area: int = 16
    max_instances: int = 500
    min_stuff_area: int = 0

    def check(self) -> 'PanopticRules':
        """Raise ValueError on values out of range."""
        check_choice('merge', self.merge, MERGES)
        for name in ('threshold', 'far_threshold'):
            if getattr(self, name) is not None:
                check_cosine(name, getattr(self, name))
        if self.concentration is not None:
            check_positive('concentration', self.concentration)
        check_count('min_area', self.min_area, minimum=0)
        check_count('max_instances', self.max_instances)
        check_count('min_stuff_area', self.min_stuff_area, minimum=0)
        return self
