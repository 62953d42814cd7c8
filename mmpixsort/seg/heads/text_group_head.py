"""A head that groups pixels into regions and names the regions by words.

Shapes: B images, K regions of an image, E dims of the joint space of images
and texts, M nouns, C channels: the words and, with a rule for it, the
background.
"""
import hashlib
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Union

import torch
from mmengine.dist import get_rank
from mmengine.model import BaseModule
from torch import Tensor

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.functional.random import keyed_generator
from mmpixsort.functional.words.region_naming import BACKGROUNDS, name_regions
from mmpixsort.layers import TrainingClock
from mmpixsort.registry import MODELS
from mmpixsort.seg.transforms.text_groups import stack_groups
from mmpixsort.structures import ImageEmbeddings
from mmpixsort.text.templates import check_templates, fill_template
from mmpixsort.text.vocabulary import canonical_word
from mmpixsort.utils.transfer import send_integers

Encode = Callable[[Sequence[str]], Tensor]


class CaptionTargets(NamedTuple):
    """Caption of an image and its nouns.

    Attributes:
        sentence: The caption, '' for none.
        nouns: Nouns that are contrasted with regions.
        all_nouns: All nouns of the caption.
    """

    sentence: str
    nouns: Sequence[str]
    all_nouns: Sequence[str]


class CaptionIndices(NamedTuple):
    """Texts of the captions of a batch, and where they occur.

    Attributes:
        sentences: The different sentences, sorted.
        sentence_rows: Index (B,) in `sentences` of that of every image,
            int64; the number of sentences for an image without one.
        words: The different nouns, sorted.
        rows: Index (M,) in `words` of every noun of every caption, int64.
        images: Index (M,) of the image of every noun, int64.
        ids: Number (M,) of the word of every noun, int64; the same word has
            the same number on all ranks.
        captions: Numbers (B, L) of all nouns of each caption, int64, padded
            with -1.
    """

    sentences: List[str]
    sentence_rows: Tensor
    words: List[str]
    rows: Tensor
    images: Tensor
    ids: Tensor
    captions: Tensor


