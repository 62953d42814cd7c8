"""PASCAL VOC as a panoptic MMDetection data set, read from its PNGs."""
import os.path as osp
from typing import List, Optional

import mmengine.fileio as fileio
import numpy as np
from mmdet.datasets import VOCDataset

from mmpixsort.datasets.instance_maps import read_instance_map
from mmpixsort.datasets.panoptic_maps import VOID, join_maps
from mmpixsort.registry import DATASETS

from .panoptic_base import PanopticBaseDataset


@DATASETS.register_module()
class VOCPanopticDataset(PanopticBaseDataset):
    """PASCAL VOC 2012 with 20 classes of things and the background as stuff.

    Everingham et al., IJCV 2010. There is no JSON. Each image has a PNG of
    classes and a PNG of objects, whose palette indices are the labels: 0 is
    the background and 255 is void. The PNGs of the augmented set (Hariharan
    et al., ICCV 2011) can be used too, after conversion by
    tools/dataset_converters/sbd_masks.py. Both PNGs are read each time a
    sample is loaded, and give its `panoptic_map` and `segments_info`.

    Args:
        ann_file: Path of the list of images below `data_root`, with one name
            per line, such as ImageSets/Segmentation/train.txt.
        data_prefix: Dict of the folders `img`, `semantic` and `instance`
            below `data_root`; those not given are JPEGImages,
            SegmentationClass and SegmentationObject.
        kwargs: `data_root`, `pipeline`, `indices` and further arguments of
            `PanopticBaseDataset`.

    Raises:
        FileNotFoundError: If a folder or file is missing.
        ValueError: If the two PNGs of an image differ in size, or a PNG of
            classes holds other values.
    """

    METAINFO = dict(
        thing_classes=VOCDataset.METAINFO['classes'],
        stuff_classes=('background', ),
        palette=[*VOCDataset.METAINFO['palette'], (0, 0, 0)])
    FIXED_CLASSES = True
    FOLDERS = dict(
        img='JPEGImages',
        semantic='SegmentationClass',
        instance='SegmentationObject')

    def __init__(self,
                 ann_file: str,
                 data_prefix: Optional[dict] = None,
                 **kwargs) -> None:
        super().__init__(
            ann_file=ann_file,
            data_prefix={**self.FOLDERS, **(data_prefix or {})},
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return a dict for each image in `ann_file`."""
        if not fileio.isfile(self.ann_file, self.backend_args):
            raise FileNotFoundError(self._missing('ann_file', self.ann_file))
        for key, folder in self.data_prefix.items():
            if not fileio.isdir(folder, self.backend_args):
                raise FileNotFoundError(
                    self._missing(f'data_prefix.{key}', folder))
        # a byte order mark is not part of the first name
        names = fileio.get_text(
            self.ann_file,
            backend_args=self.backend_args).lstrip('\ufeff').split()
        return [
            dict(
                img_id=name,
                img_path=osp.join(self.data_prefix['img'], f'{name}.jpg'),
                semantic_path=osp.join(self.data_prefix['semantic'],
                                       f'{name}.png'),
                instance_path=osp.join(self.data_prefix['instance'],
                                       f'{name}.png')) for name in names
        ]

    def get_data_info(self, idx: int) -> dict:
        """Return the dict of an image, with its map and segments."""
        info = super().get_data_info(idx)
        semantic, objects = (
            read_instance_map(info[key], backend_args=self.backend_args)
            for key in ('semantic_path', 'instance_path'))
        if semantic.shape != objects.shape:
            raise ValueError(
                f'{info["semantic_path"]!r} and {info["instance_path"]!r} '
                f'must have one size, got {semantic.shape} and '
                f'{objects.shape}')
        ids, segments = join_maps(
            self._relabel(semantic, objects, info['semantic_path']),
            np.where(objects == VOID, 0, objects),
            num_things=self.num_things)
        height, width = ids.shape
        return dict(info, height=height, width=width, panoptic_map=ids,
                    segments_info=segments)

    def _relabel(self, semantic: np.ndarray, objects: np.ndarray,
                 path: str) -> np.ndarray:
        """Return labels (H, W) with the background last; 255 is void.

        A pixel is void if it is 255 in either map.
        """
        # in the PNG, 0 is the background and k is class k - 1 of METAINFO
        table = np.full(VOID + 1, VOID)
        table[:self.num_things + 1] = [
            self.num_things, *range(self.num_things)]
        if semantic.max() > VOID or table[
                semantic[semantic != VOID]].max(initial=0) == VOID:
            raise ValueError(
                f'{path!r} must hold 0 .. {self.num_things}, and {VOID} for '
                f'void, got {np.unique(semantic).tolist()}; it must be a PNG '
                'of palette indices, not of colours')
        return np.where(objects == VOID, VOID, table[semantic])

    def _missing(self, name: str, path: str) -> str:
        """Return a message with the expected layout and the source."""
        return (f'`{name}` {path!r} of VOC not found. Expected below '
                f'`data_root` {self.data_root!r}: '
                'ImageSets/Segmentation/{train,val}.txt, '
                'JPEGImages/*.jpg, SegmentationClass/*.png and '
                'SegmentationObject/*.png '
                '(http://host.robots.ox.ac.uk/pascal/VOC/voc2012)')
