"""The leaves of CVPPP as an MMDetection data set.

Minervini et al., "Finely-grained annotated datasets for image-based plant
phenotyping", Pattern Recognition Letters 2016.
"""
from pathlib import Path
from typing import List, Optional

from mmdet.datasets import BaseDetDataset

from mmpixsort.datasets.instance_maps import (instances_of_map,
                                              read_instance_map)
from mmpixsort.registry import DATASETS
from mmpixsort.utils.reading import read_text

SOURCE = ('https://www.plant-phenotyping.org/datasets-download '
          '(CVPPP2017_LSC_training.zip)')
IMAGE_SUFFIX = '_rgb.png'
FOREGROUND_SUFFIX = '_fg.png'


@DATASETS.register_module()
class CVPPPDataset(BaseDetDataset):
    """Leaves of rosette plants of the CVPPP Leaf Segmentation Challenge.

    There is one class, `leaf`. The files have the official layout:
    `A1/plant001_rgb.png` is the image, `A1/plant001_label.png` holds the id
    of the leaf of each pixel (0 is background), and `A1/plant001_fg.png` is
    the mask of the plant, which the challenge provides at test time too. A1
    has 128 images of 500 x 530 pixels. The data may not be redistributed:
    get it from its makers.

    Samples have the keys `label_path` and `fg_path`, which are None where
    there is no such file. Load the labels with `mmpixsort.LoadInstanceMap`;
    mmdet's `LoadAnnotations` loads the same leaves as a stack of masks. For
    images without labels, `mmpixsort.PaintInstanceMap` loads the mask of the
    plant, which heads with `foreground='annotated'` use.

    Args:
        data_prefix: Dict with `img`, the folder of the images below
            `data_root`; None means 'A1'.
        label_suffix: Suffix of the label files; None for images without
            labels, such as the test images of the challenge.
        kwargs: `data_root`, `ann_file`, `indices`, `pipeline` and further
            arguments of mmdet's `BaseDetDataset`. `ann_file` lists the
            plants to use, one per line (`plant001`); without it, all plants
            are used.

    Raises:
        FileNotFoundError: If a folder or file is missing. The message tells
            the expected layout and where to get the data.
    """

    METAINFO = dict(classes=('leaf', ), palette=[(60, 160, 60)])

    def __init__(self,
                 data_prefix: Optional[dict] = None,
                 label_suffix: Optional[str] = '_label.png',
                 **kwargs) -> None:
        self.label_suffix = label_suffix
        super().__init__(data_prefix=data_prefix or dict(img='A1'), **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return a dict for each plant, with its leaves in `instances`."""
        folder = Path(self.data_prefix['img'])
        if not folder.is_dir():
            raise FileNotFoundError(self._missing(folder))
        names = self._names(folder)
        return [
            self._info(folder, name, img_id)
            for img_id, name in enumerate(names)
        ]

    def _names(self, folder: Path) -> List[str]:
        """Return the names of the plants in the list or in the folder."""
        if not self.ann_file:
            names = sorted(
                path.name[:-len(IMAGE_SUFFIX)]
                for path in folder.glob(f'*{IMAGE_SUFFIX}'))
            if not names:
                raise FileNotFoundError(
                    self._missing(folder / f'*{IMAGE_SUFFIX}'))
            return names
        listed = Path(self.ann_file)
        if not listed.is_file():
            raise FileNotFoundError(
                f'`ann_file` {self.ann_file!r} not found; it must list '
                'plants, a line each (plant001); leave it out to use all '
                'plants')
        return read_text(listed, 'a list of plants').split()

    def _info(self, folder: Path, name: str, img_id: int) -> dict:
        """Return the dict of one plant."""
        image = folder / f'{name}{IMAGE_SUFFIX}'
        if not image.is_file():
            raise FileNotFoundError(self._missing(image))
        foreground = folder / f'{name}{FOREGROUND_SUFFIX}'
        info = dict(
            img_id=img_id,
            img_path=str(image),
            label_path=None,
            fg_path=str(foreground) if foreground.is_file() else None,
            instances=[])
        if self.label_suffix is None:
            return info
        label = folder / f'{name}{self.label_suffix}'
        if not label.is_file():
            raise FileNotFoundError(self._missing(label))
        ids = read_instance_map(label)
        height, width = ids.shape
        return dict(
            info,
            label_path=str(label),
            height=height,
            width=width,
            instances=instances_of_map(ids))

    def _missing(self, path: Path) -> str:
        """Return a message with the expected layout and the source."""
        folder = self.data_prefix['img']
        return (
            f'{str(path)!r} of CVPPP not found. Expected '
            f'{folder}/plant001{IMAGE_SUFFIX}, '
            f'{folder}/plant001{self.label_suffix or ""} and '
            f'{folder}/plant001{FOREGROUND_SUFFIX}. Set `data_root`, or get '
            f'the data, which may not be redistributed, from {SOURCE}')
