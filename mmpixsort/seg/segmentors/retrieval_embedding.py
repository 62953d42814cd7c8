"""Embeddings of images by one metric head of a segmentor, for retrieval.

Shapes: B images, H W size of the input, D embedding dims, h w size of the
map that is cut.
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
    """Return the embedding (D, h, w) of every image, without padding.

    Args:
        model: Segmentor with metric heads, whose `test_cfg` says whether it
            looks at an image window by window.
        inputs: Images (B, 3, H, W), preprocessed.
        metas: Metainfo of each image, which says how it was padded.
        head: Index of the metric head that embeds.
        stride: Number of input pixels by pixel of the map.
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
    """Tell whether a test looks at an image window by window.

    Raises:
        ValueError: On a `mode` that is neither 'whole' nor 'slide'.
    """
    mode = test_cfg.get('mode', 'whole')
    check_choice('test_cfg.mode', mode, MODES)
    return mode == 'slide'


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


def scaled_view(inputs: Tensor, meta: dict, scale: float,
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


def weight_sample(model: nn.Module, head: int) -> Tensor:
    """Return the first number of every weight that an embedding depends on.

    A step of training, an average or a loaded checkpoint changes some of
    them; to look at all before each prediction would cost a pass over the
    weights.
    """
    return torch.cat([
        value.detach().flatten()[:1].float()
        for _, value in _embedding_weights(model, head)
    ])
