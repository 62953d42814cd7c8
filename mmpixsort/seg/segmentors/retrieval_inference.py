"""Prediction by retrieval, in place of the classifier of a segmentor.

Shapes: B images, H W size of the input, D embedding dims, h w size of the
map that is cut, S segments, C classes of the bank.
"""
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.contrast.labels import undo_flip
from mmpixsort.functional.windows import MODES, image_windows
from mmpixsort.layers import KMeansSegmenter
from mmpixsort.retrieval import check_fits, read_bank
from mmpixsort.retrieval.build import (ImageRows, RowRules, cut_annotated,
                                       flip_boxes, image_rows)
from mmpixsort.retrieval.edit import full_palette
from mmpixsort.retrieval.retriever import Retriever, Votes
from mmpixsort.retrieval.segments import (ImageSegments, cut_image,
                                          resize_embedding)
from mmpixsort.utils.hashing import weights_fingerprint

EPSILON = 1e-3  # votes of a class that got none, so that its log is finite


class Found(NamedTuple):
    """What retrieval says of one image.

    Attributes:
        segments: Its segments.
        votes: Votes of the neighbours of the segments.
    """

    segments: ImageSegments
    votes: Votes


class RetrievalInference:
    """Embed, cut, retrieve, vote: `test_cfg.retrieval` of a segmentor.

    Args:
        bank: Path of a bank of prototypes; None while one is built.
        head: Which metric head embeds.
        num_neighbors: k.
        grid: Grid of the clustering; None: that of the bank.
        num_iters: Number of iterations of the clustering; None: that of the
            bank.
        stride: Input pixels by pixel of the map that is cut; 1 in the
            released code, 4 costs a sixteenth.
        concentration: Weighs votes by similarity; None counts them.
        ties: 'smallest' or 'nearest'.
        search: 'exact', or of FAISS 'flat', 'ivf', 'sq'.

    Raises:
        ValueError: On options out of range.
    """

    def __init__(self,
                 *,
                 bank: Optional[str] = None,
                 head: int = 0,
                 num_neighbors: int = 15,
                 grid: Optional[Sequence[int]] = None,
                 num_iters: Optional[int] = None,
                 stride: int = 4,
                 concentration: Optional[float] = None,
                 ties: str = 'smallest',
                 search: str = 'exact') -> None:
        check_count('stride', stride)
        check_count('head', head, minimum=0)
        check_choice('ties', ties, ('smallest', 'nearest'))
        self.bank = bank
        self.head = head
        self.num_neighbors = num_neighbors
        self.grid = grid
        self.num_iters = num_iters
        self.stride = stride
        self.concentration = concentration
        self.ties = ties
        self.search = search
        self._loaded: Optional[Tuple[Retriever, nn.Module]] = None
        self._weights: Optional[Tensor] = None  # a sample of those of the bank

    def segmenter(self, model: nn.Module,
                  settings: Optional[dict] = None) -> nn.Module:
        """Return the clustering: of the options, a bank, or the head.

        A head that cuts nothing in training, such as that of pixel contrast,
        gets the default clustering.
        """
        if settings is None:
            own = getattr(model.metric_heads[self.head], 'segmenter', None)
            settings = (own or KMeansSegmenter()).settings()
        chosen = dict(settings)
        chosen.pop('stride', None)
        if self.grid is not None:
            chosen['grid'] = self.grid
        if self.num_iters is not None:
            chosen['num_iters'] = self.num_iters
        return KMeansSegmenter(**chosen).eval()

    def use(self, model: nn.Module, bank) -> None:
        """Take a bank: a path, or one in memory."""
        path = bank if isinstance(bank, str) else None
        bank = read_bank(path) if path else bank
        head = model.metric_heads[self.head]
        check_fits(
            bank,
            fingerprint=fingerprint(model, self.head),
            embed_dims=head.projection.embed_dims)
        device = next(head.parameters()).device
        retriever = Retriever(
            bank,
            num_neighbors=self.num_neighbors,
            concentration=self.concentration,
            ties=self.ties,
            kind=self.search,
            device=device)
        self._loaded = retriever, self.segmenter(model,
                                                 bank.meta['clustering'])
        self._weights = _weight_sample(model, self.head)
        # a bank may have classes that the data set lacks
        model.dataset_meta = dict(
            getattr(model, 'dataset_meta', None) or {},
            classes=tuple(bank.meta['classes']),
            palette=full_palette(bank.meta))

    def __call__(self, model: nn.Module, inputs: Tensor,
                 metas: Sequence[dict]) -> List[Found]:
        """Return the segments and votes of every image."""
        if self._loaded is None:
            if self.bank is None:
                raise ValueError(
                    '`test_cfg.retrieval.bank` must be the path of a bank, '
                    'got None; make one with tools/build_bank.py')
            self.use(model, str(self.bank))
        self._check_weights(model)
        retriever, segmenter = self._loaded
        found = []
        for embedding in self.embed(model, inputs, metas):
            segments = cut_image(embedding, segmenter)
            found.append(Found(segments, retriever(segments.prototypes)))
        return found

    def _check_weights(self, model: nn.Module) -> None:
        """Raise unless the bank is of the weights that the model has now."""
        sample = _weight_sample(model, self.head)
        if torch.equal(sample, self._weights.to(sample)):
            return
        if self.bank is not None:  # the file may fit the new weights
            self.use(model, str(self.bank))
            return
        raise ValueError(
            'the weights of the model must be those that its bank of '
            'prototypes was made with, got others since: make it anew with '
            '`model.retrieval.use(model, model.build_bank(cfg))`; in a run, '
            'PrototypeBankHook must come after hooks that change weights')

    @torch.no_grad()
    def rows(self, model: nn.Module, data: dict,
             rules: RowRules) -> ImageRows:
        """Return the rows of a bank that an annotated image gives.

        Args:
            model: In eval mode.
            data: An item of a data set, with annotation.
            rules: How segments become rows.
        """
        batch = model.data_preprocessor(pseudo_collate([data]), False)
        inputs, sample = batch['inputs'], batch['data_samples'][0]
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                'the images of a bank must have annotations, got none for '
                f'{sample.get("img_path")}: put LoadAnnotations into the '
                'pipeline of `test_dataloader`')
        labels = self._labels(model, sample)
        segmenter = self.segmenter(model)
        parts = []
        for scale in rules.scales:
            for flip in (False, True)[:1 + rules.flip]:
                view, meta = _view(inputs, sample.metainfo, scale, flip)
                rows = image_rows(
                    self.embed(model, view, [meta])[0],
                    labels.flip(1) if flip else labels,
                    segmenter,
                    num_classes=model.metric_heads[self.head].num_classes,
                    rules=rules)
                parts.append(
                    flip_boxes(rows, labels.shape[1]) if flip else rows)
        return ImageRows(*map(torch.cat, zip(*parts)))

    @torch.no_grad()
    def annotated_segments(self, model: nn.Module, data: dict, *,
                           drop_void: bool) -> Tuple[Tensor, Tensor]:
        """Return segment ids (h, w) as a bank has them, and labels (H, W).

        Args:
            model: In eval mode.
            data: An item of a data set, with annotation.
            drop_void: Whether pixels without label were left out.
        """
        batch = model.data_preprocessor(pseudo_collate([data]), False)
        sample = batch['data_samples'][0]
        labels = self._labels(model, sample)
        embedding, = self.embed(model, batch['inputs'], [sample.metainfo])
        ids, _ = cut_annotated(
            embedding, labels, self.segmenter(model),
            num_classes=model.metric_heads[self.head].num_classes,
            drop_void=drop_void)
        return ids, labels

    def _labels(self, model: nn.Module, sample) -> Tensor:
        """Return the labels (H, W) of an image, -1 where they are ignored.

        `ignore_index` may be the number of a class.
        """
        labels = sample.gt_sem_seg.data[0].long()
        return labels.masked_fill(
            labels == model.metric_heads[self.head].ignore_index, -1)

    def clustering(self, model: nn.Module) -> dict:
        """Return the settings of the clustering, for the file of a bank."""
        return dict(self.segmenter(model).settings(), stride=self.stride)

    @torch.no_grad()
    def embed(self, model: nn.Module, inputs: Tensor,
              metas: Sequence[dict]) -> List[Tensor]:
        """Return the embedding (D, h, w) of every image, without padding."""
        test_cfg = model.test_cfg
        if is_slide(test_cfg):
            maps = slide_embedding(model, inputs, self.head,
                                   test_cfg.crop_size, test_cfg.stride)
        else:
            maps = model.extract_embedding(inputs, self.head)
        height, width = inputs.shape[2:]
        size = _ceil(height, self.stride), _ceil(width, self.stride)
        embeddings = []
        for item, meta in zip(maps, metas):
            left, right, top, bottom = padding_of(meta)
            item = resize_embedding(item, size)
            embeddings.append(item[
                :, top // self.stride:_ceil(height - bottom, self.stride),
                left // self.stride:_ceil(width - right, self.stride)])
        return embeddings


def _view(inputs: Tensor, meta: dict, scale: float,
          flip: bool) -> Tuple[Tensor, dict]:
    """Return an image at a scale, mirrored or not, and its metainfo."""
    if scale == 1 and not flip:
        return inputs, meta
    left, right, top, bottom = padding_of(meta)
    height, width = inputs.shape[2:]
    view = inputs[:, :, top:height - bottom, left:width - right]
    if scale != 1:
        size = [max(1, round(side * scale)) for side in view.shape[2:]]
        view = interpolate(
            view, size=size, mode='bilinear', align_corners=False)
    return view.flip(3) if flip else view, {}


def is_slide(test_cfg: dict) -> bool:
    """Tell whether a test looks at an image window by window.

    Raises:
        ValueError: On a `mode` that is neither 'whole' nor 'slide'.
    """
    mode = test_cfg.get('mode', 'whole')
    check_choice('test_cfg.mode', mode, MODES)
    return mode == 'slide'


def _ceil(length: int, step: int) -> int:
    return -(-length // step)


def padding_of(meta: dict) -> Tuple[int, int, int, int]:
    """Return the padding of an image: left, right, top, bottom pixels."""
    if 'img_padding_size' in meta:
        return tuple(meta['img_padding_size'])
    return tuple(meta.get('padding_size', (0, 0, 0, 0)))


def slide_embedding(model: nn.Module, inputs: Tensor, head: int,
                    crop_size: Sequence[int],
                    stride: Sequence[int]) -> Tensor:
    """Average unit embeddings (B, D, H, W) over overlapping windows.

    As in SPML: one clustering sees the whole image. Takes B * D * H * W
    numbers.
    """
    size = inputs.shape[2:]
    total = None
    for rows, columns in image_windows(size, crop_size, stride):
        crop = inputs[:, :, rows, columns]
        part = interpolate(
            model.extract_embedding(crop, head), size=crop.shape[2:],
            mode='bilinear', align_corners=False)
        if total is None:
            total = part.new_zeros(len(inputs), part.shape[1], *size)
        total[:, :, rows, columns] += part
    return total


def vote_logits(found: Found, size: Sequence[int],
                padding: Sequence[int]) -> Tensor:
    """Paint the log of vote fractions (C, H, W), zero on the padding.

    Args:
        found: Segments and votes of one image.
        size: H and W of the input, with padding.
        padding: Left, right, top, bottom pixels.
    """
    left, right, top, bottom = padding
    inner = size[0] - top - bottom, size[1] - left - right
    ids = paint_segments(found.segments.segment_ids, inner)
    fractions = found.votes.fractions + EPSILON
    logits = (fractions / fractions.sum(1, keepdim=True)).log()
    return pad(logits[ids].permute(2, 0, 1), (left, right, top, bottom))


def paint_segments(segment_ids: Tensor, size: Sequence[int]) -> Tensor:
    """Resize segment ids (h, w) to a size by nearest neighbour."""
    painted = interpolate(
        segment_ids[None, None].float(), size=tuple(size), mode='nearest')
    return painted[0, 0].long()


def segment_data(found: Found, sample: SegDataSample) -> PixelData:
    """Return segment ids (1, H0, W0) of the original image, with votes.

    The votes are those of :class:`Votes`, by segment.
    """
    segment_ids = found.segments.segment_ids
    if sample.metainfo.get('flip'):
        segment_ids = undo_flip(
            segment_ids, sample.metainfo.get('flip_direction'))
    size = sample.metainfo.get('ori_shape', sample.seg_logits.shape)
    return PixelData(
        data=paint_segments(segment_ids, size)[None],
        metainfo=dict(
            fractions=found.votes.fractions,
            neighbors=found.votes.neighbors,
            neighbor_labels=found.votes.neighbor_labels,
            similarities=found.votes.similarities))


def fingerprint(model: nn.Module, head: int = 0) -> str:
    """Return a hash of all of a model that an embedding depends on."""
    return weights_fingerprint(
        _embedding_weights(model, head), model.data_preprocessor)


def _embedding_weights(model: nn.Module,
                       head: int) -> Iterator[Tuple[str, Tensor]]:
    """Yield the weights that an embedding depends on, with their names."""
    metric_head = model.metric_heads[head]
    parts = dict(backbone=model.backbone, projection=metric_head.projection)
    if model.with_neck:
        parts['neck'] = model.neck
    if metric_head.source == 'decoder':
        parts['decode_head'] = model.decode_head
    for part, module in parts.items():
        for name, value in module.state_dict().items():
            yield f'{part}.{name}', value


def _weight_sample(model: nn.Module, head: int) -> Tensor:
    """Return the first number of every weight that an embedding depends on.

    A step of training, an average or a loaded checkpoint changes some of
    them; to look at all before each prediction would cost a pass over the
    weights.
    """
    return torch.cat([
        value.detach().flatten()[:1].float()
        for _, value in _embedding_weights(model, head)
    ])
