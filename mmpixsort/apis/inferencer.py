"""Predict with a model of any method of this package."""
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmpixsort.text.vocabulary import canonical_word
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.embeddings import embed_batch
from mmpixsort.utils.files import result_names, write_image
from mmpixsort.utils.reading import reading
from mmpixsort.visualization import embedding_pictures
from mmpixsort.visualization.sample_pictures import sample_pictures
from mmpixsort.visualization.word_map import draw_words

from .exemplars import image_data
from .loading import build_model, load_all, named_parts, ready
from .predictions import (Prediction, prediction_of_sample, save_prediction,
                          shown_labels)
from .zoo import download_model, find_model
from .zoo.index import zoo_root

IMAGES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
Image = Union[str, Path, np.ndarray]


class PixSortInferencer(BaseInferencer):
    """Predict with a model of any method; load it once, call it often.

    It follows mmengine's `BaseInferencer`, as `MMSegInferencer` and
    `DetInferencer` do. Several threads may call an inferencer, but only one
    call runs at a time.

    Args:
        model: Name of a model of the zoo, path of a config, or a config.
        weights: Path or URL of a checkpoint. None takes the weights of the
            zoo; a model with a text tower may have none but those that its
            config names. A checkpoint may lack the weights of a grouper for
            which the config names a file.
        device: Name of the device; None uses a GPU if there is one.
        bank: Path of a bank of prototypes, with which the model predicts by
            retrieval. None takes that of the zoo or of the config. Without
            any bank, the classifier predicts if the model has trained one.
        cfg_options: Settings that override those of the config, as
            ``--cfg-options`` of the tools.
        show_progress: Whether to show a progress bar.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If there is no such model, or the weights are of another
            model.

    Example::

        segment = PixSortInferencer('config.py', 'weights.pth')
        found = segment(['a.jpg', 'b.jpg'], out_dir='shown')
        found['predictions'][0]['labels'].shape  # (H, W)

    With a model of text grouping, regions are named by the words of a call::

        name_regions = PixSortInferencer('text_config.py', 'weights.pth')
        part, = name_regions(
            'street.jpg', words=['pet', 'road'],
            aliases=dict(pet=['cat', 'dog']))['predictions']
        part['classes']      # ['background', 'pet', 'road']
        class_shares(part)   # {'road': 0.7, 'pet': 0.3}

    :func:`mmpixsort.apis.predictions.class_shares` is the last function.
    """

    forward_kwargs = {'words', 'aliases', 'with_embedding'}
    visualize_kwargs = {'show', 'wait_time'}
    postprocess_kwargs = {'names', 'out_dir', 'pred_out_dir'}

    def __init__(self,
                 model: Union[str, Path, Config],
                 weights: Optional[Union[str, Path]] = None,
                 device: Optional[str] = None,
                 *,
                 bank: Optional[Union[str, Path]] = None,
                 cfg_options: Optional[dict] = None,
                 show_progress: bool = False) -> None:
        cfg = model
        if isinstance(model, (str, Path)) and Path(model).suffix:
            cfg = read_config(model)
        elif isinstance(model, (str, Path)):
            cfg = read_config(zoo_root() / find_model(str(model)).config)
            if weights is None:
                weights, *banks = download_model(str(model))
                bank = bank or next(iter(banks), None)
        cfg = cfg.copy()
        cfg.merge_from_dict(cfg_options or {})
        if bank is not None:
            cfg.merge_from_dict(
                {'model.test_cfg.retrieval.bank': str(bank)})
        self._lock = threading.RLock()
        super().__init__(
            cfg, None if weights is None else str(weights), device,
            scope=cfg.get('default_scope') or 'mmengine',
            show_progress=show_progress)

    @torch.no_grad()
    def __call__(self,
                 inputs: Union[Image, Sequence[Image]],
                 return_datasamples: bool = False,
                 batch_size: int = 1,
                 *,
                 words: Optional[Sequence[str]] = None,
                 aliases: Optional[Dict[str, Sequence[str]]] = None,
                 with_embedding: bool = True,
                 show: bool = False,
                 wait_time: float = 0.,
                 out_dir: Optional[Union[str, Path]] = None,
                 pred_out_dir: Optional[Union[str, Path]] = None) -> dict:
        """Predict images.

        Args:
            inputs: Path of an image or of a folder of images, array
                (H, W, 3), uint8 BGR, as OpenCV reads it, or a list of paths
                and arrays.
            return_datasamples: Whether to return data samples in place of
                dicts of arrays.
            batch_size: Number of images that are predicted at once.
            words: Words that a model with a text tower searches for; None
                uses those of the last call, or of the config.
            aliases: Dict from a word to the names that are searched for in
                its place; a pixel that matches any of them gets the word.
            with_embedding: Whether to return and draw embeddings, for which
                the images go through the network a second time.
            show: Whether to show each panel in a window.
            wait_time: Seconds for which a panel is shown; 0 waits for a key.
            out_dir: Folder for the pictures, `NAME_panel.png` and others.
            pred_out_dir: Folder for the predictions, `NAME.npz` with all
                arrays and `NAME.png` with the labels.

        Returns:
            Dict with `predictions`, for each image a dict as
            :func:`mmpixsort.apis.predictions.prediction_of_sample` returns
            it, or a data sample; and `visualization`, the panels as RGB
            pictures.

        Raises:
            FileNotFoundError: If an image does not exist.
            ValueError: If there is no image, words are given to a model
                without a text tower, there is no word, a word occurs twice,
                or the text tower or the bank does not know it.
        """
        images = list_images(inputs)
        names = names_of(images)  # an error before the work
        with self._lock:  # the model stores words
            return super().__call__(
                images, return_datasamples, batch_size, words=words,
                aliases=aliases, with_embedding=with_embedding, show=show,
                wait_time=wait_time, names=names, out_dir=out_dir,
                pred_out_dir=pred_out_dir)

    def forward(self,
                inputs: dict,
                *,
                words: Optional[Sequence[str]] = None,
                aliases: Optional[Dict[str, Sequence[str]]] = None,
                with_embedding: bool = True) -> List[tuple]:
        """Return the data sample and the arrays of each image."""
        if words is not None:
            if not hasattr(self.model, 'set_vocabulary'):
                raise ValueError(
                    '`words` must be None for a model without a text tower, '
                    f'got {list(words)}; its classes are '
                    f'{self._classes()}')
            _set_words(self.model, words, aliases)
        embeddings: List[Any] = [None] * len(inputs['inputs'])
        if with_embedding and hasattr(self.model, 'extract_embedding'):
            embeddings = embed_batch(self.model, inputs)
        samples = self.model.test_step(inputs)
        return [(sample, prediction_of_sample(
            sample, classes=self._classes(), embedding=embedding))
            for sample, embedding in zip(samples, embeddings)]

    def visualize(self,
                  inputs: List[Image],
                  preds: List[tuple],
                  *,
                  show: bool = False,
                  wait_time: float = 0.) -> List[Dict[str, np.ndarray]]:
        """Return the pictures of each image by their kind."""
        pictures = self._pictures(inputs, [part for _, part in preds])
        if show:
            for kinds in pictures:
                cv2.imshow('mmpixsort', kinds['panel'][..., ::-1])
                cv2.waitKey(int(1000 * wait_time))
        return pictures

    def postprocess(self,
                    preds: List[tuple],
                    visualization: List[Dict[str, np.ndarray]],
                    return_datasamples: bool = False,
                    *,
                    names: Sequence[str],
                    out_dir: Optional[Union[str, Path]] = None,
                    pred_out_dir: Optional[Union[str, Path]] = None) -> dict:
        """Write pictures and predictions, and return both."""
        if out_dir is not None:
            for name, kinds in zip(names, visualization):
                for kind, picture in kinds.items():
                    write_image(Path(out_dir) / f'{name}_{kind}.png',
                                picture[..., ::-1])
        if pred_out_dir is not None:
            for name, (_, part) in zip(names, preds):
                save_prediction(part, pred_out_dir, name)
        return dict(
            predictions=[sample if return_datasamples else part
                         for sample, part in preds],
            visualization=[kinds['panel'] for kinds in visualization])

    def _pictures(self, inputs: List[Image],
                  parts: List[Prediction]) -> List[Dict[str, np.ndarray]]:
        """Return the pictures of images by their kind."""
        images = [read_picture(image) for image in inputs]
        embedded = [part['embedding'] for part in parts
                    if 'embedding' in part]
        drawn = iter(embedding_pictures(
            [torch.from_numpy(part) for part in embedded],
            [image.shape[:2] for image in images]) if embedded else ())
        palette = self.model.dataset_meta.get('palette') or ()
        found = []
        for image, part in zip(images, parts):
            by_class = 'labels' in part and 'panoptic' not in part
            kinds = sample_pictures(
                image, prediction=shown_labels(part),
                groups=part.get('groups', part.get('segments')),
                embedding=next(drawn, None),
                palette=palette if by_class else ())
            if 'groups' in part:
                kinds['words'] = draw_words(
                    image, part['labels'], part['classes'])
            found.append(kinds)
        return found

    def _classes(self) -> List[str]:
        if hasattr(self.model, 'set_vocabulary'):
            return list(self.model.decode_head.classes)
        return list(self.model.dataset_meta.get('classes') or ())

    def _init_model(self, cfg: Config, weights: Optional[str],
                    device: str) -> nn.Module:
        """Build the model and load its weights."""
        _check_bank(cfg)
        model = build_model(cfg, with_named_weights=weights is None)
        meta = _meta_of_config(cfg)
        if weights is not None:
            with reading(weights, 'a checkpoint'):
                content = CheckpointLoader.load_checkpoint(
                    weights, map_location='cpu')
                state = content.get('state_dict', content)
            load_all(model, state, weights, optional=named_parts(cfg))
            meta = (content.get('meta') or {}).get('dataset_meta') or meta
        elif hasattr(model, 'set_vocabulary'):
            model.init_weights()
        else:
            raise ValueError('`weights` must be given for this model, got '
                             'None; train it, or see list_models()')
        model.dataset_meta, model.cfg = dict(meta), cfg
        model = ready(model, device)
        if getattr(model, 'retrieval', None) is not None:
            model.retrieval.use(model.retrieval.bank)
        return model

    def _init_pipeline(self, cfg: Config):
        return lambda image: image_data(cfg, image)

    def _init_visualizer(self, cfg: Config) -> None:
        """Build none: pictures are written without one."""


