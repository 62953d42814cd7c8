"""Panoptic data sets whose class order is their own, not that of a file.

mmdet numbers the classes of a panoptic JSON as they stand there, whatever
METAINFO says. Here things come first, then stuff, by name.
"""
import json
import os.path as osp
from logging import WARNING
from typing import Dict, List, Optional

import mmengine.fileio as fileio
import numpy as np
from mmdet.datasets import (BaseDetDataset, CityscapesDataset,
                            CocoPanopticDataset, VOCDataset)
from mmengine.logging import print_log

from mmpixsort.datasets.instance_maps import read_instance_map
from mmpixsort.datasets.panoptic_maps import VOID, join_maps
from mmpixsort.registry import DATASETS


class PanopticBaseDataset(BaseDetDataset):
    """Data set with classes of things and of stuff.

    Its metainfo has `thing_classes` and `stuff_classes`; `classes` is both,
    in this order, and `palette` has a colour for each. Samples carry
    `segments_info`, for `mmpixsort.LoadPanopticMap`.

    Args:
        metainfo: `thing_classes`, `stuff_classes`, `palette`, in place of
            those of METAINFO. Colours that are not given are those of
            METAINFO for the same name, else made up.
        kwargs: `data_root`, `ann_file`, `data_prefix`, `indices`,
            `pipeline`, `test_mode`, ... of mmdet's `BaseDetDataset`.

    Raises:
        ValueError: When classes or palette do not fit.
    """

    METAINFO: dict = dict()
    # whether the data has numbers in the order of METAINFO, and no names
    FIXED_CLASSES = False

    def __init__(self, metainfo: Optional[dict] = None, **kwargs) -> None:
        complete = _metainfo(self.METAINFO, dict(metainfo or {}))
        if self.FIXED_CLASSES:
            self._check_classes(complete['classes'])
        super().__init__(metainfo=complete, **kwargs)

    def _check_classes(self, classes: tuple) -> None:
        fixed = (*self.METAINFO['thing_classes'],
                 *self.METAINFO['stuff_classes'])
        if classes != fixed:
            raise ValueError(
                f'`metainfo` of {type(self).__name__} must have the classes '
                f'{list(fixed)}, got {list(classes)}: its maps hold numbers, '
                'not names')

    @property
    def num_things(self) -> int:
        """Number of classes of things, the first labels."""
        return len(self.metainfo['thing_classes'])

    def get_cat_ids(self, idx: int) -> List[int]:
        """List the labels of the segments of an image, without crowds."""
        return [
            item['category'] for item in self.get_data_info(idx)[
                'segments_info'] if not item['iscrowd']
        ]


def _metainfo(default: dict, given: dict) -> dict:
    """Complete the metainfo of a user by that of a class."""
    merged = {**default, **given}
    for key in ('thing_classes', 'stuff_classes'):
        if isinstance(merged.get(key), str) or key not in merged:
            raise ValueError(f'`metainfo` must have a sequence of names '
                             f'{key}, got {merged.get(key)!r}')
    things, stuff = (tuple(merged[key])
                     for key in ('thing_classes', 'stuff_classes'))
    classes = things + stuff
    if len(set(classes)) < len(classes):
        raise ValueError('`metainfo` must name each class once, got '
                         f'{list(classes)}')
    if tuple(given.get('classes', classes)) != classes:
        raise ValueError(
            '`metainfo` classes must be thing_classes, then stuff_classes, '
            f'{list(classes)}, got {list(given["classes"])}; leave classes '
            'out')
    palette = given.get('palette') or _palette(default, classes)
    if len(palette) != len(classes):
        raise ValueError(f'`metainfo` palette must have {len(classes)} '
                         f'colours, one for each class, got {len(palette)}')
    return dict(merged, thing_classes=things, stuff_classes=stuff,
                classes=classes, palette=[tuple(c) for c in palette])


def _palette(default: dict, classes: tuple) -> List[tuple]:
    """Return a colour for each class, the default one if there is one."""
    known = dict(zip((*default.get('thing_classes', ()),
                      *default.get('stuff_classes', ())),
                     default.get('palette', ())))
    made_up = np.random.default_rng(0).integers(0, 256, (len(classes), 3))
    return [known.get(name, colour)
            for name, colour in zip(classes, made_up.tolist())]


