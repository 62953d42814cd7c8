"""A detector that finds instances as clusters of pixel embeddings."""
from typing import List, Optional

from mmdet.models.detectors import BaseDetector
from torch import Tensor

from mmpixsort.registry import MODELS


@MODELS.register_module()
class EmbeddingInstanceSegmentor(BaseDetector):
    """Instance segmentation detector without boxes, by clustering embeddings.

    De Brabandere et al. (https://arxiv.org/abs/1708.02551). It takes any
    backbone and neck of MMDetection or MMSegmentation. To use those of an
    existing config, inherit it and write ::

        model = dict(
            _delete_=True,
            type='mmpixsort.EmbeddingInstanceSegmentor',
            data_preprocessor=_base_.model.data_preprocessor,
            backbone=_base_.model.backbone,
            neck=_base_.model.neck,
            head=dict(type='mmpixsort.InstanceEmbeddingHead', ...))

    Args:
        backbone: Config of the backbone.
        head: Config of the head, for example an InstanceEmbeddingHead.
        neck: Config of the neck; None uses no neck.
        train_cfg: Accepted because MMDetection passes it; not used.
        test_cfg: Accepted because MMDetection passes it; not used.
        data_preprocessor: Config of the data preprocessor.
        init_cfg: Config of the initialisation of the weights.
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
            data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = None if neck is None else MODELS.build(neck)
        self.head = MODELS.build(head)

    def extract_feat(self, batch_inputs: Tensor) -> List[Tensor]:
        """Return the levels of the neck or, without a neck, the backbone."""
        levels = self.backbone(batch_inputs)
        return levels if self.neck is None else self.neck(levels)

    def extract_embedding(self, batch_inputs: Tensor) -> Tensor:
        """Return embeddings (B, D, h, w) of preprocessed images."""
        return self.head(self.extract_feat(batch_inputs))[1]

    def loss(self, batch_inputs: Tensor, batch_data_samples: List) -> dict:
        """Return the losses of a batch."""
        return self.head.loss(
            self.extract_feat(batch_inputs), batch_data_samples)

    def predict(self,
                batch_inputs: Tensor,
                batch_data_samples: List,
                rescale: bool = True) -> List:
        """Add `pred_instances` to every data sample."""
        found = self.head.predict(
            self.extract_feat(batch_inputs), batch_data_samples,
            rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, found)

    def _forward(self,
                 batch_inputs: Tensor,
                 batch_data_samples: Optional[List] = None) -> tuple:
        """Return logits (B, C + 1, h, w) and embeddings (B, D, h, w)."""
        return self.head(self.extract_feat(batch_inputs))
