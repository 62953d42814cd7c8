"""COCO-Object: the 80 things of COCO and a background, as semantic labels."""
from mmseg.datasets import BaseSegDataset, COCOStuffDataset

from mmpixsort.registry import DATASETS

NUM_THINGS = 80


@DATASETS.register_module()
class COCOObjectDataset(BaseSegDataset):
    """COCO-Object: background 0 and the things of COCO, 81 classes.

    Labels are made from the instances of COCO 2017 (Lin et al., ECCV 2014)
    by tools/dataset_converters/coco_object.py; no pixel is ignored.

    Args:
        img_suffix: of the images.
        seg_map_suffix: of the label files.
        kwargs: `data_root`, `data_prefix`, `ann_file`, `pipeline`, ... of
            mmseg's `BaseSegDataset`.
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
