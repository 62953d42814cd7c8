"""Choose the background threshold on images that are not used for testing."""
import copy
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Union

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from mmpixsort.functional.checks import check_choice
from mmpixsort.functional.scores.segments import overlap_counts
from mmpixsort.functional.words.regions import resize_ids
from mmpixsort.utils.progress import tracked

from .loading import load_text_segmentor

SPLITS = ('train', 'val')
THRESHOLDS = [round(.3 + .025 * i, 3) for i in range(27)]  # of studies


class Curve(NamedTuple):
    """The mIoU for each of several thresholds.

    Attributes:
        thresholds: Thresholds that were tried, in ascending order.
        mean_ious: mIoU of each threshold in percent, over the classes that
            occur.
        best: Threshold with the highest mIoU.
    """

    thresholds: List[float]
    mean_ious: List[float]
    best: float


@torch.no_grad()
def tune_background(config: Union[str, Path, Config],
                    checkpoint: Optional[Union[str, Path]],
                    *,
                    thresholds: Sequence[float],
                    split: str = 'val',
                    max_images: Optional[int] = None,
                    device: Optional[str] = None) -> Curve:
    """Compute the mIoU of several background thresholds.

    The predictions are those of a test. Each image is encoded once for all
    thresholds; if `test_cfg` groups windows, once for every threshold.

    Args:
        config: Config, or its path, of a model whose head has a rule for the
            background.
        checkpoint: Checkpoint with its weights; None uses the weights that
            the config names.
        thresholds: Thresholds to try.
        split: Annotated split, 'val' or 'train'. It must not be the split
            whose scores are reported.
        max_images: Number of images to use, from the start of the data set;
            None uses all.
        device: Name of the device; None uses a GPU if there is one.

    Raises:
        ValueError: If the head has no rule for the background, there is no
            threshold, or the split has no annotation.
    """
    check_choice('split', split, SPLITS)
    thresholds = sorted(set(map(float, thresholds)))
    if not thresholds:
        raise ValueError('`thresholds` must contain at least one number, got '
                         'none')
    cfg, model = load_text_segmentor(config, checkpoint, device=device)
    head = model.decode_head
    if head.background is None:
        raise ValueError('`background` of the head must be a rule, because '
                         'only a rule has a threshold, got None')
    loader = Runner.build_dataloader(_in_order(cfg, split, max_images))
    head.bank.ensure(model.backbone.encode_text)
    classes = head.num_classes
    counts = torch.zeros(len(thresholds), classes, classes)
    for data in tracked(loader, 'scoring'):
        data = model.data_preprocessor(data)
        labels = _labels(data['data_samples'])
        predict = _predictor(model, data)
        for row, threshold in enumerate(thresholds):
            head.threshold = threshold
            counts[row] += overlap_counts(
                predict(), labels, num_rows=classes,
                num_classes=classes).cpu()
    scores = [mean_iou(table) for table in counts]
    return Curve(thresholds, scores,
                 thresholds[max(range(len(scores)), key=scores.__getitem__)])


def score_with_tuned_background(cfg: Config,
                                checkpoint: Path) -> Dict[str, float]:
    """Test a model with the background threshold of the validation split.

    This is a `scorer` for studies.

    Args:
        cfg: Config with `val_dataloader`, on which the threshold is chosen
            among `THRESHOLDS`, and `test_dataloader`, which is scored.
        checkpoint: Path of the weights.

    Returns:
        The metrics of `test_evaluator`, and the `threshold`.
    """
    curve = tune_background(
        copy.deepcopy(cfg), checkpoint, thresholds=THRESHOLDS)
    cfg = copy.deepcopy(cfg)
    cfg.model.decode_head.threshold = curve.best
    cfg.load_from, cfg.resume = str(checkpoint), False
    # mmengine finds runners and visualizers by name; with a name of its own,
    # this test writes its pictures to its own folder
    cfg.experiment_name = f'{cfg.work_dir} {time.time_ns()}'
    if cfg.get('visualizer'):
        cfg.visualizer.name = cfg.experiment_name
    return dict(Runner.from_cfg(cfg).test(), threshold=curve.best)


def _in_order(cfg: Config, split: str, max_images: Optional[int]) -> dict:
    """Return the config of a loader that yields single images in order."""
    loader = dict(cfg.val_dataloader, batch_size=1)
    if split == 'train':
        source = cfg.train_dataloader.dataset
        loader['dataset'] = dict(
            source, pipeline=cfg.val_dataloader.dataset.pipeline)
    if max_images is not None:
        loader['dataset'] = dict(loader['dataset'], indices=max_images)
    return loader


def _labels(data_samples: list) -> Tensor:
    """Return the annotation (H, W) of the only image."""
    sample, = data_samples
    if 'gt_sem_seg' not in sample:
        raise ValueError('`gt_sem_seg` must be in every data sample, got '
                         'none: this split has no annotation')
    return sample.gt_sem_seg.data[0]


def _predictor(model, data: dict) -> Callable[[], Tensor]:
    """Return a function that predicts channel indices (H, W) of the image.

    The function uses the present threshold of the head. It predicts the same
    as a test does with `data`: padding is removed before an image is grouped.
    """
    # imported here, because only this function needs the host
    from mmpixsort.seg.segmentors.retrieval_embedding import padding_of
    from mmpixsort.seg.segmentors.text_group_segmentor import (original_ids,
                                                               without_padding)
    head, samples = model.decode_head, data['data_samples']
    meta = samples[0].metainfo
    if model.groups_windows:
        return lambda: model.predict(
            data['inputs'], samples)[0].pred_sem_seg.data[0]
    inputs = without_padding(data['inputs'], padding_of(meta))
    ids = resize_ids(head.group(inputs, samples), inputs.shape[2:],
                     head.num_regions)
    named = model.encode_regions(inputs, ids)
    ids = original_ids(ids[0], meta, head.num_regions)

    def predict() -> Tensor:
        words = head.name(named, model.backbone.logit_scale).argmax(2)[0]
        # id -1 (no group) selects the last element, which is channel 0
        return torch.cat([words, words.new_zeros(1)])[ids]

    return predict


def mean_iou(counts: Tensor) -> float:
    """Return the mean IoU in percent over the classes that occur.

    Args:
        counts: Numbers of pixels (C, C) for each prediction and label.
    """
    union = counts.sum(0) + counts.sum(1) - counts.diag()
    iou = counts.diag() / union
    return round(100 * iou[union > 0].mean().item(), 2)
