"""A dual encoder with any backbone and a file of frozen text embeddings.

Shapes: B images, K regions of an image, C channels, E dimensions of the joint
space.
"""
import math
from pathlib import Path
from typing import Optional, Sequence, Union

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmpixsort.functional.checks import check_count
from mmpixsort.layers.features import select_feature
from mmpixsort.registry import MODELS
from mmpixsort.structures import ImageEmbeddings
from mmpixsort.text.bank_file import read_text_bank
from mmpixsort.text.vocabulary import canonical_word, listed
from mmpixsort.utils.transfer import send_integers

from .dual_parts import (bounded_scale, check_images, check_texts, embed_means,
                         unit_rows)


@MODELS.register_module()
class BackboneDual(BaseModule):
    """Embed image regions in the space of fixed word embeddings.

    Use it if there are embeddings of words but no image tower that belongs to
    them. Images pass through a backbone of the host, batch normalisation and
    a linear projection. A region is embedded by projecting the mean of its
    features. The word embeddings are not trained. A text must be one of these
    words, without a template around it: set `train_templates` of the head
    and `templates` of the bank to 'none'.

    Args:
        backbone: Config of a backbone of the host.
        in_channels: Number of channels C of the feature map that is
            projected.
        text_file: Path of a .npz file that tools/build_text_bank.py wrote.
            Checkpoints do not contain it, so it can be replaced by a file
            with other words that the same text tower embedded.
        in_index: Index of a level of the backbone, or several indices. Several
            levels are resized to the size of the first and concatenated.
        freeze_backbone: Whether to keep the backbone fixed and in evaluation
            mode, so that only the layers after it are trained.
        init_cfg: Initialisation config of mmengine.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a text bank.
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
        # hash of the tower that embedded the words; '' if it is unknown
        self.text_fingerprint = file.fingerprint
        self.embed_dims = file.embeddings.shape[1]
        self.in_index = in_index
        self.in_channels = in_channels
        self.freeze_backbone = freeze_backbone
        self.backbone = MODELS.build(backbone)
        if freeze_backbone:
            self.backbone.requires_grad_(False)
        # otherwise the channels with the largest values would dominate
        self.norm = nn.BatchNorm2d(in_channels)
        self.projection = nn.Linear(in_channels, self.embed_dims)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / .07)))

    @property
    def logit_scale(self) -> Tensor:
        """Factor alpha of the cosines, a scalar of at most 100."""
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
            images: Images (B, 3, H, W).
            ids: Region (B, h, w) of each pixel, an integer in [0, K), or -1
                for a pixel in no region.
            num_regions: Number of regions K; required with `ids`.
        """
        check_images(images, ids, num_regions)
        return embed_means(
            self.norm(self._features(images)), self.projection, ids,
            num_regions)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return unit embeddings (N, E) of words.

        Raises:
            ValueError: If a text is not a word of the file.
        """
        check_texts(texts)
        words = [canonical_word(text) for text in texts]
        for word in words:
            if word not in self.place:
                raise ValueError(
                    f'`texts` must be among the {len(self.place)} words of '
                    f'`text_file`, without a template, got {word!r}; the '
                    f'words are {listed(list(self.place), 10)}')
        rows, = send_integers(
            [[self.place[word] for word in words]], self.text.device)
        return unit_rows(self.text[rows])

    def _features(self, images: Tensor) -> Tensor:
        """Return features (B, C, h, w); a frozen backbone has no gradient."""
        train = torch.is_grad_enabled() and not self.freeze_backbone
        with torch.set_grad_enabled(train):
            levels = self.backbone(images)
        return select_feature(levels, self.in_index, self.in_channels)
