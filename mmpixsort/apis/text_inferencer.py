"""Segment images by any list of words."""
import threading
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from mmpixsort.text.vocabulary import canonical_word
from mmpixsort.utils.files import write_image
from mmpixsort.visualization.word_map import draw_words

from .exemplars import image_data
from .loading import load_text_segmentor

SUFFIXES = ('.png', '.jpg', '.jpeg')
Image = Union[str, Path, np.ndarray]


class WordMap(NamedTuple):
    """Segmentation of one image of H x W pixels by words.

    Attributes:
        classes: Words; the first one is 'background' if the head has a rule
            for the background.
        labels: Index (H, W) into `classes` for each pixel, int64.
        scores: Probability (H, W) of the label of each pixel, float32.
        groups: Group (H, W) of each pixel, int64; -1 means no group.
        shares: Dict from each word that was found to its share of the
            pixels, the largest first.
    """

    classes: List[str]
    labels: np.ndarray
    scores: np.ndarray
    groups: np.ndarray
    shares: Dict[str, float]


class TextGroupInferencer:
    """Segment images with any list of words.

    Several threads may call an inferencer, but only one call runs at a time.

    Args:
        config: Config of a TextGroupSegmentor, or its path.
        checkpoint: Checkpoint with the weights; None uses the weights that
            the config names.
        device: Name of the device, as in torch.
        cfg_options: Settings that override those of the config.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the config describes another model.

    Example::

        segment = TextGroupInferencer('config.py', 'weights.pth')
        found = segment('street.jpg', ['car', 'road', 'sky'])
        found.shares  # {'road': 0.4, 'sky': 0.3, 'car': 0.1}
    """

    def __init__(self,
                 config: Union[str, Path, Config],
                 checkpoint: Optional[Union[str, Path]] = None,
                 *,
                 device: str = 'cpu',
                 cfg_options: Optional[dict] = None) -> None:
        self.cfg, self.model = load_text_segmentor(
            config, checkpoint, device=device, cfg_options=cfg_options)
        self._lock = threading.RLock()

    @torch.no_grad()
    def __call__(self,
                 image: Union[Image, Sequence[Image]],
                 words: Optional[Sequence[str]] = None,
                 *,
                 aliases: Optional[Dict[str, Sequence[str]]] = None
                 ) -> Union[WordMap, List[WordMap]]:
        """Segment an image, or a list of images.

        Args:
            image: Path, or array (H, W, 3), uint8 BGR, as OpenCV reads it;
                or a list of these.
            words: Words to search for; None uses those of the last call, or,
                in the first call, the classes of the config.
            aliases: Dict from a word to the names that are searched for in
                its place; a pixel that matches any of them gets the word.

        Raises:
            FileNotFoundError: If an image does not exist.
            ValueError: If there is no word, a word occurs twice, or the text
                tower or the bank does not know it.
        """
        # the model stores the words, so only one call may use it at a time
        with self._lock:
            if words is not None:
                set_words(self.model, words, aliases)
            if isinstance(image, (list, tuple)):
                return [self._segment(one) for one in image]
            return self._segment(image)

    def _segment(self, image: Image) -> WordMap:
        data = image_data(self.cfg, image)
        result, = self.model.test_step(dict(
            inputs=[data['inputs']], data_samples=[data['data_samples']]))
        return word_map(result, self.model.decode_head.classes)


def set_words(model: nn.Module, words: Sequence[str],
              aliases: Optional[Dict[str, Sequence[str]]] = None) -> None:
    """Set the words of a TextGroupSegmentor, unless they are set already.

    Args:
        model: The model.
        words: Words to search for.
        aliases: Dict from a word to the names that stand for it.
    """
    bank = model.decode_head.bank
    same = list(bank.classes) == [canonical_word(word) for word in words]
    if not same or aliases or not bank.is_ready:
        model.set_vocabulary(words, aliases)


def word_map(result, classes: Sequence[str]) -> WordMap:
    """Return the useful parts of a predicted data sample."""
    labels = result.pred_sem_seg.data[0].cpu().numpy()
    probabilities = result.seg_logits.data.float().softmax(0)
    counts = np.bincount(labels.ravel(), minlength=len(classes))
    order = np.argsort(-counts, kind='stable')
    return WordMap(
        list(classes), labels, probabilities.amax(0).cpu().numpy(),
        result.pred_groups.data[0].cpu().numpy(),
        {classes[i]: counts[i] / labels.size for i in order if counts[i]})


def save_word_map(found: WordMap, image: Union[str, Path],
                  out: Union[str, Path]) -> Path:
    """Write the image with the words drawn onto their regions.

    Args:
        found: Segmentation of the image.
        image: Path of the image.
        out: Path of the picture, PNG or JPEG.

    Raises:
        ValueError: If the image cannot be read, or the ending is unknown.
    """
    picture = cv2.imread(str(image))
    if picture is None:
        raise ValueError(f'{str(image)!r} must be an image that can be read')
    drawn = draw_words(picture[..., ::-1], found.labels, found.classes)
    out = Path(out)
    if out.suffix.lower() not in SUFFIXES:
        raise ValueError(f'`out` must end in one of {SUFFIXES}, got '
                         f'{str(out)!r}')
    write_image(out, drawn[..., ::-1])
    return out