@DATASETS.register_module()
class PanopticDataset(PanopticBaseDataset):
    """Panoptic data set in COCO's format: a JSON, and a PNG for each image.

    Labels follow metainfo; categories of the JSON are found by name, their
    order and ids do not matter, and `isthing` is that of metainfo. A JSON
    without annotations lists images to predict.

    Args:
        ann_file: The JSON, below `data_root`.
        data_prefix: `img` and `seg`, the folders of images and PNGs.
        category_names: Name in the JSON -> name in metainfo, for those that
            differ. Several names may become one class.
        filter_cfg: `min_size` in pixels, which the shorter side must have,
            and `filter_empty_gt`, which leaves out images without things;
            not in test mode.
        kwargs: `data_root`, `metainfo`, `pipeline`, ... of
            `PanopticBaseDataset`.

    Raises:
        FileNotFoundError: When a folder or file is missing; it says which,
            and the layout that is expected.
        ValueError: When metainfo has a class that the JSON lacks, or an
            image has no annotation.
    """

    LAYOUT = 'ann_file (JSON), data_prefix.img/NAME, data_prefix.seg/NAME.png'

    def __init__(self,
                 ann_file: str = '',
                 category_names: Optional[Dict[str, str]] = None,
                 **kwargs) -> None:
        self.category_names = dict(category_names or {})
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> List[dict]:
        """List the images with their segments."""
        if not fileio.isfile(self.ann_file, self.backend_args):
            raise FileNotFoundError(self._missing('ann_file', self.ann_file))
        content = json.loads(
            fileio.get_text(self.ann_file, backend_args=self.backend_args))
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
        """Map the category ids of the JSON to labels, by name."""
        classes = self.metainfo['classes']
        found = [item['name'] for item in categories]
        aliases = self.category_names
        strange = (set(aliases) - set(found)) | (
            set(aliases.values()) - set(classes))
        if strange:
            raise ValueError(
                '`category_names` must map names of the JSON to classes of '
                f'metainfo, got {sorted(strange)}; the JSON has {found}, '
                f'metainfo {list(classes)}')
        named = [aliases.get(name, name) for name in found]
        lacking = [name for name in classes if name not in named]
        if lacking:
            raise ValueError(
                f'{self.ann_file!r} must have all classes of metainfo, it '
                f'lacks {lacking}: the JSON has {found}, metainfo '
                f'{list(classes)}; set `metainfo` or `category_names`')
        void = [name for name in named if name not in classes]
        if void:
            print_log(f'categories {void} of {self.ann_file!r} are no '
                      'classes of metainfo: void', 'current', WARNING)
        return {
            item['id']: classes.index(name)
            for item, name in zip(categories, named) if name in classes
        }

    def _info(self, image: dict, annotation: Optional[dict],
              labels: Dict[int, int]) -> dict:
        """Describe one image; without an annotation it has no PNG."""
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

    def image_name(self, image: dict) -> str:
        """Return the path of an image of the JSON, below its folder."""
        return image['file_name']

    def filter_data(self) -> List[dict]:
        """Leave out what `filter_cfg` says."""
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
                f'`filter_cfg` must leave an image, {dict(self.filter_cfg)} '
                f'leaves none of {len(self.data_list)}')
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
                f'{len(lost)} of {len(images)} have none: {lost[:5]}; drop '
                'the images, or all annotations of a test set')

    def _missing(self, name: str, path: Optional[str]) -> str:
        """Say what is missing and what is expected."""
        return (f'`{name}` {path!r} of {type(self).__name__} not found. '
                f'Expected below `data_root` {self.data_root!r}: '
                f'{self.LAYOUT}')