def _set_words(model: nn.Module, words: Sequence[str],
               aliases: Optional[Dict[str, Sequence[str]]]) -> None:
    """Set the words of a TextGroupSegmentor, unless they are set already."""
    bank = model.decode_head.bank
    same = list(bank.classes) == [canonical_word(word) for word in words]
    if not same or aliases or not bank.is_ready:
        model.set_vocabulary(words, aliases)


def list_images(inputs: Union[Image, Sequence[Image]]) -> List[Image]:
    """Return the images of a path, a folder, an array or a list.

    Raises:
        ValueError: If there is no image.
    """
    if isinstance(inputs, (str, Path)) and Path(inputs).is_dir():
        found = sorted(path for path in Path(inputs).iterdir()
                       if path.suffix.lower() in IMAGES)
        if not found:
            raise ValueError(f'the folder {str(inputs)!r} must hold images '
                             f'({", ".join(IMAGES)}), got none')
        return found
    if not isinstance(inputs, (list, tuple)):
        return [inputs]
    if not inputs:
        raise ValueError('`inputs` must hold at least one image, got none')
    return list(inputs)


def names_of(inputs: Sequence[Image]) -> List[str]:
    """Return different names of results for images.

    Raises:
        ValueError: If two images would share a name.
    """
    names = iter(result_names([
        str(image) for image in inputs if not isinstance(image, np.ndarray)]))
    return [f'{i:04d}' if isinstance(image, np.ndarray) else next(names)
            for i, image in enumerate(inputs)]


