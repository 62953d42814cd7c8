"""A segmentor that groups pixels and names the groups by words.

Shapes: B images, K regions of an image, C channels of the head, H W size.
"""
from typing import Dict, List, NamedTuple, Optional, Sequence

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.contrast.labels import undo_flip
from mmpixsort.functional.windows import image_windows
from mmpixsort.functional.words.region_naming import paint_regions
from mmpixsort.functional.words.regions import resize_ids
from mmpixsort.registry import MODELS
from mmpixsort.seg.heads.text_group_head import CaptionTargets
from mmpixsort.structures import ImageEmbeddings

from .retrieval_embedding import is_slide, padding_of


class NamedGroups(NamedTuple):
    """Groups of images of one size, and the words for them.

    Attributes:
        scores: Log-probabilities (B, K, C) of the words for each group.
        groups: Group (B, H, W) of each pixel, int64 in [0, K), -1 for none.
    """

    scores: Tensor
    groups: Tensor


@MODELS.register_module()
class TextGroupSegmentor(EncoderDecoder):
    """Group the pixels of an image and name the groups by words.

    The backbone is a dual encoder, such as OpenCLIPDual or TinyDual, and the
    decode head is a TextGroupHead. It is trained with images and captions,
    or used without training.

    With `test_cfg=dict(mode='slide', ...)` each window is encoded by itself.
    The whole image is grouped once, and the embedding of a region is the
    mean over the windows that it lies in, weighted by its area there. If
    `test_cfg` also has `group_per_window=True`, each window is grouped and
    named by itself, as in the protocols of other methods.

    Example:
        >>> model = MODELS.build(dict(
        ...     type='mmpixsort.TextGroupSegmentor',
        ...     backbone=dict(
        ...         type='mmpixsort.TinyDual', vocabulary=['disk', 'ring']),
        ...     decode_head=dict(
        ...         type='mmpixsort.TextGroupHead',
        ...         grouper=dict(
        ...             type='mmpixsort.RegionGrouper', grid=4,
        ...             feature=dict(type='mmpixsort.ColorFeature')),
        ...         bank=dict(type='mmpixsort.TextBank', classes=['disk']),
        ...         background='cosine', threshold=.3),
        ...     test_cfg=dict(mode='whole'))).eval()
        >>> model.set_vocabulary(['ring', 'disk'])
        >>> model.decode_head.classes
        ['background', 'ring', 'disk']
        >>> sample, = model.predict(torch.zeros(1, 3, 32, 48))
        >>> sample.pred_sem_seg.data.shape
        torch.Size([1, 32, 48])
    """

    def _init_decode_head(self, decode_head: dict) -> None:
        """Build the head, and take the number of classes from it."""
        self.decode_head = MODELS.build(decode_head)
        self.align_corners = self.decode_head.align_corners
        self._count_classes()

    def _count_classes(self) -> None:
        self.num_classes = self.decode_head.num_classes
        self.out_channels = self.decode_head.out_channels

    def train(self, mode: bool = True):
        """Set the mode, and drop embeddings of words when training starts.

        Training changes the text tower, which made these embeddings.
        """
        if mode and not self.training:
            self.decode_head.bank.forget()
        return super().train(mode)

    def set_vocabulary(self,
                       classes: Sequence[str],
                       aliases: Optional[Dict[str, Sequence[str]]] = None
                       ) -> None:
        """Segment with other words from now on.

        Args:
            classes: Words, in the order of the channels. If there is a rule
                for the background, its channel precedes them.
            aliases: For a word, the names to encode in its place; a region
                is compared with the nearest of them.

        Raises:
            ValueError: If the text tower does not know a word, or, for a
                text bank that was read from a file, the file lacks it.
        """
        bank = self.decode_head.bank
        encode = None if bank.is_from_file else self.backbone.encode_text
        bank.set_vocabulary(classes, aliases, encode=encode)
        self._count_classes()
        meta = getattr(self, 'dataset_meta', None) or {}
        self.dataset_meta = dict(
            meta, classes=self.decode_head.classes, palette=None)

    def loss(self, inputs: Tensor, data_samples: List) -> dict:
        """Return the losses of a batch of images with captions."""
        head = self.decode_head
        groups = head.group(inputs, data_samples)
        embeddings = self.backbone.encode_image(
            inputs, groups, head.num_regions)
        metas = [sample.metainfo for sample in data_samples]
        losses = head.loss(
            embeddings, self.backbone.encode_text,
            scale=self.backbone.logit_scale,
            captions=[_caption(meta) for meta in metas])
        # without captions the losses do not depend on the text tower, and
        # DDP would wait for its gradients: add a zero that depends on it
        first = next(name for name in losses if 'loss' in name)
        losses[first] = losses[first] + sum(
            parameter.flatten()[:0].sum()
            for parameter in self.backbone.parameters()
            if parameter.requires_grad)
        return losses

    def predict(self,
                inputs: Tensor,
                data_samples: Optional[List] = None) -> List:
        """Return data samples with the predictions for images.

        They get `seg_logits`, `pred_sem_seg` and `pred_groups` in the size
        of the original image. Padding is cut off before an image is grouped
        and encoded, so the result does not depend on the rest of the batch.
        Ids are resized in place of logits: interpolated logits of two words
        may have their maximum at a third word.

        With `group_per_window` the host predicts instead, with padding and
        interpolated logits. There are no `pred_groups` then, and the head
        must have a grouper.

        Args:
            inputs: Preprocessed images (B, 3, H, W).
            data_samples: Data samples of the images. None creates them.
        """
        self.decode_head.bank.ensure(self.backbone.encode_text)
        self._count_classes()
        if self.groups_windows:
            return super().predict(inputs, data_samples)
        if data_samples is None:
            data_samples = [
                SegDataSample(metainfo=dict(ori_shape=inputs.shape[2:]))
                for _ in inputs]
        paddings = [padding_of(sample.metainfo) for sample in data_samples]
        step = len(inputs) if len(set(paddings)) == 1 else 1
        for start in range(0, len(inputs), step):
            samples = data_samples[start:start + step]
            found = self.name_groups(
                without_padding(inputs[start:start + step], paddings[start]),
                samples)
            for scores, ids, sample in zip(*found, samples):
                _add_prediction(sample, scores, ids)
        return data_samples

    @torch.no_grad()
    def name_groups(self,
                    inputs: Tensor,
                    data_samples: Optional[List] = None) -> NamedGroups:
        """Group images of one size without padding, and name the groups.

        Args:
            inputs: Preprocessed images (B, 3, H, W).
            data_samples: Data samples with precomputed groups; not used if
                the head has a grouper.
        """
        head = self.decode_head
        ids = resize_ids(head.group(inputs, data_samples), inputs.shape[2:],
                         head.num_regions)
        scores = head.name(
            self.encode_regions(inputs, ids), self.backbone.logit_scale)
        return NamedGroups(scores, ids)

    def encode_regions(self, inputs: Tensor, ids: Tensor) -> ImageEmbeddings:
        """Encode images and their regions, in windows if the test does so.

        Args:
            inputs: Preprocessed images (B, 3, H, W).
            ids: Region ids (B, H, W), int64 in [0, K), -1 for none.
        """
        if self._slides:
            return self._encode_windows(inputs, ids)
        return self._encode(inputs, ids)

    @property
    def groups_windows(self) -> bool:
        """Whether each window of a test is grouped and named by itself."""
        return self._slides and self.test_cfg.get('group_per_window', False)

    @property
    def _slides(self) -> bool:
        return is_slide(self.test_cfg)

    def _encode(self, inputs: Tensor, ids: Tensor) -> ImageEmbeddings:
        return self.backbone.encode_image(
            inputs, ids, self.decode_head.num_regions)

    def _encode_windows(self, inputs: Tensor,
                        ids: Tensor) -> ImageEmbeddings:
        """Average embeddings over windows, weighting regions by area."""
        image, regions, seen = 0., 0., False
        for y, x in image_windows(inputs.shape[2:], self.test_cfg.crop_size,
                                  self.test_cfg.stride):
            part = self._encode(inputs[..., y, x], ids[:, y, x])
            areas = region_areas(ids[:, y, x], self.decode_head.num_regions)
            image = image + part.image
            regions = regions + part.regions * areas[..., None]
            seen = part.valid | seen
        return ImageEmbeddings(
            normalize(image, dim=1), normalize(regions, dim=2), seen)

    def encode_decode(self, inputs: Tensor,
                      batch_img_metas: List[dict]) -> Tensor:
        """Return log-probabilities (B, C, H, W) for windows or images.

        The host calls it for each window if `group_per_window` is set.

        Raises:
            ValueError: If the head has no grouper.
        """
        head = self.decode_head
        if head.grouper is None:
            raise ValueError(
                '`group_per_window` needs a decode head with a `grouper`, '
                'got one with precomputed groups; remove `group_per_window` '
                'from `test_cfg`')
        ids = resize_ids(
            head.group(inputs), inputs.shape[2:], head.num_regions)
        scores = head.name(
            self._encode(inputs, ids), self.backbone.logit_scale)
        return paint_regions(scores, ids)

    def _forward(self,
                 inputs: Tensor,
                 data_samples: Optional[List] = None) -> Tensor:
        """Return log-probabilities (B, C, H, W) of the words for pixels."""
        self.decode_head.bank.ensure(self.backbone.encode_text)
        return paint_regions(*self.name_groups(inputs, data_samples))


