"""Predict by retrieval, in place of the classifier of a segmentor.

Shapes: B images, H W size of the input, D embedding dims, h w size of the
map that is segmented, S segments, C classes of the bank.
"""
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.contrast.labels import undo_flip
from mmpixsort.layers import KMeansSegmenter
from mmpixsort.retrieval import PrototypeBank, check_fits, read_bank
from mmpixsort.retrieval.build import (ImageRows, RowRules, cut_annotated,
                                       flip_boxes, image_rows)
from mmpixsort.retrieval.edit import full_palette
from mmpixsort.retrieval.retriever import Retriever, Votes
from mmpixsort.retrieval.segments import ImageSegments, cut_image

from .retrieval_embedding import (embed_images, fingerprint, scaled_view,
                                  weight_sample)

# added to each vote fraction, so that the log of a class without votes is
# finite
EPSILON = 1e-3
RESIZE = ('nearest', 'bilinear')


class Found(NamedTuple):
    """Result of retrieval for one image.

    Attributes:
        segments: Segments of the image.
        votes: Votes of the neighbours of each segment.
    """

    segments: ImageSegments
    votes: Votes


class RetrievalInference:
    """Segment images and classify the segments by a bank of prototypes.

    A segmentor builds it from `test_cfg.retrieval`. It embeds an image with
    the model, clusters the embeddings into segments, and lets the nearest
    prototypes of each segment vote for its class.

    Model and inference refer to each other. A deep copy of the model
    contains a copy of the inference that refers to the copied model.

    Args:
        model: Segmentor with metric heads.
        bank: Path of a bank of prototypes. None means that it is given later
            by :meth:`use`.
        head: Index of the metric head that embeds.
        num_neighbors: Number of neighbours of a segment that vote.
        grid: Grid of the clustering. None uses that of the bank.
        num_iters: Number of iterations of the clustering. None uses that of
            the bank.
        stride: Side of a cell of the map that is segmented, in input pixels.
            It is 1 in the authors' released code; with 4 the map has a
            sixteenth of its cells.
        concentration: Factor of the similarities in the softmax that weights
            the votes. None weights all votes equally.
        ties: Rule for classes with equal votes, 'smallest' or 'nearest'; see
            :class:`Retriever`.
        search: Kind of search: 'exact', or 'ivf' or 'sq' of FAISS.
        resize: How the votes of cells become those of pixels if `stride` is
            above 1. 'nearest' keeps every segment whole, with borders made
            of cells. 'bilinear' interpolates, as the host does with class
            logits, and gives smoother borders.
        classifier_weight: Weight w in [0, 1) of the classifier of the host.
            A pixel has the probabilities (1 - w) * votes + w * softmax, the
            mixture of Khandelwal et al. (arXiv 1911.00172, equation 3). 0
            does not run the classifier.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(self,
                 model: nn.Module,
                 *,
                 bank: Optional[str] = None,
                 head: int = 0,
                 num_neighbors: int = 15,
                 grid: Optional[Sequence[int]] = None,
                 num_iters: Optional[int] = None,
                 stride: int = 4,
                 concentration: Optional[float] = None,
                 ties: str = 'smallest',
                 search: str = 'exact',
                 resize: str = 'nearest',
                 classifier_weight: float = 0.) -> None:
        check_count('stride', stride)
        check_count('head', head, minimum=0)
        check_choice('ties', ties, ('smallest', 'nearest'))
        check_choice('resize', resize, RESIZE)
        if not 0. <= classifier_weight < 1.:
            raise ValueError('`classifier_weight` must be in [0, 1), got '
                             f'{classifier_weight}')
        self.model = model
        self.bank = bank
        self.head = head
        self.num_neighbors = num_neighbors
        self.grid = grid
        self.num_iters = num_iters
        self.stride = stride
        self.concentration = concentration
        self.ties = ties
        self.search = search
        self.resize = resize
        self.classifier_weight = classifier_weight
        self._loaded: Optional[Tuple[Retriever, nn.Module]] = None
        # sample of the weights that made the loaded bank
        self._weights: Optional[Tensor] = None

    @property
    def is_loaded(self) -> bool:
        """Whether a bank has been loaded."""
        return self._loaded is not None

    @property
    def metric_head(self) -> nn.Module:
        """The metric head that embeds."""
        return self.model.metric_heads[self.head]

    def fingerprint(self) -> str:
        """Return a hash of everything that an embedding depends on."""
        return fingerprint(self.model, self.head)

    def segmenter(self, settings: Optional[dict] = None) -> nn.Module:
        """Return a clustering module; `grid` and `num_iters` override it.

        Args:
            settings: Settings of the clustering of a bank. None uses those
                of the metric head, or the defaults if the head has no
                clustering, such as that of pixel contrast.
        """
        if settings is None:
            own = getattr(self.metric_head, 'segmenter', None)
            settings = (own or KMeansSegmenter()).settings()
        chosen = dict(settings)
        chosen.pop('stride', None)
        if self.grid is not None:
            chosen['grid'] = self.grid
        if self.num_iters is not None:
            chosen['num_iters'] = self.num_iters
        return KMeansSegmenter(**chosen).eval()

    def use(self, bank: Union[str, PrototypeBank]) -> None:
        """Predict with another bank from now on.

        The classes in `dataset_meta` of the model become those of the bank.

        Args:
            bank: Bank of prototypes, or its path.

        Raises:
            ValueError: If the bank was made with other weights, or has fewer
                rows than neighbours are asked for.
        """
        path = bank if isinstance(bank, str) else None
        bank = read_bank(path) if path else bank
        check_fits(
            bank,
            fingerprint=self.fingerprint(),
            embed_dims=self.metric_head.projection.embed_dims)
        device = next(self.metric_head.parameters()).device
        retriever = Retriever(
            bank,
            num_neighbors=self.num_neighbors,
            concentration=self.concentration,
            ties=self.ties,
            kind=self.search,
            device=device)
        self._loaded = retriever, self.segmenter(bank.meta['clustering'])
        self._weights = weight_sample(self.model, self.head)
        # a bank may have classes that are missing in the data set
        self.model.dataset_meta = dict(
            getattr(self.model, 'dataset_meta', None) or {},
            classes=tuple(bank.meta['classes']),
            palette=full_palette(bank.meta))

    def __call__(self, inputs: Tensor, metas: Sequence[dict]) -> List[Found]:
        """Return the segments and votes of every image.

        Args:
            inputs: Preprocessed images (B, 3, H, W).
            metas: Metainfo of each image.

        Raises:
            ValueError: If there is no bank, or the weights of the model have
                changed since it was made.
        """
        if not self.is_loaded:
            if self.bank is None:
                raise ValueError(
                    '`test_cfg.retrieval.bank` must be the path of a bank, '
                    'got None; make one with tools/build_bank.py')
            self.use(str(self.bank))
        self._check_weights()
        retriever, segmenter = self._loaded
        found = []
        for embedding in self.embed(inputs, metas):
            segments = cut_image(embedding, segmenter)
            found.append(Found(segments, retriever(segments.prototypes)))
        return found

    def _check_weights(self) -> None:
        """Make sure that the bank fits the present weights of the model.

        If the weights have changed, a bank with a path is read and checked
        again, while a bank in memory is an error.
        """
        sample = weight_sample(self.model, self.head)
        if torch.equal(sample, self._weights.to(sample)):
            return
        if self.bank is not None:  # the file may fit the new weights
            self.use(str(self.bank))
            return
        raise ValueError(
            'the weights of the model must be those that its bank of '
            'prototypes was made with, but they have changed since: build '
            'the bank again with '
            '`model.retrieval.use(model.build_bank(cfg))`; in a run, '
            'PrototypeBankHook must come after hooks that change weights')

    @torch.no_grad()
    def rows(self, data: dict, rules: RowRules) -> ImageRows:
        """Return the rows of an annotated image for a bank.

        The model must be in evaluation mode.

        Args:
            data: Item of a data set, with annotation.
            rules: Rules by which segments become rows.

        Raises:
            ValueError: If the image has no annotation.
        """
        batch = self.model.data_preprocessor(pseudo_collate([data]), False)
        inputs, sample = batch['inputs'], batch['data_samples'][0]
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                'the images of a bank must have annotations, got none for '
                f'{sample.get("img_path")}: put LoadAnnotations into the '
                'pipeline of `test_dataloader`')
        labels = self._labels(sample)
        segmenter = self.segmenter()
        parts = []
        for scale in rules.scales:
            for flip in (False, True)[:1 + rules.flip]:
                view, meta = scaled_view(inputs, sample.metainfo, scale, flip)
                rows = image_rows(
                    self.embed(view, [meta])[0],
                    labels.flip(1) if flip else labels,
                    segmenter,
                    num_classes=self.metric_head.num_classes,
                    rules=rules)
                parts.append(
                    flip_boxes(rows, labels.shape[1]) if flip else rows)
        return ImageRows(*map(torch.cat, zip(*parts)))

    @torch.no_grad()
    def annotated_segments(self, data: dict, *,
                           drop_void: bool) -> Tuple[Tensor, Tensor]:
        """Return the segment ids and labels of an annotated image.

        The image is segmented in the same way as for a bank. The model must
        be in evaluation mode.

        Args:
            data: Item of a data set, with annotation.
            drop_void: Whether pixels without a label are kept out of the
                clustering.

        Returns:
            Segment ids (h, w), -1 for none, and labels (H, W), -1 where they
            are ignored.
        """
        batch = self.model.data_preprocessor(pseudo_collate([data]), False)
        sample = batch['data_samples'][0]
        labels = self._labels(sample)
        embedding, = self.embed(batch['inputs'], [sample.metainfo])
        ids, _ = cut_annotated(
            embedding, labels, self.segmenter(),
            num_classes=self.metric_head.num_classes,
            drop_void=drop_void)
        return ids, labels

    def _labels(self, sample: SegDataSample) -> Tensor:
        """Return the labels (H, W) of an image, -1 where they are ignored."""
        labels = sample.gt_sem_seg.data[0].long()
        # a bank would take `ignore_index` for a class if it is one
        return labels.masked_fill(
            labels == self.metric_head.ignore_index, -1)

    def clustering(self) -> dict:
        """Return the settings of the clustering, which a bank stores."""
        return dict(self.segmenter().settings(), stride=self.stride)

    def embed(self, inputs: Tensor, metas: Sequence[dict]) -> List[Tensor]:
        """Return the unit embeddings (D, h, w) of every image.

        See :func:`embed_images` for the arguments.
        """
        return embed_images(
            self.model, inputs, metas, head=self.head, stride=self.stride)


def vote_logits(found: Found, size: Sequence[int], padding: Sequence[int], *,
                resize: str = 'nearest') -> Tensor:
    """Return the log of the vote fractions (C, H, W) of every pixel.

    It is zero on the padding.

    Args:
        found: Segments and votes of one image.
        size: H and W of the input, with padding.
        padding: Left, right, top and bottom padding in pixels.
        resize: 'nearest' or 'bilinear', see :class:`RetrievalInference`.
    """
    left, right, top, bottom = padding
    inner = size[0] - top - bottom, size[1] - left - right
    fractions = found.votes.fractions + EPSILON
    fractions = fractions / fractions.sum(1, keepdim=True)
    ids = found.segments.segment_ids
    if resize == 'nearest':
        logits = fractions.log()[paint_segments(ids, inner)].permute(2, 0, 1)
    else:
        logits = interpolate(
            fractions[ids].permute(2, 0, 1)[None], size=inner,
            mode='bilinear', align_corners=False)[0].log()
    return pad(logits, (left, right, top, bottom))


def paint_segments(segment_ids: Tensor, size: Sequence[int]) -> Tensor:
    """Resize segment ids (h, w) to a size by nearest neighbour."""
    painted = interpolate(
        segment_ids[None, None].float(), size=tuple(size), mode='nearest')
    return painted[0, 0].long()


def segment_data(found: Found, sample: SegDataSample) -> PixelData:
    """Return segment ids (1, H0, W0) of the original image, with votes.

    The metainfo holds the fields of :class:`Votes`, with one row for each
    segment.

    Args:
        found: Segments and votes of one image.
        sample: Data sample of the image, with its metainfo.
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