@DATASETS.register_module()
class CityscapesPanopticDataset(PanopticDataset):
    """Cityscapes: 8 classes of things, 11 of stuff; 2975 and 500 images.

    Cordts et al., CVPR 2016. The JSON and PNGs are those of the official
    `cityscapesscripts/preparation/createPanopticImgs.py`, with or without
    its `--use-train-id`. Its JSON names images `..._gtFine_leftImg8bit.png`,
    without their city: no such files exist, the real ones are found.
    """

    METAINFO = dict(
        thing_classes=CityscapesDataset.METAINFO['classes'],
        stuff_classes=('road', 'sidewalk', 'building', 'wall', 'fence',
                       'pole', 'traffic light', 'traffic sign', 'vegetation',
                       'terrain', 'sky'),
        palette=[
            *CityscapesDataset.METAINFO['palette'], (128, 64, 128),
            (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
            (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35),
            (152, 251, 152), (70, 130, 180)
        ])
    LAYOUT = ('gtFine/cityscapes_panoptic_{train,val}.json and '
              'gtFine/cityscapes_panoptic_{train,val}/*_gtFine_panoptic.png '
              '(by createPanopticImgs.py of '
              'https://github.com/mcordts/cityscapesScripts), '
              'leftImg8bit/{train,val}/CITY/*_leftImg8bit.png')

    def image_name(self, image: dict) -> str:
        """Return CITY/CITY_000000_000019_leftImg8bit.png."""
        name = osp.basename(image['file_name'])
        name = name.replace('_gtFine_leftImg8bit', '_leftImg8bit')
        return osp.join(name.split('_')[0], name)


@DATASETS.register_module()
class COCOPanopticDataset(PanopticDataset):
    """COCO panoptic: 80 classes of things, 53 of stuff.

    Lin et al., ECCV 2014; Kirillov et al., CVPR 2019. Unlike mmdet's
    `CocoPanopticDataset` it needs no panopticapi.
    """

    METAINFO = {
        key: CocoPanopticDataset.METAINFO[key]
        for key in ('thing_classes', 'stuff_classes', 'palette')
    }
    LAYOUT = ('annotations/panoptic_{train,val}2017.json, '
              'annotations/panoptic_{train,val}2017/*.png, '
              '{train,val}2017/*.jpg (https://cocodataset.org)')


@DATASETS.register_module()
class CWFIDPanopticDataset(PanopticDataset):
    """Crop/Weed Field Image Dataset as panoptic: crop and weed on soil.

    Haug and Ostermann, "A Crop/Weed Field Image Dataset for the Evaluation
    of Computer Vision Based Precision Agriculture Tasks", ECCV workshops
    2014. 60 images of a field with 162 crop and 330 weed plants. An instance
    is a plant; vegetation without annotation is void. The data may be used
    for non-commercial research only.
    """

    METAINFO = dict(
        thing_classes=('crop', 'weed'),
        stuff_classes=('soil', ),
        palette=[(0, 255, 0), (255, 0, 0), (120, 90, 60)])
    LAYOUT = ('panoptic_{train,val}.json, panoptic/{train,val}/*.png, '
              'images/{train,val}/*.jpg, made of '
              'https://github.com/cwfid/dataset (non-commercial research)')


@DATASETS.register_module()
class VOCPanopticDataset(PanopticBaseDataset):
    """PASCAL VOC 2012: 20 classes of things, and the background as stuff.

    Everingham et al., IJCV 2010. There is no JSON: an image has a PNG of
    classes and one of objects, whose palette indices are the labels (0
    background, 255 void). Folders of the augmented set (Hariharan et al.,
    ICCV 2011), converted to such PNGs, are read alike. Both PNGs are read
    when a sample is; then it carries `panoptic_map` and `segments_info`.

    Args:
        ann_file: List of the images below `data_root`, a name a line, as
            ImageSets/Segmentation/train.txt.
        data_prefix: `img`, `semantic` and `instance`, folders below
            `data_root`; None: JPEGImages, SegmentationClass and
            SegmentationObject.
        kwargs: `data_root`, `pipeline`, `indices`, ... of
            `PanopticBaseDataset`.

    Raises:
        FileNotFoundError: When a folder or file is missing.
        ValueError: When the PNGs of an image do not fit each other.
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
        """List the images of the list."""
        if not fileio.isfile(self.ann_file, self.backend_args):
            raise FileNotFoundError(self._missing('ann_file', self.ann_file))
        for key, folder in self.data_prefix.items():
            if not fileio.isdir(folder, self.backend_args):
                raise FileNotFoundError(
                    self._missing(f'data_prefix.{key}', folder))
        names = fileio.get_text(
            self.ann_file, backend_args=self.backend_args).split()
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
        """Return what is known of an image, its map and segments."""
        info = super().get_data_info(idx)
        semantic = read_instance_map(info['semantic_path'])
        objects = read_instance_map(info['instance_path'])
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
        """Put the background last; 255 of either map is void."""
        # 0 is the background, the classes follow in the order of METAINFO
        table = np.full(VOID + 1, VOID)
        table[:self.num_things + 1] = [
            self.num_things, *range(self.num_things)]
        if semantic.max() > VOID or table[
                semantic[semantic != VOID]].max(initial=0) == VOID:
            raise ValueError(
                f'{path!r} must hold 0 .. {self.num_things} and {VOID} for '
                f'void, got {np.unique(semantic).tolist()}; it must be a PNG '
                'of palette indices, not of colours')
        return np.where(objects == VOID, VOID, table[semantic])

    def _missing(self, name: str, path: str) -> str:
        """Say what is missing, what is expected and where to get it."""
        return (f'`{name}` {path!r} of VOC not found. Expected below '
                f'`data_root` {self.data_root!r}: '
                'ImageSets/Segmentation/{train,val}.txt, '
                'JPEGImages/*.jpg, SegmentationClass/*.png and '
                'SegmentationObject/*.png '
                '(http://host.robots.ox.ac.uk/pascal/VOC/voc2012)')