def _caption(meta: dict) -> CaptionTargets:
    """Return the caption of an image and its nouns from the metainfo."""
    nouns = meta.get('nouns', ())
    return CaptionTargets(
        meta.get('caption', ''), nouns, meta.get('caption_nouns', nouns))


def region_areas(ids: Tensor, num_regions: int) -> Tensor:
    """Return the number of pixels (B, K) of each region.

    Args:
        ids: Region ids (B, H, W), int64 in [0, K), -1 for none.
        num_regions: Number of regions K.

    Example:
        >>> region_areas(torch.tensor([[[0, 0, -1, 2]]]), 3)
        tensor([[2., 0., 1.]])
    """
    flat = ids.flatten(1) + 1
    areas = torch.zeros(len(ids), num_regions + 1, device=ids.device)
    areas.scatter_add_(1, flat, torch.ones_like(flat, dtype=areas.dtype))
    return areas[:, 1:]


def without_padding(maps: Tensor, padding: tuple) -> Tensor:
    """Return maps (..., H, W) without their padding.

    Args:
        maps: Padded maps.
        padding: Left, right, top and bottom padding in pixels.
    """
    left, right, top, bottom = padding
    height, width = maps.shape[-2:]
    return maps[..., top:height - bottom, left:width - right]


def original_ids(ids: Tensor, meta: dict, num_regions: int) -> Tensor:
    """Resize region ids to the original image, and undo its flip.

    Args:
        ids: Region ids (h, w), int64 in [0, K), -1 for none.
        meta: Metainfo of the image, with `ori_shape`.
        num_regions: Number of regions K.
    """
    if meta.get('flip', False):
        ids = undo_flip(ids, meta.get('flip_direction'))
    return resize_ids(ids[None], meta['ori_shape'][:2], num_regions)[0]


def _add_prediction(sample, scores: Tensor, ids: Tensor) -> None:
    """Add the prediction for an image, in its original size, to a sample."""
    ids = original_ids(ids, sample.metainfo, len(scores))
    logits = paint_regions(scores[None], ids[None])[0]
    sample.set_data(dict(
        seg_logits=PixelData(data=logits),
        pred_sem_seg=PixelData(data=logits.argmax(0, keepdim=True)),
        pred_groups=PixelData(data=ids)))