@MODELS.register_module()
class TextGroupHead(BaseModule):
    """Contrast nouns with regions in training, and name regions in a test.

    The method follows the idea of Zhang et al., "Associating
    Spatially-Consistent Grouping with Text-supervised Semantic Segmentation"
    (https://arxiv.org/abs/2304.01114). We found only its abstract, so the
    equations and numbers are our own; see docs/text_grouping.md.

    Args:
        bank: Config of a TextBank with the words of the test.
        grouper: Config of a RegionGrouper. None means that the groups were
            precomputed and come as `gt_groups` of the data samples.
        num_regions: Largest number K of precomputed groups of an image; None
            with a grouper.
        noun_loss: Config of the contrast of nouns with regions. None means
            no such loss.
        sentence_loss: Config of the contrast of sentences with images. None
            means no such loss.
        train_templates: Templates of nouns in training: the name of a list
            of TextBank, or a list of sentences that contain `{}`. One is
            drawn for each noun in each iteration.
        background: Rule by which a region is background: 'cosine' or
            'probability', or None for no background; see
            :func:`mmpixsort.functional.words.region_naming.name_regions`.
        threshold: Threshold of that rule.
        num_candidates: Number of words, the nearest to the whole image, that
            its regions may be named by. None allows all words.
        test_scale: Factor of the cosines in a test. None uses the factor
            that the encoder has learned.
        init_cfg: Initialisation of weights, as in the host.

    Raises:
        ValueError: If an option is out of range, or two options exclude each
            other.
    """

    align_corners = False
    ignore_index = 255

    def __init__(self,
                 *,
                 bank: dict,
                 grouper: Optional[dict] = None,
                 num_regions: Optional[int] = None,
                 noun_loss: Optional[dict] = dict(
                     type='mmpixsort.NounRegionLoss'),
                 sentence_loss: Optional[dict] = dict(
                     type='mmpixsort.ImageSentenceLoss'),
                 train_templates: Sequence[str] = 'simple',
                 background: Optional[str] = None,
                 threshold: float = 0.,
                 num_candidates: Optional[int] = None,
                 test_scale: Optional[float] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if (grouper is None) == (num_regions is None):
            raise ValueError(
                'either `grouper`, or `num_regions` of precomputed groups, '
                f'must be given, got {grouper!r} and {num_regions!r}')
        if background is not None:
            check_choice('background', background, BACKGROUNDS)
        self.bank = MODELS.build(bank)
        self.grouper = None if grouper is None else MODELS.build(grouper)
        if num_regions is not None:
            check_count('num_regions', num_regions)
        self.num_regions = num_regions or self.grouper.num_regions
        self.noun_loss, self.sentence_loss = (
            None if loss is None else MODELS.build(loss)
            for loss in (noun_loss, sentence_loss))
        self.train_templates = check_templates(train_templates)
        self.background = background
        self.threshold = threshold
        self.num_candidates = num_candidates
        self.test_scale = test_scale
        self.clock = TrainingClock()

    @property
    def num_classes(self) -> int:
        """Number C of channels: words and, with a rule, background."""
        return self.bank.num_classes + (self.background is not None)

    @property
    def out_channels(self) -> int:
        """Number of channels of `seg_logits`."""
        return self.num_classes

    @property
    def classes(self) -> List[str]:
        """Names of the channels, the background first."""
        first = [] if self.background is None else ['background']
        return first + list(self.bank.classes)

    def group(self, images: Tensor,
              data_samples: Optional[Sequence] = None) -> Tensor:
        """Return region ids (B, h, w) in [0, K), -1 where there is none.

        Args:
            images: Images (B, 3, H, W) for the grouper.
            data_samples: Data samples with `gt_groups`; required without a
                grouper.

        Raises:
            ValueError: If precomputed groups are missing.
        """
        if self.grouper is not None:
            return self.grouper(images)
        if data_samples is None:
            raise ValueError(
                '`data_samples` with precomputed groups must be given if '
                'the head has no `grouper`, got None; or set `grouper`')
        return stack_groups(data_samples).to(images.device)

    def loss(self, embeddings: ImageEmbeddings, encode: Encode, *,
             scale: Tensor, captions: Sequence[CaptionTargets]
             ) -> Dict[str, Tensor]:
        """Return the losses of a batch.

        Args:
            embeddings: Embeddings of the images and of their regions.
            encode: Function from N texts to unit rows (N, E).
            scale: Factor () of the cosines, which the encoder learns.
            captions: Caption of each image.

        Raises:
            ValueError: If the head has neither loss.
        """
        if self.noun_loss is None and self.sentence_loss is None:
            raise ValueError(
                '`noun_loss`, `sentence_loss` or both must be given to '
                'train, got None for both')
        seed, iteration = self.clock.tick()
        losses = dict()
        found = index_captions(captions, embeddings.image.device)
        if self.sentence_loss is not None:
            rows = _encode_with_zero(
                encode, found.sentences, embeddings.image)
            losses['loss_sentence'] = self.sentence_loss(
                embeddings.image, rows[found.sentence_rows], scale=scale,
                valid=found.sentence_rows < len(found.sentences))
        if self.noun_loss is not None:
            texts = self._prompts(found.words, seed, iteration)
            rows = _encode_with_zero(encode, texts, embeddings.image)
            losses.update(self.noun_loss(
                rows[found.rows], found.images, embeddings.regions,
                embeddings.valid, scale=scale, noun_ids=found.ids,
                caption_ids=found.captions, iteration=iteration))
        return losses

    def _prompts(self, words: Sequence[str], seed: int,
                 iteration: int) -> List[str]:
        """Put every word into a template that is drawn for it."""
        generator = keyed_generator(
            seed, iteration, get_rank(), torch.device('cpu'))
        drawn = torch.randint(
            len(self.train_templates), (len(words), ), generator=generator)
        return [fill_template(self.train_templates[i], word)
                for i, word in zip(drawn.tolist(), words)]

    def name(self, embeddings: ImageEmbeddings, scale: Tensor) -> Tensor:
        """Return log-probabilities (B, K, C) of words for regions.

        A region that is too small for the grid of the encoder gets the
        log-probabilities of the whole image.

        Args:
            embeddings: Embeddings of the images and of their regions.
            scale: Factor () of the cosines, used if `test_scale` is None.

        Raises:
            ValueError: If there is only one word and no rule for the
                background, so that every region would get this word.
        """
        if self.num_classes < 2:
            raise ValueError(
                '`background` must be a rule if there are fewer than two '
                f'words, {self.classes}, got None; set it to "cosine"')
        regions = torch.where(
            embeddings.valid[..., None], embeddings.regions,
            embeddings.image[:, None])
        image_similarity = None
        if self.num_candidates is not None:
            image_similarity = self.bank(embeddings.image)
        return name_regions(
            self.bank(regions),
            scale=self.test_scale or float(scale.detach()),
            background=self.background,
            threshold=self.threshold,
            num_candidates=self.num_candidates,
            image_similarity=image_similarity)


def index_captions(captions: Sequence[CaptionTargets],
                   device: Union[torch.device, str]) -> CaptionIndices:
    """List the sentences of a batch, and the nouns once in each caption.

    All indices go to the device in one copy, for which the host does not
    wait.

    Args:
        captions: Caption of each image.
        device: Device of the tensors that are returned.

    Example:
        >>> found = index_captions([
        ...     CaptionTargets('a cat', ['cat', 'dog'], ['cat', 'dog']),
        ...     CaptionTargets('', ['dog'], ['dog'])], 'cpu')
        >>> found.sentences, found.sentence_rows.tolist()
        (['a cat'], [0, 1])
        >>> found.words, found.rows.tolist(), found.images.tolist()
        (['cat', 'dog'], [0, 1, 1], [0, 0, 1])
    """
    texts = [caption.sentence for caption in captions]
    sentences = sorted({text for text in texts if text})
    place = {text: i for i, text in enumerate(sentences)}
    sentence_rows = [place.get(text, len(sentences)) for text in texts]
    lists = [_distinct(caption.nouns) for caption in captions]
    words = sorted({word for nouns in lists for word in nouns})
    row = {word: i for i, word in enumerate(words)}
    rows = [row[word] for nouns in lists for word in nouns]
    images = [i for i, nouns in enumerate(lists) for _ in nouns]
    ids = [_stable_id(words[i]) for i in rows]
    said = [[_stable_id(word) for word in _distinct(caption.all_nouns)]
            for caption in captions]
    length = max([1, *map(len, said)])
    padded = [number for nouns in said
              for number in nouns + [-1] * (length - len(nouns))]
    sentence_rows, rows, images, ids, padded = send_integers(
        (sentence_rows, rows, images, ids, padded), device)
    return CaptionIndices(
        sentences, sentence_rows, words, rows, images, ids,
        padded.view(len(said), length))


def _distinct(words: Sequence[str]) -> List[str]:
    return list(dict.fromkeys(map(canonical_word, words)))


def _stable_id(word: str) -> int:
    """Return a number below 2^62 that is the same in every process."""
    digest = hashlib.sha256(word.encode()).digest()
    return int.from_bytes(digest[:8], 'big') >> 2


def _encode_with_zero(encode: Encode, texts: Sequence[str],
                      like: Tensor) -> Tensor:
    """Return the rows (N + 1, E) of N texts and of no text, which are 0."""
    zero = like.new_zeros(1, like.shape[1])
    return torch.cat([encode(texts), zero]) if texts else zero
