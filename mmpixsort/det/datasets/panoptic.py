"""Panoptic data sets in the format of COCO."""
import json
import os.path as osp
from logging import WARNING
from typing import Dict, List, Optional

import mmengine.fileio as fileio
from mmengine.logging import print_log

from mmpixsort.registry import DATASETS
from mmpixsort.utils.reading import check_entry, reading

from .panoptic_base import PanopticBaseDataset

# keys that every entry of a list of the JSON must have
KEYS = dict(
    images=('id', 'file_name', 'height', 'width'),
    categories=('id', 'name'),
    annotations=('image_id', ))


@DATASETS.register_module()
class PanopticDataset(PanopticBaseDataset):
    """Panoptic data set in COCO's format, a JSON and a PNG for each image.

    The order of the classes is that of the metainfo, which also decides what
    is a thing. Categories of the JSON are matched by name, so their order,
    their ids and `isthing` do not matter; other categories are void. A JSON
    without annotations lists images for prediction.

    Args:
        ann_file: Path of the JSON below `data_root`.
        data_prefix: Dict with the folders `img` of the images and `seg` of
            the PNGs.
        category_names: Dict from category names in the JSON to class names
            in the metainfo, for names that differ. Several categories may
            become one class.
        filter_cfg: Dict with `min_size`, the minimum length in pixels of the
            shorter side of an image, and `filter_empty_gt`, whether to leave
            out images without things. It is ignored in test mode.
        kwargs: `data_root`, `metainfo`, `pipeline` and further arguments of
            `PanopticBaseDataset`.

    Raises:
        FileNotFoundError: If a folder or file is missing. The message tells
            the expected layout.
        ValueError: If the file is not a panoptic JSON, lacks a class of the
            metainfo, or has annotations for some images only.
    """

    LAYOUT = 'ann_file (JSON), data_prefix.img/NAME, data_prefix.seg/NAME.png'

    def __init__(self,
                 ann_file: str = '',
                 category_names: Optional[Dict[str, str]] = None,
                 **kwargs) -> None:
        self.category_names = dict(category_names or {})
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return a dict for each image, with its segments."""
        if not fileio.isfile(self.ann_file, self.backend_args):
            raise FileNotFoundError(self._missing('ann_file', self.ann_file))
        with reading(self.ann_file, 'a panoptic JSON'):
            return self._read_list(json.loads(
                fileio.get_text(
                    self.ann_file, backend_args=self.backend_args)))

    def _read_list(self, content: dict) -> List[dict]:
        """Return a dict for each image of a parsed JSON."""
        self._check_content(content)
        annotations = {
            item['image_id']: item
            for item in content.get('annotations') or ()
        }
        self._check_folders(('img', 'seg') if annotations else ('img', ))
        self._check_annotated(content['images'], annotations)
        labels = self._labels(content['categories'])
        return [
            self._info(image, annotations.get(image['id']), labels)
            for image in content['images']
        ]

    def _labels(self, categories: List[dict]) -> Dict[int, int]:
        """Return a dict from the category ids of the JSON to labels."""
        classes = self.metainfo['classes']
        found = [item['name'] for item in categories]
        aliases = self.category_names
        strange = (set(aliases) - set(found)) | (
            set(aliases.values()) - set(classes))
        if strange:
            raise ValueError(
                '`category_names` must map names of the JSON to classes of '
                f'metainfo, got {sorted(strange)}; the JSON has {found}, '
                f'metainfo has {list(classes)}')
        named = [aliases.get(name, name) for name in found]
        lacking = [name for name in classes if name not in named]
        if lacking:
            raise ValueError(
                f'{self.ann_file!r} must have all classes of metainfo, it '
                f'lacks {lacking}: the JSON has {found}, metainfo has '
                f'{list(classes)}; set `metainfo` or `category_names`')
        void = [name for name in named if name not in classes]
        if void:
            print_log(f'categories {void} of {self.ann_file!r} are no '
                      'classes of metainfo; their pixels are void', 'current',
                      WARNING)
        return {
            item['id']: classes.index(name)
            for item, name in zip(categories, named) if name in classes
        }

    def _info(self, image: dict, annotation: Optional[dict],
              labels: Dict[int, int]) -> dict:
        """Return the dict of one image, without a PNG if not annotated."""
        info = dict(
            img_id=image['id'],
            img_path=osp.join(self.data_prefix['img'],
                              self.image_name(image)),
            height=image['height'],
            width=image['width'],
            seg_map_path=None,
            segments_info=[])
        if annotation is None:
            return info
        info['seg_map_path'] = osp.join(self.data_prefix['seg'],
                                        annotation['file_name'])
        info['segments_info'] = [
            dict(
                id=item['id'],
                category=labels[item['category_id']],
                is_thing=labels[item['category_id']] < self.num_things,
                iscrowd=bool(item.get('iscrowd', 0)))
            for item in annotation['segments_info']
            if item['category_id'] in labels
        ]
        return info

    def _check_content(self, content: dict) -> None:
        """Raise ValueError unless this is a consistent panoptic JSON."""
        lacking = [
            key for key in ('images', 'categories') if not content.get(key)
        ]
        if lacking:
            raise ValueError(f'{self.ann_file!r} must list images and '
                             f'categories, it has no {" and ".join(lacking)}')
        for part, keys in KEYS.items():
            for entry in content.get(part) or ():
                check_entry(entry, keys, f'each of the {part} of '
                            f'{self.ann_file!r}')
        known = {item['id'] for item in content['categories']}
        for annotation in content.get('annotations') or ():
            if 'segments_info' not in annotation:
                raise ValueError(
                    f'{self.ann_file!r} must have `segments_info` in each '
                    f'annotation, got {sorted(annotation)}; take the JSON of '
                    'panoptic segmentation, not that of instances')
            check_entry(annotation, ('file_name', ),
                        f'each of the annotations of {self.ann_file!r}')
            for item in annotation['segments_info']:
                check_entry(item, ('id', 'category_id'), 'each segment of '
                            f'{self.ann_file!r}')
            strange = {
                item['category_id'] for item in annotation['segments_info']
            } - known
            if strange:
                raise ValueError(
                    f'segments of image {annotation["image_id"]!r} in '
                    f'{self.ann_file!r} must have ids of its categories, got '
                    f'{sorted(strange)}')

    def image_name(self, image: dict) -> str:
        """Return the path of an image of the JSON below the image folder."""
        return image['file_name']

    def filter_data(self) -> List[dict]:
        """Return the images that `filter_cfg` does not leave out."""
        if self.test_mode or not self.filter_cfg:
            return self.data_list
        least = self.filter_cfg.get('min_size', 0)
        empty = not self.filter_cfg.get('filter_empty_gt', False)
        kept = [
            info for info in self.data_list
            if min(info['height'], info['width']) >= least and (empty or any(
                item['is_thing'] and not item['iscrowd']
                for item in info['segments_info']))
        ]
        if not kept:
            raise ValueError(
                '`filter_cfg` must leave at least one image, '
                f'{dict(self.filter_cfg)} leaves none of '
                f'{len(self.data_list)}')
        return kept

    def _check_folders(self, keys: tuple) -> None:
        for key in keys:
            folder = self.data_prefix.get(key)
            if not folder or not fileio.isdir(folder, self.backend_args):
                raise FileNotFoundError(
                    self._missing(f'data_prefix.{key}', folder))

    def _check_annotated(self, images: List[dict], annotations: dict) -> None:
        lost = [item['id'] for item in images if item['id'] not in annotations]
        if annotations and lost:
            raise ValueError(
                f'{self.ann_file!r} must have an annotation for each image, '
                f'{len(lost)} of {len(images)} have none: {lost[:5]}; remove '
                'these images or, for a test set, all annotations')

    def _missing(self, name: str, path: Optional[str]) -> str:
        """Return a message with the expected layout."""
        return (f'`{name}` {path!r} of {type(self).__name__} not found. '
                f'Expected below `data_root` {self.data_root!r}: '
                f'{self.LAYOUT}')
