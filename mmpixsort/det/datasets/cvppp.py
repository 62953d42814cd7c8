"""Leaves of CVPPP as an MMDetection dataset.

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
    """Leaf Segmentation Challenge: rosette plants, one class.

    In the official layout: `A1/plant001_rgb.png`, `A1/plant001_label.png`
    (id of the leaf, 0: background) and `A1/plant001_fg.png` (the plant,
    which the challenge gives at test time too). A1 has 128 images of 500 by
    530 pixels. The set may not be redistributed: get it from its makers.

    Samples carry `label_path` and `fg_path`, None where there is no such
    file. `mmpixsort.LoadInstanceMap` reads the labels, mmdet's
    `LoadAnnotations` the masks that were cut out of them. Of images without
    labels `mmpixsort.PaintInstanceMap` reads the plant, which
    `foreground='annotated'` of a head takes.

    Args:
        data_prefix: `img` is the folder below `data_root`, 'A1' for None.
        label_suffix: Suffix of the files of ids; None: there are none, as for
            the test images of the challenge.
        kwargs: `data_root`, `ann_file`, `indices`, `pipeline`, ... of
            mmdet's `BaseDetDataset`. `ann_file` lists the plants to use, a
            line each (`plant001`); without it all are used.

    Raises:
        FileNotFoundError: When a folder or file is missing; it says which,
            the layout that is expected and where the data is.
    """

    METAINFO = dict(classes=('leaf', ), palette=[(60, 160, 60)])

    def __init__(self,
                 data_prefix: Optional[dict] = None,
                 label_suffix: Optional[str] = '_label.png',
                 **kwargs) -> None:
        self.label_suffix = label_suffix
        super().__init__(data_prefix=data_prefix or dict(img='A1'), **kwargs)

    def load_data_list(self) -> List[dict]:
        """List the plants with their leaves."""
        folder = Path(self.data_prefix['img'])
        if not folder.is_dir():
            raise FileNotFoundError(self._missing(folder))
        names = self._names(folder)
        return [
            self._info(folder, name, img_id)
            for img_id, name in enumerate(names)
        ]

    def _names(self, folder: Path) -> List[str]:
        """Return the names of the plants, of the list or of the folder."""
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
                f'`ann_file` {self.ann_file!r} not found; it lists plants, '
                'a line each (plant001); leave it out to use all')
        return read_text(listed, 'a list of plants').split()

    def _info(self, folder: Path, name: str, img_id: int) -> dict:
        """Describe one plant."""
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
        """Say what is missing, what is expected and where to get it."""
        folder = self.data_prefix['img']
        return (
            f'{str(path)!r} of CVPPP not found. Expected '
            f'{folder}/plant001{IMAGE_SUFFIX}, '
            f'{folder}/plant001{self.label_suffix or ""} and '
            f'{folder}/plant001{FOREGROUND_SUFFIX}. Set `data_root`, or get '
            f'the data, which may not be redistributed, from {SOURCE}')
