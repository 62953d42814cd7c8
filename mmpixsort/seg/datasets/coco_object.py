"""COCO-Object as an MMSegmentation dataset."""
from mmseg.datasets import BaseSegDataset, COCOStuffDataset

from mmpixsort.registry import DATASETS

NUM_THINGS = 80


@DATASETS.register_module()
class COCOObjectDataset(BaseSegDataset):
    """COCO-Object: the 80 things of COCO and background (0), 81 classes.

    The labels are made from the instances of COCO 2017 (Lin et al., ECCV
    2014) by tools/dataset_converters/coco_object.py. No pixel is ignored.

    Args:
        img_suffix: Ending of the image files.
        seg_map_suffix: Ending of the label files.
        kwargs: Further arguments of mmseg's `BaseSegDataset`, such as
            `data_root`, `data_prefix`, `ann_file` and `pipeline`.
    """

    METAINFO = dict(
        classes=('background',
                 *COCOStuffDataset.METAINFO['classes'][:NUM_THINGS]),
        palette=[[0, 0, 0],
                 *COCOStuffDataset.METAINFO['palette'][:NUM_THINGS]])

    def __init__(self,
                 img_suffix: str = '.jpg',
                 seg_map_suffix: str = '.png',
                 **kwargs) -> None:
        super().__init__(
            img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
