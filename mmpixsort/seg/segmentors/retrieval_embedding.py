"""Embed images by one metric head of a segmentor, for retrieval.

Shapes: B images, H W size of the input, D embedding dims, h w size of the
map that is segmented.
"""
from typing import Iterator, List, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmpixsort.functional.checks import check_choice
from mmpixsort.functional.windows import MODES, image_windows
from mmpixsort.retrieval.segments import resize_embedding
from mmpixsort.utils.hashing import weights_fingerprint


@torch.no_grad()
def embed_images(model: nn.Module, inputs: Tensor, metas: Sequence[dict], *,
                 head: int, stride: int) -> List[Tensor]:
    """Return the unit embeddings (D, h, w) of every image.

    The size of the map is that of the input divided by `stride`, rounded up.
    Cells that lie in the padding alone are cut off.

    Args:
        model: Segmentor with metric heads. Its `test_cfg` determines whether
            images are embedded whole or window by window.
        inputs: Preprocessed images (B, 3, H, W).
        metas: Metainfo of each image, with its padding.
        head: Index of the metric head.
        stride: Side of a cell of the map in input pixels.
    """
    test_cfg = model.test_cfg
    if is_slide(test_cfg):
        maps = slide_embedding(
            model, inputs, head, test_cfg.crop_size, test_cfg.stride)
    else:
        maps = model.extract_embedding(inputs, head)
    height, width = inputs.shape[2:]
    size = _ceil(height, stride), _ceil(width, stride)
    embeddings = []
    for item, meta in zip(maps, metas):
        left, right, top, bottom = padding_of(meta)
        item = resize_embedding(item, size)
        embeddings.append(item[
            :, top // stride:_ceil(height - bottom, stride),
            left // stride:_ceil(width - right, stride)])
    return embeddings


def _ceil(length: int, step: int) -> int:
    return -(-length // step)


def is_slide(test_cfg: dict) -> bool:
    """Return whether a test runs on sliding windows of an image.

    Args:
        test_cfg: Test settings of a segmentor, with `mode`.

    Raises:
        ValueError: If `mode` is neither 'whole' nor 'slide'.
    """
    mode = test_cfg.get('mode', 'whole')
    check_choice('test_cfg.mode', mode, MODES)
    return mode == 'slide'


def padding_of(meta: dict) -> Tuple[int, int, int, int]:
    """Return the left, right, top and bottom padding of an image in pixels.

    Args:
        meta: Metainfo of the image. In a test, mmseg names the padding
            `img_padding_size`; in training, `padding_size`.
    """
    if 'img_padding_size' in meta:
        return tuple(meta['img_padding_size'])
    return tuple(meta.get('padding_size', (0, 0, 0, 0)))


def slide_embedding(model: nn.Module, inputs: Tensor, head: int,
                    crop_size: Sequence[int],
                    stride: Sequence[int]) -> Tensor:
    """Return the sum (B, D, H, W) of embeddings over overlapping windows.

    Use it to cluster the whole image at once (as in SPML), although the
    model embeds windows. The sum is not normalised; it has the direction of
    the mean. It needs memory for B * D * H * W numbers.

    Args:
        model: Segmentor with metric heads.
        inputs: Preprocessed images (B, 3, H, W).
        head: Index of the metric head.
        crop_size: Height and width of a window in pixels.
        stride: Distance in pixels between the starts of two windows, along y
            and along x.
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


def scaled_view(inputs: Tensor, meta: dict, scale: float,
                flip: bool) -> Tuple[Tensor, dict]:
    """Return a resized or mirrored view of an image, and its metainfo.

    The view has no padding. With scale 1 and no flip, the arguments are
    returned unchanged.

    Args:
        inputs: Preprocessed image (1, 3, H, W).
        meta: Metainfo of the image, with its padding.
        scale: Factor by which height and width are multiplied, above 0.
        flip: Whether to mirror the image horizontally.
    """
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


def fingerprint(model: nn.Module, head: int = 0) -> str:
    """Return a hash of everything that the embeddings of a head depend on."""
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


def weight_sample(model: nn.Module, head: int) -> Tensor:
    """Return the first number of every weight that an embedding depends on.

    Use it to find out cheaply whether the weights have changed: a training
    step, an average of weights or a loaded checkpoint changes some of these
    numbers. A change of other numbers alone is not noticed.
    """
    return torch.cat([
        value.detach().flatten()[:1].float()
        for _, value in _embedding_weights(model, head)
    ])
