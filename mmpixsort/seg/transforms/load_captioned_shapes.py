"""A loading transform that generates captioned shapes."""
from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform

from mmpixsort.datasets.synthetic.captioned_shapes import CaptionedShapes
from mmpixsort.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadCaptionedShapes(BaseTransform):
    """Generate a scene in place of reading an image, labels and a caption.

    A scene takes less than a millisecond. Do not put a `Resize` after
    this transform in a test pipeline: it would resize the labels too, and
    mmseg scores at the original size.

    Required keys: `scene_args` (keywords of `CaptionedShapes`),
    `scene_index`, `label_map`, `seg_fields`.

    Added keys: `img` (H, W, 3) uint8 BGR, `img_shape`, `ori_shape`,
    `caption` (str), `nouns` (list of str) and, with labels, `gt_seg_map`
    (H, W) uint8.

    Args:
        with_labels: Whether to add the labels. None adds them in every split
            but 'train', which learns from captions.
    """

    def __init__(self, with_labels: Optional[bool] = None) -> None:
        self.with_labels = with_labels

    def transform(self, results: dict) -> dict:
        """Generate the scene of `results`."""
        scene_args = results['scene_args']
        scene = CaptionedShapes(**scene_args)[results['scene_index']]
        results['img'] = scene.image[..., ::-1].copy()
        results['img_shape'] = scene.image.shape[:2]
        results['ori_shape'] = scene.image.shape[:2]
        results['caption'] = scene.caption
        results['nouns'] = list(scene.nouns)
        with_labels = self.with_labels
        if with_labels is None:
            with_labels = scene_args['split'] != 'train'
        if with_labels:
            results['gt_seg_map'] = _relabel(
                scene.labels, results.get('label_map'))
            results['seg_fields'].append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(with_labels={self.with_labels})'


def _relabel(labels: np.ndarray, label_map: Optional[dict]) -> np.ndarray:
    """Apply mmseg's `label_map` (old to new label) to a map."""
    table = np.arange(256, dtype=np.uint8)
    for old, new in (label_map or {}).items():
        table[old] = new
    return table[labels]
