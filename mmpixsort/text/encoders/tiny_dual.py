"""A small dual encoder that trains from random weights in a minute on a CPU.

Shapes: B images, K regions of an image, E dimensions of the joint space.
"""
import math
import re
from itertools import accumulate
from typing import List, Optional, Sequence

import torch
from torch import Tensor, nn

from mmpixsort.functional.checks import check_count
from mmpixsort.registry import MODELS
from mmpixsort.structures import ImageEmbeddings
from mmpixsort.utils.transfer import send_integers

from .dual_parts import (bounded_scale, check_images, check_texts, embed_means,
                         unit_rows)

# words of common templates and captions that name nothing
IGNORED_WORDS = ('a', 'an', 'the', 'of', 'and', 'with', 'in', 'on', 'there',
                 'is', 'are', 'photo', 'picture', 'image')


@MODELS.register_module()
class TinyDual(nn.Module):
    """Embed images with a small network and texts with a table of words.

    It is made for the generated scenes of 64 x 64 pixels, and has about
    28 000 weights in its convolutions. A region is embedded by projecting the
    mean of its features. A text is embedded by a linear layer on the mean of
    the table rows of its words. So the order of words does not matter, and a
    word that is not in the vocabulary has no embedding; an open vocabulary
    needs :class:`OpenCLIPDual`.

    Args:
        vocabulary: Words that may occur; case is ignored. An entry of
            several words adds each of them.
        embed_dims: Number of dimensions E.
        width: Number of channels of the convolutions, which have half the
            resolution of the image.
        context: Whether a feature depends on most of the image. With False
            it depends on 7 x 7 pixels, for an ablation.
        ignored_words: Words that are skipped in a text. All texts that
            consist of such words only, like 'a picture', have the same
            embedding.

    Raises:
        ValueError: If a value is out of range, or the vocabulary is empty.

    Example:
        >>> dual = TinyDual(vocabulary=['disk', 'ring']).eval()
        >>> dual.encode_text(['a disk and a ring']).shape
        torch.Size([1, 64])
        >>> ids = torch.zeros(1, 32, 32, dtype=torch.long)
        >>> dual.encode_image(torch.rand(1, 3, 64, 64), ids, 2).valid
        tensor([[ True, False]])
    """

    def __init__(self,
                 *,
                 vocabulary: Sequence[str],
                 embed_dims: int = 64,
                 width: int = 24,
                 context: bool = True,
                 ignored_words: Sequence[str] = IGNORED_WORDS) -> None:
        super().__init__()
        check_count('embed_dims', embed_dims)
        check_count('width', width)
        self.embed_dims = embed_dims
        self.image = ConvTower(width, embed_dims, context)
        self.text = WordTower(vocabulary, embed_dims, ignored_words)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / .07)))

    @property
    def logit_scale(self) -> Tensor:
        """Factor alpha of the cosines, a scalar of at most 100."""
        return bounded_scale(self.log_scale)

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
            self.image.features(images), self.image.head, ids, num_regions)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return unit embeddings (N, E) of texts.

        Raises:
            ValueError: If a word is not in the vocabulary.
        """
        check_texts(texts)
        return unit_rows(self.text(texts))


class ConvTower(nn.Module):
    """A network of residual 3 x 3 convolutions at half the resolution.

    With context, the dilations of its five convolutions are 1, 2, 4, 8 and 1,
    and a feature depends on 67 x 67 pixels. Without context, all but the
    first are 1 x 1 convolutions, and a feature depends on 7 x 7 pixels.
    """

    def __init__(self, width: int, embed_dims: int, context: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
        dilations = (1, 2, 4, 8, 1) if context else (1, 0, 0, 0, 0)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3 if dilation else 1,
                          padding=dilation, dilation=dilation or 1),
                nn.BatchNorm2d(width), nn.ReLU()) for dilation in dilations)
        # Sums of ReLUs have a large common mean. Without the norm, it would
        # make all embeddings similar.
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, embed_dims)

    def features(self, images: Tensor) -> Tensor:
        """Return features (B, width, h, w) of images (B, 3, H, W).

        h and w are H / 2 and W / 2, rounded up.
        """
        features = self.stem(images)
        for layer in self.layers:
            features = features + layer(features)
        return self.norm(features)


class WordTower(nn.Module):
    """A linear layer on the mean of the table rows of a text's words."""

    def __init__(self, vocabulary: Sequence[str], embed_dims: int,
                 ignored_words: Sequence[str]) -> None:
        super().__init__()
        if isinstance(vocabulary, str):
            raise TypeError('`vocabulary` must be a list of words, got the '
                            f'string {vocabulary!r}')
        words = [word for entry in vocabulary for word in lower_words(entry)]
        self.ignored = frozenset(ignored_words) - set(words)
        self.index = {word: i for i, word in enumerate(dict.fromkeys(words))}
        if not self.index:
            raise ValueError('`vocabulary` must name at least one word, got '
                             f'{list(vocabulary)}')
        self.table = nn.EmbeddingBag(
            len(self.index), embed_dims, mode='mean')
        self.linear = nn.Linear(embed_dims, embed_dims)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return embeddings (N, E) that are not normalised."""
        bags = [self._rows(text) for text in texts]
        starts = list(accumulate(map(len, bags), initial=0))[:-1]
        rows, starts = send_integers(
            ([row for bag in bags for row in bag], starts),
            self.table.weight.device)
        return self.linear(self.table(rows, starts))

    def _rows(self, text: str) -> List[int]:
        words = lower_words(text)
        if not words:
            raise ValueError('each of `texts` must contain a word, got '
                             f'{text!r}')
        words = [word for word in words if word not in self.ignored]
        for word in words:
            if word not in self.index:
                raise ValueError(
                    f'`texts` must consist of words in the vocabulary, got '
                    f'{word!r} in {text!r}; the {len(self.index)} words are '
                    f'{", ".join(list(self.index)[:10])}, ...')
        return [self.index[word] for word in words]


def lower_words(text: str) -> List[str]:
    """Return the words of a text in lower case.

    Example:
        >>> lower_words('A photo of a T-shirt.')
        ['a', 'photo', 'of', 'a', 't-shirt']
    """
    return re.findall(r"\w+(?:[-']\w+)*", text.lower())
