"""The rules by which segments become instances in the test."""
from typing import NamedTuple, Optional

from mmpixsort.functional.checks import (check_choice, check_count,
                                         check_positive)
from mmpixsort.functional.segments.graph import check_cosine

MERGES = ('linkage', 'meanshift')


class PanopticRules(NamedTuple):
    """Rules for merging segments and for dropping small areas in the test.

    Attributes:
        merge: 'linkage' merges neighbouring segments by average linkage.
            'meanshift' takes the modes of a von Mises-Fisher density of the
            prototypes in each connected part of a class.
        threshold: Mean cosine in [-1, 1] above which neighbouring segments,
            or two modes, are merged. None takes the value that
            LinkageThresholdHook has measured.
        far_threshold: Cosine in [-1, 1] above which two segments of a class
            may merge although they do not touch; used by 'linkage'. None
            merges neighbours only.
        concentration: kappa of the density of 'meanshift', above 0. None
            takes the concentration of the loss.
        min_area: Minimum area of an instance of things in pixels of the
            result. A smaller one joins the instance with the most similar
            segment around it if their cosine is above the threshold, and is
            void otherwise. Heads without segments make it void.
        max_instances: Maximum number of instances in an image. The largest
            ones are kept and the others are void. Each instance has a mask
            of the size of the image.
        min_stuff_area: Minimum area of a stuff class in an image, in pixels;
            a smaller one is void. The usual value on Cityscapes is 2048.
    """

    merge: str = 'linkage'
    threshold: Optional[float] = None
    far_threshold: Optional[float] = None
    concentration: Optional[float] = None
    min_area: int = 16
    max_instances: int = 500
    min_stuff_area: int = 0

    def check(self) -> 'PanopticRules':
        """Return the rules, or raise ValueError on a bad value."""
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
