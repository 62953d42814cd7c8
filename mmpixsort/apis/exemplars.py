"""Add segments of single annotated images to a bank of prototypes."""
from pathlib import Path
from typing import Sequence, Union

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, init_default_scope
from mmengine.structures import PixelData
from torch import nn

from mmpixsort.datasets.id_maps import read_mask_image
from mmpixsort.retrieval import PrototypeBank, add, check_fits
from mmpixsort.retrieval.build import RowRules, join_rows
from mmpixsort.retrieval.images import ANNOTATION, type_name, view_pipeline

LOADING = ('LoadImageFromFile', 'LoadImageFromNDArray')
GENERATED = ('LoadStreetScene', 'LoadCaptionedShapes')  # no file is read


def image_data(cfg: Config, image: Union[str, Path, np.ndarray]) -> dict:
    """Prepare an image with the test pipeline of a config.

    Args:
        cfg: Config of the model.
        image: Path, or array (H, W, 3), uint8 BGR, as OpenCV reads it.

    Raises:
        FileNotFoundError: If the file does not exist.
    """
    if not isinstance(image, np.ndarray) and not Path(image).is_file():
        raise FileNotFoundError(f'image {str(image)!r} not found')
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    # there is no annotation of a single image to load
    return load_image(image, [step for step in view_pipeline(cfg)
                              if type_name(step) not in ANNOTATION])


def load_image(image: Union[str, Path, np.ndarray],
               steps: Sequence[dict]) -> dict:
    """Run an image through pipeline steps that need no annotation.

    Args:
        image: Path, or array (H, W, 3), uint8 BGR, as OpenCV reads it.
        steps: Configs of the transforms. If the loading transform does not
            suit the type of `image`, it is replaced by one that does.
    """
    is_array = isinstance(image, np.ndarray)
    if is_array or not any(
            type_name(step) == LOADING[0] for step in steps):
        steps = [step for step in steps
                 if type_name(step) not in (*LOADING, *GENERATED)]
        steps.insert(0, dict(type=LOADING[is_array]))
    if is_array:
        return Compose([TRANSFORMS.build(step) for step in steps])(
            dict(img=image, seg_fields=[]))
    return Compose([TRANSFORMS.build(step) for step in steps])(
        dict(img_path=str(image), seg_map_path=None, seg_fields=[],
             reduce_zero_label=False, label_map=None))


def add_exemplars(cfg: Config,
                  model: nn.Module,
                  bank: PrototypeBank,
                  *,
                  image: Union[str, Path],
                  mask: Union[str, Path],
                  name: str) -> PrototypeBank:
    """Add the segments under a mask to a bank, as examples of a class.

    No training is needed. With the new bank, segments that resemble them are
    given this class.

    Args:
        cfg: Config of the model.
        model: Model; see :func:`mmpixsort.apis.loading.load_model`.
        bank: Bank that was made with the weights of the model.
        image: Path of the image.
        mask: Path of a mask of the same size (PNG, TIFF). It marks all
            pixels that are neither black nor transparent.
        name: Name of the class, which may be new.

    Raises:
        ValueError: If the mask is empty or of another size, or the bank was
            made with other weights.
    """
    head = model.retrieval.metric_head
    check_fits(
        bank,
        fingerprint=model.retrieval.fingerprint(),
        embed_dims=head.projection.embed_dims)
    data = image_data(cfg, image)
    marked = read_mask(mask, tuple(data['data_samples'].ori_shape)) == 0
    ignored = head.ignore_index
    number = int(ignored == 0)  # any class index that is not ignored
    data['data_samples'].gt_sem_seg = PixelData(
        data=torch.where(marked, number, ignored)[None])
    rows = model.retrieval.rows(data, RowRules())
    rows = rows._replace(labels=torch.zeros_like(rows.labels))
    meta = dict(bank.meta, classes=[name], palette=[])
    new = join_rows([(0, rows)], names=[str(image)], meta=meta,
                    dtype=str(bank.features.dtype).removeprefix('torch.'))
    return add(bank, new, [name])


def read_mask(path: Union[str, Path], size: tuple) -> torch.Tensor:
    """Return labels (H, W): 0 under the mask, 255 elsewhere.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a mask (see
            :func:`mmpixsort.datasets.id_maps.read_mask_image`), has another
            size, or marks no pixel.
    """
    mask = read_mask_image(path)
    if mask.shape != size or not mask.any():
        raise ValueError(
            f'`mask` must have the size {size} of its image and mark a '
            f'pixel, got size {mask.shape} with {int(mask.sum())} pixels; '
            'black and transparent pixels are not marked')
    return torch.from_numpy(np.where(mask, 0, 255)).long()
