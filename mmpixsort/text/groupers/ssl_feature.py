"""Patch features of a frozen self-supervised vision transformer of timm."""
from pathlib import Path
from typing import Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmpixsort.functional.checks import check_choice, check_count
from mmpixsort.layers.features import tap
from mmpixsort.registry import MODELS
from mmpixsort.utils.extras import extra_error
from mmpixsort.utils.reading import reading

FACETS = ('token', 'key')
# mean and standard deviation of ImageNet, R G B in [0, 255], which the DINO
# models expect
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


@MODELS.register_module()
class SSLFeature(nn.Module):
    """Compute features with the last block of a frozen ViT of timm.

    Images arrive with the normalisation of the surrounding model
    (`input_mean` and `input_std`), such as that of CLIP. They are converted
    to the normalisation that the network expects (`mean` and `std`). If a
    side of an image is not a multiple of the patch size, it is enlarged to
    the next multiple, so that the grid of patches exactly covers the image.

    Args:
        name: Name of a ViT of timm, such as 'vit_small_patch8_224.dino'.
        checkpoint: Path of its weights, in any format that timm reads. With
            None, the weights are random until a checkpoint is loaded.
            Nothing is downloaded.
        facet: Kind of feature. 'token': the normalised outputs of the last
            block; 'key': the keys of its attention, with all heads
            concatenated.
        size: Height and width that images are resized to; None keeps theirs.
        input_mean: Mean of the data preprocessor, R G B in [0, 255].
        input_std: Standard deviation of the data preprocessor.
        mean: Mean that the network expects, R G B in [0, 255].
        std: Standard deviation that the network expects.

    Raises:
        ImportError: If timm is not installed.
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If the facet is unknown, or the network has no patches or
            no joint projection of queries, keys and values.
    """

    def __init__(self,
                 *,
                 name: str,
                 checkpoint: Optional[str] = None,
                 facet: str = 'token',
                 size: Optional[Sequence[int]] = None,
                 input_mean: Sequence[float] = MEAN,
                 input_std: Sequence[float] = STD,
                 mean: Sequence[float] = MEAN,
                 std: Sequence[float] = STD) -> None:
        super().__init__()
        check_choice('facet', facet, FACETS)
        self.facet = facet
        self.size = None if size is None else _check_size(size)
        self.network = _create(name, checkpoint).requires_grad_(False).eval()
        if facet == 'key' and not hasattr(self.network.blocks[-1].attn,
                                          'qkv'):
            raise ValueError(
                "`facet` 'key' needs attention with joint queries, keys and "
                f"values (qkv), which {name!r} does not have; use "
                "facet='token'")
        scale = _column('input_std', input_std) / _column('std', std)
        shift = (_column('input_mean', input_mean) -
                 _column('mean', mean)) / _column('std', std)
        self.register_buffer('scale', scale, persistent=False)
        self.register_buffer('shift', shift, persistent=False)

    def train(self, mode: bool = True) -> 'SSLFeature':
        """Stay in evaluation mode, because nothing here is trained."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, C, h, w) of normalised images (B, 3, H, W).

        h and w are the sides of the image, or of `size`, divided by the
        patch size and rounded up.
        """
        patch = self.network.patch_embed.patch_size
        sides = self.size or images.shape[2:]
        grid = [-(-side // step) for side, step in zip(sides, patch)]
        size = tuple(count * step for count, step in zip(grid, patch))
        if size != tuple(images.shape[2:]):
            images = interpolate(
                images, size=size, mode='bilinear', align_corners=False,
                antialias=True)
        images = images * self.scale + self.shift
        if self.facet == 'key':
            tokens = self._keys(images)
        else:
            tokens = self.network.forward_features(images)
        tokens = tokens[:, self.network.num_prefix_tokens:]
        return tokens.transpose(1, 2).unflatten(2, grid)

    def _keys(self, images: Tensor) -> Tensor:
        """Return the attention keys (B, prefix + P, C) of the last block."""
        attention = self.network.blocks[-1].attn
        with tap(attention.qkv) as calls:
            self.network.forward_features(images)
        (_, joint), = calls
        keys = joint.chunk(3, dim=2)[1]
        # some networks normalise the keys of each head
        heads = keys.unflatten(2, (attention.num_heads, -1))
        return attention.k_norm(heads).flatten(2)


def _create(name: str, checkpoint: Optional[str]) -> nn.Module:
    """Build a ViT with its weights that takes images of any size."""
    timm = import_timm()
    if not timm.is_model(name):
        raise ValueError(f'`name` must be a model of timm, got {name!r}; '
                         'see timm.list_models("vit_*")')
    options = dict(num_classes=0, dynamic_img_size=True)
    try:
        network = timm.create_model(name, **options)
    except TypeError as error:
        raise ValueError(
            f'`name` must be a ViT of timm that takes images of any size, '
            f'got {name!r} ({error})') from error
    if not hasattr(network, 'num_prefix_tokens'):
        raise ValueError(f'`name` must be a ViT of timm, got {name!r}')
    if checkpoint is None:
        return network
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f'`checkpoint` {str(checkpoint)!r} not '
                                'found')
    with reading(checkpoint, f'the weights of {name}'):
        return timm.create_model(
            name, pretrained=True,
            pretrained_cfg_overlay=dict(file=str(checkpoint)), **options)


def import_timm():
    """Import timm, which belongs to an optional extra.

    Raises:
        ImportError: If timm is not installed.
    """
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        raise extra_error(
            'features of timm need timm', 'text', error) from error
    return timm


def _check_size(size: Sequence[int]) -> tuple:
    if isinstance(size, int) or len(size) != 2:
        raise ValueError(f'`size` must be (height, width), got {size!r}')
    for side in size:
        check_count('size', side)
    return tuple(size)


def _column(name: str, values: Sequence[float]) -> Tensor:
    """Return three numbers as a tensor (1, 3, 1, 1)."""
    column = torch.tensor(values, dtype=torch.float32)
    if column.shape != (3, ):
        raise ValueError(f'`{name}` must be three numbers, R G B, got '
                         f'{values!r}')
    if name.endswith('std') and not (column > 0).all():
        raise ValueError(f'`{name}` must be positive, got {values!r}')
    return column.view(1, 3, 1, 1)
