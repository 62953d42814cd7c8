"""A dual encoder of images, regions and texts that uses CLIP of open_clip.

Shapes: B images, K regions of an image, E dimensions of the joint space.
"""
import copy
import warnings
from typing import Any, Mapping, Optional, Sequence, Union

import torch
from mmengine.model import BaseModule, PretrainedInit
from torch import Tensor, nn

from mmpixsort.functional.checks import check_choice
from mmpixsort.registry import MODELS
from mmpixsort.structures import ImageEmbeddings
from mmpixsort.utils.extras import extra_error
from mmpixsort.utils.transfer import send

from .clip_weights import ACTIVATION, read_clip
from .dual_parts import bounded_scale, check_images, check_texts, unit_rows
from .masked_region_encoder import build_regions
from .tower import run_tower

FREEZE = ('all', 'image', 'text', 'none')
# settings of open_clip that name a tower of another library
FOREIGN = (('vision_cfg', 'timm_model_name'), ('text_cfg', 'hf_model_name'),
           ('text_cfg', 'hf_tokenizer_name'))
# number of texts that are encoded at once
CHUNK = 256


@MODELS.register_module()
class OpenCLIPDual(BaseModule):
    """Embed images, image regions and texts with a CLIP that has a ViT.

    CLIP is the model of Radford et al., "Learning Transferable Visual Models
    From Natural Language Supervision", ICML 2021,
    https://arxiv.org/abs/2103.00020. It is run by open_clip
    (`pip install mmpixsort[text]`). Nothing is ever downloaded. Images may
    have any size, because the positional embedding is resized. The data
    preprocessor must normalise them: OpenAI's weights and most weights of
    open_clip need RGB with `mean=[122.771, 116.746, 104.094]` and
    `std=[68.501, 66.632, 70.323]`.

    Args:
        model_name: Name of a model that open_clip knows, such as 'ViT-B-16',
            or its settings `dict(embed_dim=..., vision_cfg=...,
            text_cfg=...)`.
        pretrained: Path of a file of weights; see
            :mod:`mmpixsort.text.encoders.clip_weights`. With None, the
            weights are random until `init_cfg` or a checkpoint is loaded.
        freeze: Parts that get no gradient and stay in evaluation mode:
            'all', 'image', 'text' or 'none'. Only 'all' freezes the scale.
        regions: Config of a :class:`MaskedRegionEncoder`. None embeds a
            region by the mean of its projected patch tokens.
        quick_gelu: Whether the activation is QuickGELU, x * sigmoid(1.702
            x), which the weights of OpenAI need. None takes the activation
            that belongs to the loaded weights, if it is known (for weights of
            OpenAI and checkpoints of this class), and otherwise that of
            `model_name`. A value that contradicts the weights is kept, with
            a warning.
        init_cfg: Initialisation config of mmengine.
            `dict(type='Pretrained', checkpoint=...)` takes the same files as
            `pretrained`.

    Raises:
        ImportError: If open_clip is not installed.
        ValueError: If the name is unknown, the image tower is not a ViT, or
            the weights do not fit.

    Example:
        dual = OpenCLIPDual(
            model_name='ViT-B-16', pretrained='ViT-B-16.pt',
            regions=dict(context='late', start_layer=-3))
    """

    def __init__(self,
                 *,
                 model_name: Union[str, Mapping[str, Any]],
                 pretrained: Optional[str] = None,
                 freeze: str = 'all',
                 regions: Optional[dict] = None,
                 quick_gelu: Optional[bool] = None,
                 init_cfg: Optional[dict] = None) -> None:
        check_choice('freeze', freeze, FREEZE)
        if pretrained is not None and init_cfg is not None:
            raise ValueError('one of `pretrained` and `init_cfg` must be '
                             f'None, got {pretrained!r} and {init_cfg}')
        super().__init__(init_cfg)
        open_clip = import_open_clip()
        settings = model_settings(open_clip, model_name)
        if quick_gelu is not None:
            settings['quick_gelu'] = quick_gelu
        self.asked_activation = quick_gelu
        # stored in checkpoints, since weights do not reveal their activation
        self.register_buffer(
            ACTIVATION, torch.tensor(bool(settings.get('quick_gelu'))))
        self.clip = open_clip.CLIP(**settings)
        check_tower(self.clip.visual)
        if pretrained is not None:
            self._load_file(pretrained)
        self.embed_dims = settings['embed_dim']
        self.regions = build_regions(regions)
        self.tokenizer = open_clip.SimpleTokenizer(
            context_length=self.clip.context_length,
            **settings['text_cfg'].get('tokenizer_kwargs') or {})
        self.freeze = freeze
        for name, parameter in self.clip.named_parameters():
            if freeze in ('all', part_of(name)):
                parameter.requires_grad_(False)
        self.train(self.training)

    def init_weights(self) -> None:
        """Load the file of `init_cfg` in the same way as `pretrained`.

        Raises:
            FileNotFoundError: If the file does not exist; nothing is
                downloaded.
            ValueError: If the file contains no such CLIP.
        """
        cfg = self.init_cfg
        if not isinstance(cfg, dict) or cfg.get('type') not in (
                'Pretrained', PretrainedInit):
            super().init_weights()
        elif not self.is_init:
            prefix = cfg.get('prefix')
            self._load_file(
                cfg['checkpoint'],
                None if prefix is None else f'{prefix.rstrip(".")}.clip.')
            self._is_init = True

    def _load_file(self, path: str, prefix: Optional[str] = None) -> None:
        """Load the weights of a file, and the activation they need."""
        weights = read_clip(path, prefix=prefix)
        load_weights(self.clip, weights, path)
        if weights.quick_gelu is not None:
            self._take_activation(weights.quick_gelu)

    def _take_activation(self, quick: bool) -> None:
        """Use the activation of the weights, unless the user chose one."""
        asked = self.asked_activation
        if asked is not None and asked != quick:
            warnings.warn(
                f'the weights were trained with `quick_gelu={quick}`, got '
                f'{asked}', stacklevel=3)
            quick = asked
        if quick != bool(self.quick_gelu):
            set_activation(self.clip, quick)
        self.quick_gelu.fill_(quick)

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict,
                              missing_keys, unexpected_keys,
                              error_msgs) -> None:
        """Load a checkpoint, and use the activation that is stored in it."""
        key = f'{prefix}{ACTIVATION}'
        present = self.quick_gelu.clone()
        super()._load_from_state_dict(
            state_dict, prefix, metadata, strict, missing_keys,
            unexpected_keys, error_msgs)
        self.quick_gelu.copy_(present)
        if key in state_dict:
            self._take_activation(bool(state_dict[key]))
        elif key in missing_keys:  # other weights do not store it
            missing_keys.remove(key)

    @property
    def logit_scale(self) -> Tensor:
        """Factor alpha of the cosines, a scalar of at most 100."""
        return bounded_scale(self.clip.logit_scale)

    def train(self, mode: bool = True) -> 'OpenCLIPDual':
        """Set the mode of all parts that are not frozen."""
        super().train(mode)
        for name, child in self.clip.named_children():
            if self.freeze in ('all', part_of(name)):
                child.eval()
        return self

    def encode_image(self,
                     images: Tensor,
                     ids: Optional[Tensor] = None,
                     num_regions: int = 0) -> ImageEmbeddings:
        """Return unit embeddings of images and, with `ids`, of regions.

        Args:
            images: Normalised images (B, 3, H, W). A side that is no
                multiple of the patch size is resized to the nearest one.
            ids: Region (B, h, w) of each pixel, an integer in [0, K), or -1
                for a pixel in no region. The ids are resized to the grid of
                patches, in which a small region may be lost.
            num_regions: Number of regions K; required with `ids`.
        """
        check_images(images, ids, num_regions)
        visual = self.clip.visual
        return run_tower(visual, visual.transformer.resblocks, images, ids,
                         num_regions, self.regions)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return unit embeddings (N, E) of texts.

        A text is cut to the largest number of tokens that the tower takes,
        which is 77 in CLIP.
        """
        check_texts(texts)
        device = self.clip.logit_scale.device
        if not texts:
            return torch.zeros(0, self.embed_dims, device=device)
        tokens = send(self.tokenizer(list(texts)), device)
        return torch.cat([
            unit_rows(self.clip.encode_text(part))
            for part in tokens.split(CHUNK)
        ])


def part_of(name: str) -> str:
    """Return the part of CLIP to which a parameter or child belongs."""
    if name.split('.')[0] == 'visual':
        return 'image'
    return 'scale' if name.startswith('logit_') else 'text'


def import_open_clip():
    """Import open_clip, or raise an error that says what to install."""
    try:
        import open_clip
    except (ImportError, RuntimeError) as error:
        raise extra_error(
            'OpenCLIPDual needs open_clip', 'text', error) from error
    return open_clip


def model_settings(open_clip, model_name: Union[str, Mapping[str, Any]]
                   ) -> dict:
    """Return a copy of the settings of a model of open_clip."""
    if isinstance(model_name, str):
        if ':' in model_name:  # open_clip would download it
            raise ValueError(
                f'`model_name` must be a name or a dict, got {model_name!r}; '
                'download the model yourself, and pass the dict in its '
                '`open_clip_config.json`')
        settings = open_clip.get_model_config(model_name.replace('/', '-'))
        if settings is None:
            raise ValueError(f'`model_name` must be one of open_clip\'s, got '
                             f'{model_name!r}; see `open_clip.list_models()`')
    else:
        settings = copy.deepcopy(dict(model_name))
    for part in ('embed_dim', 'vision_cfg', 'text_cfg'):
        if part not in settings:
            raise ValueError(f'`model_name` must have `{part}`, got '
                             f'{sorted(settings)}')
    settings.pop('custom_text', None)  # only renames the same towers
    foreign = [key for part, key in FOREIGN if settings[part].get(key)]
    if 'multimodal_cfg' in settings:
        foreign.append('multimodal_cfg')
    if foreign:
        raise ValueError('`model_name` must be a model whose towers are '
                         f'open_clip\'s own, got {", ".join(foreign)} in '
                         f'{model_name!r}; ViT-B-16 is one')
    settings['vision_cfg'], settings['text_cfg'] = (
        dict(settings[part]) for part in ('vision_cfg', 'text_cfg'))
    return settings


def set_activation(clip: nn.Module, quick: bool) -> None:
    """Set the activation of all layers to QuickGELU or to the exact GELU."""
    from open_clip.transformer import QuickGELU
    kind = QuickGELU if quick else nn.GELU
    for part in list(clip.modules()):
        for name, child in part.named_children():
            if isinstance(child, (QuickGELU, nn.GELU)):
                setattr(part, name, kind())


def check_tower(visual: nn.Module) -> None:
    """Raise an error unless the image tower is a ViT that embeds by CLS."""
    kind = getattr(visual, 'pool_type', type(visual).__name__)
    if kind != 'tok' or getattr(visual, 'attn_pool', None) is not None:
        raise ValueError(
            '`model_name` must be a model with a ViT that embeds an image by '
            f'its CLS token, got {kind}; ViT-B-16 is one')


def load_weights(clip: nn.Module, weights, path: str) -> None:
    """Load all weights into a CLIP, or raise an error."""
    if weights.unknown:
        warnings.warn(f'`{path}` contains entries that are not part of a '
                      f'CLIP: {", ".join(weights.unknown)}', stacklevel=4)
    try:
        clip.load_state_dict(weights.state)
    except RuntimeError as error:
        raise ValueError(
            f'`{path}` does not fit `model_name`: the weights belong to '
            f'{weights.settings} (the number of heads is assumed)') from error
