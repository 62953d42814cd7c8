"""Pack over-segmentations, and stack those of a batch."""
from typing import List

import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from torch import Tensor
from torch.nn.functional import pad

from mmpixsort.registry import TRANSFORMS

from .load_oversegmentation import unshift_ids


@TRANSFORMS.register_module()
class PackSegmentInputs(PackSegInputs):
    """`PackSegInputs` that also packs `gt_overseg_map`.

    Adds `gt_overseg` (1, H, W) int64 to the data sample, -1 on padding.
    Labels may be missing.
    """

    def transform(self, results: dict) -> dict:
        """Pack image, labels, regions and metainfo."""
        packed = super().transform(results)
        ids = torch.from_numpy(unshift_ids(results['gt_overseg_map']))
        if 'inputs' in packed:  # the host's Pad leaves these maps out
            height, width = packed['inputs'].shape[1:]
            ids = pad(ids, (0, width - ids.shape[1], 0,
                            height - ids.shape[0]), value=-1)
        packed['data_samples'].gt_overseg = PixelData(data=ids[None])
        return packed


def stack_oversegmentation(data_samples: List) -> Tensor:
    """Return the region ids (B, H, W) of a batch, -1 on padding.

    The preprocessor of the host pads images and labels but not these maps;
    it notes the padding.

    Raises:
        ValueError: When a sample has none.
    """
    maps = []
    for sample in data_samples:
        if 'gt_overseg' not in sample:
            raise ValueError(
                '`gt_overseg` must be in every data sample: put '
                'mmpixsort.LoadOverSegmentation into the training pipeline '
                'and mmpixsort.PackSegmentInputs at its end')
        padding = tuple(sample.metainfo.get('padding_size', (0, 0, 0, 0)))
        maps.append(pad(sample.gt_overseg.data[0], padding, value=-1))
    return torch.stack(maps)
