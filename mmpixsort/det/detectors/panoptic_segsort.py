"""The detector for panoptic segmentation."""
from typing import List, Optional, Tuple

from torch import Tensor

from mmpixsort.registry import MODELS

from .embedding_instance import EmbeddingInstanceSegmentor
from .slide import SlideRules, slide_maps


@MODELS.register_module()
class PanopticSegSort(EmbeddingInstanceSegmentor):
    """Detector for panoptic segmentation, with one of the panoptic heads.

    It predicts `pred_panoptic_seg` in the format of MMDetection,
    `pred_sem_seg` with the most likely classes, and `pred_instances`.

    Args:
        backbone: Config of the backbone.
        head: Config of the head, a PanopticSegSortHead or a
            PanopticDiscriminativeHead.
        neck: Config of the neck; None uses no neck.
        train_cfg: Accepted because MMDetection passes it; not used.
        test_cfg: ``dict(mode='whole')``, or ``dict(mode='slide',
            crop_size=(h, w), stride=(h, w))`` in input pixels. With 'slide',
            logits and embeddings are averaged over windows, and instances
            are found once in the whole image. None means 'whole'.
        data_preprocessor: Config of the data preprocessor.
        init_cfg: Config of the initialisation of the weights.

    Raises:
        ValueError: If `test_cfg` has another mode, or windows that do not
            cover an image.
    """

    def __init__(self,
                 *,
                 backbone: dict,
                 head: dict,
                 neck: Optional[dict] = None,
                 train_cfg: Optional[dict] = None,
                 test_cfg: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            backbone=backbone, head=head, neck=neck,
            data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.slide = SlideRules(**(test_cfg or {})).check()

    def predict(self,
                batch_inputs: Tensor,
                batch_data_samples: List,
                rescale: bool = True) -> List:
        """Add the panoptic map, class map and instances to every sample."""
        found = self.head.results(
            *self._maps(batch_inputs), batch_data_samples, rescale=rescale)
        for sample, result in zip(batch_data_samples, found):
            sample.pred_panoptic_seg = result['pan_results']
            sample.pred_sem_seg = result['sem_results']
            sample.pred_instances = result['ins_results']
        return batch_data_samples

    def _maps(self, batch_inputs: Tensor) -> Tuple[Tensor, Tensor]:
        """Return logits (B, C, h, w) and embeddings (B, D, h, w)."""
        def embed(crop: Tensor) -> Tuple[Tensor, Tensor]:
            return self.head.embed(self.extract_feat(crop))

        if self.slide.mode == 'whole':
            return embed(batch_inputs)
        return slide_maps(embed, batch_inputs, self.slide,
                          unit=self.head.unit_embeddings)