def read_picture(image: Image) -> np.ndarray:
    """Return an image (H, W, 3) as uint8 RGB."""
    if not isinstance(image, np.ndarray):
        path, image = image, cv2.imread(str(image))
        if image is None:
            raise ValueError(f'{str(path)!r} must be an image that can be '
                             'read')
    return np.ascontiguousarray(image[..., ::-1])


def _meta_of_config(cfg: Config) -> dict:
    """Return the METAINFO of the data set of a config."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    dataset = loader.get('dataset') or {}
    kind = DATASETS.get(dataset['type']) if 'type' in dataset else None
    return dict(getattr(kind, 'METAINFO', {}), **dataset.get('metainfo', {}))


def _check_bank(cfg: Config) -> None:
    """Let the classifier predict if there is no bank, in place.

    Raises:
        ValueError: If there is no trained classifier either.
    """
    test_cfg = cfg.model.get('test_cfg') or {}
    if not test_cfg.get('retrieval') or test_cfg['retrieval'].get('bank'):
        return
    if cfg.model.get('classifier') == 'none':
        raise ValueError(
            'the model predicts by retrieval and needs a bank of prototypes, '
            'got none; build one with tools/build_bank.py, and give its path '
            'as `bank`')
    print_log('there is no bank of prototypes: the classifier predicts',
              logger='current')
    del test_cfg['retrieval']
