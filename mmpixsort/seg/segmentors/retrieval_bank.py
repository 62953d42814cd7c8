"""Build a bank of prototypes with a segmentor, in memory."""
from typing import Dict, List, Optional

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from torch import nn
from torch.utils.data import Dataset

from mmpixsort.functional.checks import check_count
from mmpixsort.retrieval import PrototypeBank
from mmpixsort.retrieval.build import (ImageRows, RowRules, bank_meta,
                                       join_rows, share)
from mmpixsort.retrieval.images import image_name
from mmpixsort.utils.progress import progress

from .retrieval_inference import RetrievalInference


def meta_of(retrieval: RetrievalInference, dataset: Dataset,
            rules: RowRules) -> Dict:
    """Return the entries of `meta` that say how a bank is built."""
    return bank_meta(
        classes=dataset.metainfo['classes'],
        palette=dataset.metainfo.get('palette'),
        fingerprint=retrieval.fingerprint(),
        clustering=retrieval.clustering(),
        rules=rules)


def chosen_images(dataset: Dataset, max_images: Optional[int]) -> List[int]:
    """Return the indices of the images to use, evenly spread.

    Args:
        dataset: Data set of the images.
        max_images: Largest number of images. None uses all.

    Raises:
        ValueError: If the data set is empty or `max_images` below 1.
    """
    count = len(dataset)
    if count == 0:
        raise ValueError('the data set of a bank must hold images, got none')
    if max_images is not None:
        check_count('max_images', max_images)
    if max_images is None or max_images >= count:
        return list(range(count))
    return [i * count // max_images for i in range(max_images)]


@torch.no_grad()
def bank_in_memory(model: nn.Module,
                   dataset: Dataset,
                   *,
                   rules: RowRules = RowRules(),
                   max_images: Optional[int] = None) -> PrototypeBank:
    """Build a bank from annotated images, and return it on every rank.

    All ranks must call it, since each one handles a part of the images.

    Args:
        model: Segmentor with `retrieval`. It is in evaluation mode during
            the build.
        dataset: Data set of annotated images.
        rules: Rules by which segments become rows.
        max_images: Number of images to use, evenly spread over the data set.
            None uses all.
    """
    images = chosen_images(dataset, max_images)
    training = model.training
    model.eval()
    numbers = share(len(images), get_rank(), get_world_size())
    own = []
    try:
        with progress(len(numbers), 'bank', bar=False) as advance:
            for i in numbers:
                own.append(
                    (i, model.retrieval.rows(dataset[images[i]], rules)))
                advance()
    finally:
        model.train(training)
    gathered = [own]
    if get_world_size() > 1:
        gathered = all_gather_object([(i, tuple(rows)) for i, rows in own])
    joined = [(i, ImageRows(*rows)) for part in gathered for i, rows in part]
    names = [image_name(dataset, i) for i in images]
    return join_rows(
        joined, names=names, meta=meta_of(model.retrieval, dataset, rules),
        dtype='float32')
