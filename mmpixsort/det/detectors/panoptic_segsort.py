"""Panoptic segmentation by sorting segments."""
from typing import List

from torch import Tensor

from mmpixsort.registry import MODELS

from .embedding_instance import EmbeddingInstanceSegmentor


@MODELS.register_module()
class PanopticSegSort(EmbeddingInstanceSegmentor):
    """Backbone, neck, and a head whose segments are sorted and merged.

    As :class:`EmbeddingInstanceSegmentor`, with a PanopticSegSortHead;
    predicts `pred_panoptic_seg` in MMDetection's format, and
    `pred_instances`.
    """

    def predict(self,
                batch_inputs: Tensor,
                batch_data_samples: List,
                rescale: bool = True) -> List:
        """Add the panoptic map and instances to every data sample."""
        found = self.head.predict(
            self.extract_feat(batch_inputs), batch_data_samples,
            rescale=rescale)
        for sample, result in zip(batch_data_samples, found):
            sample.pred_panoptic_seg = result['pan_results']
            sample.pred_instances = result['ins_results']
        return batch_data_samples
