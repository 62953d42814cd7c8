"""Segment an image by words that are given with it."""
import threading
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

import cv2
import numpy as np
import torch
from mmengine.config import Config

from mmpixsort.text.vocabulary import canonical_word
from mmpixsort.utils.files import write_image
from mmpixsort.visualization.word_map import draw_words

from .exemplars import image_data
from .loading import load_text_segmentor

SUFFIXES = ('.png', '.jpg', '.jpeg')
Image = Union[str, Path, np.ndarray]


class WordMap(NamedTuple):
    """What was found in one image of H x W pixels.

    Attributes:
        classes: The words, 'background' first where a rule finds it.
        labels: (H, W) int64, places in `classes`.
        scores: (H, W) float32, probability of the label.
        groups: (H, W) int64, the groups that were named; -1: none.
        shares: Word -> part of the pixels, the largest first, without
            words that were not found.
    """

    classes: List[str]
    labels: np.ndarray
    scores: np.ndarray
    groups: np.ndarray
    shares: Dict[str, float]


class TextGroupInferencer:
    """Segment images with any list of words.

    Several threads may call it; one call runs at a time.

    Args:
        config: Path or Config of a TextGroupSegmentor.
        checkpoint: Checkpoint with its weights; None: those of the config.
        device: As torch has it.
        cfg_options: Settings to override.

    Raises:
        FileNotFoundError: When a file does not exist.
        ValueError: For a config of another model.

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
        """Segment an image, or a list of them.

        Args:
            image: File, or (H, W, 3) uint8 BGR, as OpenCV reads it; or a
                list of these.
            words: To look for; None: those of the last call, or of the
                config.
            aliases: Word -> the names to look for in its place, any of
                which will do.

        Raises:
            FileNotFoundError: When there is no such image.
            ValueError: For no word, a word twice, or one that the text
                tower or the bank does not know.
        """
        # the words are a state of the model: one call at a time
        with self._lock:
            if words is not None:
                self._set_words(words, aliases)
            if isinstance(image, (list, tuple)):
                return [self._segment(one) for one in image]
            return self._segment(image)

    def _segment(self, image: Image) -> WordMap:
        data = image_data(self.cfg, image)
        result, = self.model.test_step(dict(
            inputs=[data['inputs']], data_samples=[data['data_samples']]))
        return word_map(result, self.model.decode_head.classes)

    def _set_words(self, words: Sequence[str],
                   aliases: Optional[Dict[str, Sequence[str]]]) -> None:
        """Leave what is encoded already alone."""
        bank = self.model.decode_head.bank
        same = list(bank.classes) == [canonical_word(word) for word in words]
        if not same or aliases or not bank.is_ready:
            self.model.set_vocabulary(words, aliases)


def word_map(result, classes: Sequence[str]) -> WordMap:
    """Take what is of use from a data sample of a prediction."""
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
    """Write the image with the words on what they name, as PNG or JPEG.

    Raises:
        ValueError: When the image cannot be read, or on another suffix.
    """
    picture = cv2.imread(str(image))
    if picture is None:
        raise ValueError(f'{str(image)!r} is no image that can be read')
    drawn = draw_words(picture[..., ::-1], found.labels, found.classes)
    out = Path(out)
    if out.suffix.lower() not in SUFFIXES:
        raise ValueError(f'`out` must end in one of {SUFFIXES}, got '
                         f'{str(out)!r}')
    write_image(out, drawn[..., ::-1])
    return out
