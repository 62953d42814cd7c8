"""Images with captions and nouns, for the pipelines of MMSegmentation."""
import logging
import os.path as osp
from itertools import islice
from typing import Any, Dict, List, Optional

import cv2
import mmengine.fileio as fileio
import numpy as np
import torch.utils.data
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmpixsort.registry import DATASETS
from mmpixsort.text.captions import (Caption, CaptionStatistics,
                                     caption_statistics, group_by_image,
                                     read_captions, with_nouns)
from mmpixsort.text.nouns import LexiconExtractor

# number of images, from the first on, of which at least one file must exist
NUM_LOOKED_AT = 16


@DATASETS.register_module()
class ImageCaptionDataset(BaseDataset):
    """Images, each with one of its captions and the nouns in it.

    In training, successive visits of an image go through all of its
    captions, in an order that depends on `seed` and the index. An image that
    cannot be decoded is replaced by a random other one, with a warning that
    counts such images. In a test the first caption is used, and an image
    that cannot be decoded is an error.

    A sample has `img_path`, `caption` (str), `nouns` (list of str) and the
    other keys that mmseg's pipelines need.

    Args:
        ann_file: Path of the captions: `.jsonl`, `.csv`, `.tsv`, or `.json`
            as in COCO; see `mmpixsort.text.captions`.
        lexicon: Path of a word list, whose nouns are extracted from captions
            that come without nouns; 'everyday' is the list of mmpixsort.
            None extracts nothing.
        need_nouns: Whether to raise an error if the file has no nouns and
            `lexicon` is None.
        filter_empty_nouns: Whether to leave out captions without nouns, and
            images that have no other captions.
        seed: Seed of the order of captions.
        data_prefix: Dict with `img_path`, the folder of the images.
        kwargs: Further arguments of mmengine's `BaseDataset`, such as
            `data_root`, `pipeline`, `indices`, `serialize_data`, `lazy_init`
            and `max_refetch`.

    Raises:
        FileNotFoundError: If the captions, or all of the first images, do
            not exist.
        ValueError: If no caption is left, or nouns are needed and missing.
    """

    def __init__(self,
                 ann_file: str,
                 lexicon: Optional[str] = None,
                 need_nouns: bool = True,
                 filter_empty_nouns: bool = False,
                 seed: int = 0,
                 data_prefix: Optional[dict] = None,
                 **kwargs) -> None:
        self.lexicon = lexicon
        self.need_nouns = need_nouns
        self.filter_empty_nouns = filter_empty_nouns
        self.seed = seed
        self.num_broken = 0
        self._visits: Optional[np.ndarray] = None
        super().__init__(
            ann_file=ann_file,
            data_prefix=dict(data_prefix or dict(img_path='')),
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read the captions, and return one entry for each image."""
        captions = list(self._captions())
        self._check(captions)
        self._statistics = caption_statistics(captions)
        print_log(f'{osp.basename(self.ann_file)}: {self._statistics}',
                  logger='current')
        folder = self.data_prefix.get('img_path') or ''
        entries = [
            dict(
                img_path=osp.join(folder, name),
                captions=[c.text for c in group],
                nouns_of_captions=[list(c.nouns or ()) for c in group])
            for name, group in group_by_image(captions).items()
        ]
        self._check_files(entries)
        return entries

    def _captions(self) -> List[Caption]:
        captions = read_captions(self.ann_file)
        if self.lexicon is not None:
            captions = with_nouns(
                captions, LexiconExtractor.from_file(self.lexicon))
        captions = list(captions)
        if self.need_nouns and captions and all(
                caption.nouns is None for caption in captions):
            raise ValueError(
                f'`ann_file` {self.ann_file!r} must have nouns: run '
                'tools/extract_nouns.py on it, set `lexicon`, or '
                '`need_nouns=False` to train without')
        if self.filter_empty_nouns:
            captions = [caption for caption in captions if caption.nouns]
        return captions

    def _check(self, captions: List[Caption]) -> None:
        if not captions:
            raise ValueError(
                f'`ann_file` {self.ann_file!r} must hold a caption'
                f'{" with nouns" if self.filter_empty_nouns else ""}, '
                'got none')

    def _check_files(self, entries: List[dict]) -> None:
        """Raise an error if the folder of the images seems to be wrong."""
        paths = [entry['img_path'] for entry in islice(entries,
                                                       NUM_LOOKED_AT)]
        if not any(fileio.exists(path) for path in paths):
            raise FileNotFoundError(
                f'none of the first {len(paths)} images exists, such as '
                f'{paths[0]!r}; set `data_root` and `data_prefix.img_path` '
                'to their folder')

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on an image and a caption; None if broken."""
        sample = self._draw(idx, self.get_data_info(idx))
        path = sample['img_path']
        try:
            return self.pipeline(sample)
        except Exception:
            # an error of another kind must not be hidden
            if self.test_mode or _readable(path):
                raise
        self._warn(path)
        return None

    def _draw(self, idx: int, info: Dict[str, Any]) -> Dict[str, Any]:
        """Return a sample with one of the captions of an image."""
        count, place = len(info['captions']), 0
        if not self.test_mode and count > 1:
            place = self._order(idx, count)[self._visit(idx) % count]
        return dict(
            img_path=info['img_path'],
            sample_idx=info['sample_idx'],
            caption=info['captions'][place],
            nouns=info['nouns_of_captions'][place],
            label_map=None,
            reduce_zero_label=False,
            seg_fields=[])

    def _order(self, idx: int, count: int) -> np.ndarray:
        worker = torch.utils.data.get_worker_info()
        # workers that are started anew in every epoch forget their visits;
        # torch then draws this number anew, the same for all workers
        epoch = 0 if worker is None else worker.seed - worker.id
        key = [self.seed, epoch, idx % len(self)]
        return np.random.default_rng(key).permutation(count)

    def _visit(self, idx: int) -> int:
        """Count a visit, and return the number of visits before it."""
        if self._visits is None or len(self._visits) != len(self):
            self._visits = np.zeros(len(self), np.int32)
        self._visits[idx] += 1
        return int(self._visits[idx]) - 1

    def _warn(self, path: str) -> None:
        """Count a broken image; warn at the first, second, fourth, ..."""
        self.num_broken += 1
        if self.num_broken & (self.num_broken - 1) == 0:
            print_log(
                f'image {path!r} cannot be read; another takes its place '
                f'({self.num_broken} so far in this process)',
                logger='current', level=logging.WARNING)

    def caption_statistics(self) -> CaptionStatistics:
        """Count the images, captions and nouns of the file."""
        self.full_init()
        return self._statistics


def _readable(path: str) -> bool:
    """Return whether an image can be decoded."""
    try:
        data = np.frombuffer(fileio.get(path), np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_COLOR) is not None
    except (OSError, cv2.error):
        return False
