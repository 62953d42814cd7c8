"""Pack over-segmentations into data samples, and stack those of a batch."""
from typing import List

from mmseg.datasets.transforms import PackSegInputs
from torch import Tensor

from mmpixsort.registry import TRANSFORMS

from .id_maps import pack_ids, stack_ids


@TRANSFORMS.register_module()
class PackSegmentInputs(PackSegInputs):
    """Pack `gt_overseg_map` in addition to what `PackSegInputs` packs.

    It adds `gt_overseg` (1, H, W), int64, -1 on padding, to the data sample.
    Labels may be missing.
    """

    def transform(self, results: dict) -> dict:
        """Pack the image, labels, regions and metainfo."""
        return pack_ids(
            super().transform(results), results['gt_overseg_map'],
            'gt_overseg')


def stack_oversegmentation(data_samples: List) -> Tensor:
    """Return the region ids (B, H, W) of a batch, -1 on padding.

    Raises:
        ValueError: If a sample has no region ids.
    """
    return stack_ids(
        data_samples, 'gt_overseg',
        'put mmpixsort.LoadOverSegmentation into the training pipeline and '
        'mmpixsort.PackSegmentInputs at its end')
