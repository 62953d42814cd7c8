"""Groups of an image, the words for them, and the losses of both.

Shapes: B images, K regions of an image, E dims of the joint space, M nouns,
C words, H W size.
"""
import hashlib
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

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

Encode = Callable[[Sequence[str]], Tensor]


class CaptionTargets(NamedTuple):
    """What is said of an image.

    Attributes:
        sentence: '' for none.
        nouns: That are contrasted with regions.
        all_nouns: All nouns of the sentence.
    """

    sentence: str
    nouns: Sequence[str]
    all_nouns: Sequence[str]


class Nouns(NamedTuple):
    """Nouns of the captions of a batch.

    Attributes:
        words: The different ones.
        rows: (M,) int64 of `words`, for every noun of every caption.
        images: (M,) int64.
        ids: (M,) int64, equal for equal words on all ranks.
        captions: (B, L) int64 ids, padded with -1.
    """

    words: List[str]
    rows: Tensor
    images: Tensor
    ids: Tensor
    captions: Tensor


@MODELS.register_module()
class TextGroupHead(BaseModule):
    """Contrast nouns with regions in training, name regions in the test.

    In the spirit of Zhang et al., "Associating Spatially-Consistent Grouping
    with Text-supervised Semantic Segmentation"
    (https://arxiv.org/abs/2304.01114), of which the abstract is public as
    text: equations and numbers are ours, see docs/text_grouping.md.

    Args:
        bank: Config of a TextBank, the words of the test.
        grouper: Config of a RegionGrouper; None: groups were computed
            beforehand and come as `gt_groups` of the data samples.
        num_regions: K of such groups; None with a grouper.
        noun_loss: Config of the contrast of nouns and regions; None: none.
        sentence_loss: Config of the contrast of sentences and images; None:
            none.
        train_templates: What a noun is put into in training: the name of a
            list of TextBank, or a list, of which one is drawn.
        background: Rule for regions without a word: 'cosine',
            'probability', or None; see
            :func:`mmpixsort.functional.words.region_naming.name_regions`.
        threshold: Threshold of that rule.
        num_candidates: Words nearest to the whole image that its regions
            may have; None: all.
        test_scale: Multiplies cosines in the test; None: as in training.
        init_cfg: Initialisation of weights, as in the host.

    Raises:
        ValueError: On options out of range or that exclude each other.
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
                'either `grouper` or `num_regions`, of groups that were '
                f'computed beforehand, must be given, got {grouper!r} and '
                f'{num_regions!r}')
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
        """Words, and the background where a rule finds it."""
        return self.bank.num_classes + (self.background is not None)

    @property
    def out_channels(self) -> int:
        """Channels of `seg_logits`."""
        return self.num_classes

    @property
    def classes(self) -> List[str]:
        """Names of the channels."""
        first = [] if self.background is None else ['background']
        return first + list(self.bank.classes)

    def group(self, images: Tensor,
              data_samples: Optional[Sequence] = None) -> Tensor:
        """Return region ids (B, h, w), -1 where there is none.

        Raises:
            ValueError: When groups computed beforehand are missing.
        """
        if self.grouper is not None:
            return self.grouper(images)
        if data_samples is None:
            raise ValueError(
                '`data_samples` with groups computed beforehand must be '
                'given when the head has no `grouper`; give it one')
        return stack_groups(data_samples).to(images.device)

    def loss(self, embeddings: ImageEmbeddings, encode: Encode, *,
             scale: Tensor, captions: Sequence[CaptionTargets]
             ) -> Dict[str, Tensor]:
        """Return the losses of a batch.

        Args:
            embeddings: Embeddings of the images and of their regions.
            encode: Texts to unit rows (N, E).
            scale: alpha of the encoder.
            captions: CaptionTargets of each image.
        """
        seed, iteration = self.clock.tick()
        losses = dict()
        if self.sentence_loss is not None:
            texts = [caption.sentence for caption in captions]
            rows = _encode_some(encode, texts, embeddings.image)
            has_one = torch.tensor(
                [bool(text) for text in texts], device=rows.device)
            losses['loss_sentence'] = self.sentence_loss(
                embeddings.image, rows, scale=scale, valid=has_one)
        if self.noun_loss is not None:
            found = nouns_of_batch(captions, embeddings.image.device)
            texts = self._prompts(found.words, seed, iteration)
            rows = _encode_some(encode, texts, embeddings.image)
            losses.update(self.noun_loss(
                rows[found.rows], found.images, embeddings.regions,
                embeddings.valid, scale=scale, noun_ids=found.ids,
                caption_nouns=found.captions, iteration=iteration))
        return losses

    def _prompts(self, words: Sequence[str], seed: int,
                 iteration: int) -> List[str]:
        """Put every word into a template, drawn by seed and iteration."""
        generator = keyed_generator(
            seed, iteration, get_rank(), torch.device('cpu'))
        drawn = torch.randint(
            len(self.train_templates), (len(words), ), generator=generator)
        return [fill_template(self.train_templates[i], word)
                for i, word in zip(drawn.tolist(), words)]

    def name(self, embeddings: ImageEmbeddings, scale: Tensor) -> Tensor:
        """Return log-probabilities (B, K, C) of words for regions.

        A region without a cell of the encoder's grid is named as the image.

        Raises:
            ValueError: For one word without a rule for the background: all
                would be that word.
        """
        if self.num_classes < 2:
            raise ValueError(
                '`background` must be a rule where there is one word, '
                f'{self.classes}, got None; set it to "cosine"')
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


def nouns_of_batch(captions: Sequence[CaptionTargets],
                   device: torch.device) -> Nouns:
    """Number the nouns of captions; a noun counts once in a caption.

    Example:
        >>> found = nouns_of_batch([
        ...     CaptionTargets('', ['cat', 'dog'], ['cat', 'dog']),
        ...     CaptionTargets('', ['dog'], ['dog'])], 'cpu')
        >>> found.words, found.rows.tolist(), found.images.tolist()
        (['cat', 'dog'], [0, 1, 1], [0, 0, 1])
    """
    lists = [_distinct(caption.nouns) for caption in captions]
    words = sorted({word for nouns in lists for word in nouns})
    row = {word: i for i, word in enumerate(words)}
    rows = [row[word] for nouns in lists for word in nouns]
    images = [i for i, nouns in enumerate(lists) for _ in nouns]
    ids = [_stable_id(words[i]) for i in rows]
    said = [[_stable_id(word) for word in _distinct(caption.all_nouns)]
            for caption in captions]
    length = max(1, *map(len, said)) if said else 1
    said = [nouns + [-1] * (length - len(nouns)) for nouns in said]
    return Nouns(words, *(
        torch.tensor(part, dtype=torch.long, device=device)
        for part in (rows, images, ids, said)))


def _distinct(words: Sequence[str]) -> List[str]:
    return list(dict.fromkeys(map(canonical_word, words)))


def _stable_id(word: str) -> int:
    """Return a number below 2^62 that is the same in every process."""
    digest = hashlib.sha256(word.encode()).digest()
    return int.from_bytes(digest[:8], 'big') >> 2


def _encode_some(encode: Encode, texts: Sequence[str],
                 like: Tensor) -> Tensor:
    """Return rows (N, E) of texts, each encoded once; 0 for an empty one."""
    different = sorted({text for text in texts if text})
    zero = like.new_zeros(1, like.shape[1])
    if not different:
        return zero.expand(len(texts), -1)
    rows = torch.cat([encode(different), zero.to(like)])
    place = {text: i for i, text in enumerate(different)}
    index = [place.get(text, len(different)) for text in texts]
    return rows[torch.tensor(index, device=rows.device, dtype=torch.long)]
