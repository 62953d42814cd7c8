"""Predictions of any model of this package as plain arrays.

Shapes: H W size of the image, h w size of the embedding, D embedding dims, S
segments, k neighbours, K instances.
"""
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
from torch import Tensor

from mmpixsort.datasets.panoptic_maps import INSTANCE_OFFSET
from mmpixsort.functional.instances.id_masks import paint_masks
from mmpixsort.utils.files import write_image, write_whole

Prediction = Dict[str, Any]


def prediction_of_sample(sample: Any, *, classes: Sequence[str],
                         embedding: Optional[Tensor] = None) -> Prediction:
    """Return the parts of a predicted data sample that a model has.

    Args:
        sample: Data sample with predictions, on any device.
        classes: Names of the classes.
        embedding: (D, h, w) embedding of the image; None leaves it out.

    Returns:
        Dict with `classes` (list of str) and, as far as the model predicts
        them, `labels` (H, W) int64; `scores` (H, W) float32, the probability
        of each label; `segments` (H, W) int64, -1 for none, with
        `neighbor_labels` (S, k) of retrieval; `groups` (H, W) of regions
        that were named; `instances` (H, W) int64, 0 for none, with
        `instance_labels` (K,) and `instance_scores` (K,) of the ids from 1;
        `panoptic` (H, W), class + 1000 * instance, with number of classes
        for void; and `embedding` (D, h, w) float32.
    """
    found: Prediction = dict(classes=list(classes))
    if 'pred_sem_seg' in sample:
        data = sample.pred_sem_seg
        labels = data.data if 'data' in data else data.sem_seg
        found['labels'] = _array(labels[0]).astype(np.int64)
    if 'seg_logits' in sample:
        logits = sample.seg_logits.data.float()
        if len(logits) > 1:
            found['scores'] = _array(logits.softmax(0).amax(0))
    if 'pred_segments' in sample:
        found['segments'] = _array(sample.pred_segments.data[0])
        if 'neighbor_labels' in sample.pred_segments:
            found['neighbor_labels'] = _array(
                sample.pred_segments.neighbor_labels)
    if 'pred_groups' in sample:
        found['groups'] = _array(sample.pred_groups.data[0])
    if 'pred_panoptic_seg' in sample:
        found['panoptic'] = _array(
            sample.pred_panoptic_seg.sem_seg[0]).astype(np.int64)
        found['labels'] = found['panoptic'] % INSTANCE_OFFSET
    if 'pred_instances' in sample:
        instances = sample.pred_instances
        found['instances'] = _array(paint_masks(instances.masks)).astype(
            np.int64)
        found['instance_labels'] = _array(instances.labels)
        found['instance_scores'] = _array(instances.scores)
    if embedding is not None:
        found['embedding'] = _array(embedding.float())
    return found


def class_shares(prediction: Prediction) -> Dict[str, float]:
    """Return the share of the pixels of each class that was found.

    Args:
        prediction: Prediction of :func:`prediction_of_sample` with `labels`.

    Returns:
        Dict from the name of each class in the image to its share of the
        pixels, in (0, 1], the largest first. Void pixels have no class.

    Example:
        >>> class_shares(dict(classes=['road', 'car', 'sky'],
        ...                   labels=np.array([[2, 0], [0, 0]])))
        {'road': 0.75, 'sky': 0.25}
    """
    labels, classes = prediction['labels'], prediction['classes']
    counts = np.bincount(labels.ravel(), minlength=len(classes))
    order = np.argsort(-counts[:len(classes)], kind='stable')
    return {classes[i]: float(counts[i] / labels.size)
            for i in order if counts[i]}


def save_prediction(prediction: Prediction, folder: Union[str, Path],
                    name: str) -> List[Path]:
    """Write a prediction; return the paths of its files.

    `NAME.npz` has all arrays by their names and the names of the classes.
    `NAME.png` is the map of labels, or of instances without labels, with one
    channel of 8 or 16 bits.

    Args:
        prediction: Prediction of :func:`prediction_of_sample`.
        folder: Folder to write to.
        name: Name of the files, without ending.
    """
    from io import BytesIO
    folder = Path(folder)
    data = BytesIO()
    np.savez_compressed(data, **{
        key: np.asarray(value) for key, value in prediction.items()})
    files = [folder / f'{name}.npz']
    write_whole(files[0], data.getvalue())
    ids = prediction.get('labels', prediction.get('instances'))
    if ids is not None and 0 <= ids.min() and ids.max() < 1 << 16:
        kind = np.uint8 if ids.max() < 1 << 8 else np.uint16
        files.append(folder / f'{name}.png')
        write_image(files[1], ids.astype(kind))
    return files


def shown_labels(prediction: Prediction) -> Optional[np.ndarray]:
    """Return the map (H, W) that a picture of a prediction shows.

    Instances have different labels and are not shown in the colours of
    classes.
    """
    if 'panoptic' in prediction:
        panoptic = prediction['panoptic']
        void = panoptic == len(prediction['classes'])
        colours = (29 * (panoptic % INSTANCE_OFFSET)
                   + 67 * (panoptic // INSTANCE_OFFSET) + 1) % 255
        return np.where(void, -1, colours)
    if 'instances' in prediction and 'labels' not in prediction:
        return np.where(prediction['instances'] > 0,
                        (prediction['instances'] - 1) % 255, -1)
    return prediction.get('labels')


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
