"""A dual encoder of any backbone and a file of frozen text embeddings.

Shapes: B images, K regions of an image, C channels, E dims of the joint
space.
"""
import math
from pathlib import Path
from typing import Optional, Sequence, Union

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmpixsort.functional.checks import check_count
from mmpixsort.functional.words.regions import pool_regions, resize_ids
from mmpixsort.layers.features import select_feature
from mmpixsort.registry import MODELS
from mmpixsort.structures import ImageEmbeddings
from mmpixsort.text.bank_file import read_text_bank
from mmpixsort.text.vocabulary import canonical_word, listed

from .dual_parts import bounded_scale, check_images, check_texts, unit_rows


@MODELS.register_module()
class BackboneDual(BaseModule):
    """Learn to put regions where a text tower has put their words.

    For where there are embeddings of words but no image tower: a backbone
    with weights of its own, batch normalisation and a linear projection to
    the space of the words, whose embeddings stay as they are. A text is one
    of these words, without a template around it: set `train_templates` of
    the head and `templates` of the bank to 'none'. Regions are area means.

    Args:
        backbone: Config of a backbone of the host.
        in_channels: C of what is projected.
        text_file: .npz of tools/build_text_bank.py. It is no part of
            checkpoints, so that one of another list of words, by the same
            text tower, may take its place.
        in_index: Level of the backbone, or levels, which are resized to the
            first of them.
        freeze_backbone: Train the projection alone; the backbone stays in
            evaluation mode.
        init_cfg: Initialisation of weights, as in the host.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is no bank of words.
    """

    text: Tensor

    def __init__(self,
                 *,
                 backbone: dict,
                 in_channels: int,
                 text_file: Union[str, Path],
                 in_index: Union[int, Sequence[int]] = -1,
                 freeze_backbone: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        check_count('in_channels', in_channels)
        file = read_text_bank(text_file)
        self.place = {
            name: i for i, name in enumerate(file.vocabulary.flat_names())}
        self.register_buffer('text', file.embeddings, persistent=False)
        # of the tower that embedded the words; '' unknown
        self.text_fingerprint = file.fingerprint
        self.embed_dims = file.embeddings.shape[1]
        self.in_index = in_index
        self.in_channels = in_channels
        self.freeze_backbone = freeze_backbone
        self.backbone = MODELS.build(backbone)
        if freeze_backbone:
            self.backbone.requires_grad_(False)
        # channels of a backbone differ in size, and so would their say
        self.norm = nn.BatchNorm2d(in_channels)
        self.projection = nn.Linear(in_channels, self.embed_dims)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / .07)))

    @property
    def logit_scale(self) -> Tensor:
        """alpha, a scalar of at most 100."""
        return bounded_scale(self.log_scale)

    def train(self, mode: bool = True) -> 'BackboneDual':
        """Keep a frozen backbone in evaluation mode."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.eval()
        return self

    def encode_image(self,
                     images: Tensor,
                     ids: Optional[Tensor] = None,
                     num_regions: int = 0) -> ImageEmbeddings:
        """Return unit embeddings of images and, with `ids`, of regions.

        Args:
            images: (B, 3, H, W).
            ids: (B, h, w) integer in [0, K), -1: in no region.
            num_regions: K, with `ids`.
        """
        check_images(images, ids, num_regions)
        features = self.norm(self._features(images))
        image = unit_rows(self.projection(features.mean((2, 3))))
        if ids is None:
            return ImageEmbeddings(image)
        ids = resize_ids(ids, features.shape[2:], num_regions)
        means, valid = pool_regions(features, ids, num_regions)
        return ImageEmbeddings(
            image, unit_rows(self.projection(means), valid), valid)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return unit embeddings (N, E) of words.

        Raises:
            ValueError: On a text that is no word of the file.
        """
        check_texts(texts)
        words = [canonical_word(text) for text in texts]
        for word in words:
            if word not in self.place:
                raise ValueError(
                    f'`texts` must be of the {len(self.place)} words of '
                    f'`text_file`, without a template, got {word!r}; it '
                    f'holds {listed(list(self.place), 10)}')
        rows = torch.tensor(
            [self.place[word] for word in words], dtype=torch.long,
            device=self.text.device)
        return unit_rows(self.text[rows])

    def _features(self, images: Tensor) -> Tensor:
        """Return (B, C, h, w), without a gradient of a frozen backbone."""
        train = torch.is_grad_enabled() and not self.freeze_backbone
        with torch.set_grad_enabled(train):
            levels = self.backbone(images)
        return select_feature(levels, self.in_index, self.in_channels)
