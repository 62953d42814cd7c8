"""Read the weights of a CLIP model from any common file format.

A file may be an archive of OpenAI (TorchScript, half precision), a state dict
of open_clip (.pt, .bin, .safetensors), or a training checkpoint that contains
one. The weights are returned in float32 under the names of open_clip's `CLIP`,
which OpenAI uses too. The model is recognised by the names and shapes of its
weights. Of the file name, only the ending .safetensors matters.
"""
import math
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Union

from torch import Tensor

from mmpixsort.utils.extras import extra_error
from mmpixsort.utils.reading import read_tensors, reading

from .script_archive import is_script, script_tensors

WRAPPERS = ('state_dict', 'model')
MARK = 'visual.conv1.weight'
# entry in checkpoints of `OpenCLIPDual`: whether its activation is QuickGELU
ACTIVATION = 'quick_gelu'
# scalars that only the state dict of OpenAI's archives contains
OPENAI_MARKS = ('input_resolution', 'context_length', 'vocab_size')


class ClipWeights(NamedTuple):
    """Weights of a CLIP whose image tower is a ViT.

    Attributes:
        state: Float32 tensors under the names of open_clip's `CLIP`.
        settings: Dict that `OpenCLIPDual(model_name=...)` takes. The number
            of heads cannot be derived from shapes; 64 dimensions per head
            are assumed, as in CLIP.
        unknown: Names in the file that are not part of such a model.
        is_openai: Whether the weights are known to be OpenAI's, because the
            file has `OPENAI_MARKS` or was converted from such a file.
        quick_gelu: Whether the weights were trained with the activation
            QuickGELU, x * sigmoid(1.702 x). It is True for the weights of
            OpenAI, and read from checkpoints of `OpenCLIPDual`; None if it is
            unknown.
    """

    state: Dict[str, Tensor]
    settings: Dict[str, Any]
    unknown: List[str]
    is_openai: bool
    quick_gelu: Optional[bool]


def read_clip(path: Union[str, Path],
              *,
              prefix: Optional[str] = None) -> ClipWeights:
    """Read the weights of a CLIP model from a file.

    Args:
        path: Path of the file.
        prefix: Prefix of the names in the file. None takes the prefix of
            `visual.conv1.weight`, which must then occur only once.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file does not contain exactly one CLIP model with
            a ViT, weights are missing, or their shapes do not fit together.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no file at `{path}`; weights are never '
                                'downloaded; download the file yourself and '
                                'give its path')
    with reading(path, 'the weights of a CLIP'):
        entries = load_entries(path)
        meta = entries.get('meta')
        for name in WRAPPERS:
            if isinstance(entries.get(name), Mapping):
                entries = entries[name]
        return parse_clip(
            entries, prefix=prefix, is_openai=isinstance(meta, Mapping) and
            meta.get('is_openai') is True)


def load_entries(path: Path) -> Mapping[str, Any]:
    """Return the contents of a file as a mapping."""
    if path.suffix == '.safetensors':
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise extra_error('reading .safetensors needs safetensors',
                              'safetensors', error) from error
        return load_file(str(path))
    if is_script(path):
        return script_tensors(path)
    entries = read_tensors(path, 'a state dict')
    if not isinstance(entries, Mapping):
        raise ValueError(f'`{path}` must hold a state dict, got '
                         f'{type(entries).__name__}')
    return entries


def parse_clip(entries: Mapping[str, Any],
               *,
               prefix: Optional[str] = None,
               is_openai: bool = False) -> ClipWeights:
    """Select the weights of a CLIP from a state dict; see :func:`read_clip`.

    Args:
        entries: Entries of the state dict.
        prefix: Prefix of the names; None searches for it.
        is_openai: Whether the weights are known to be OpenAI's. With False,
            they are if the entries contain all `OPENAI_MARKS`.
    """
    if prefix is None:
        prefix = find_prefix(entries)
    # `OpenCLIPDual` stores the activation beside its child `clip`
    activation = f'{prefix.removesuffix("clip.")}{ACTIVATION}'
    inside = {
        name[len(prefix):]: value
        for name, value in entries.items() if name.startswith(prefix)
    }
    inside.pop(ACTIVATION, None)
    outside = [name for name in entries
               if not name.startswith(prefix) and name != activation]
    if 'text.positional_embedding' in inside:  # open_clip's CustomTextCLIP
        inside = {
            re.sub(r'^text\.', '', name): value
            for name, value in inside.items()
        }
    is_openai = is_openai or all(name in inside for name in OPENAI_MARKS)
    for name in OPENAI_MARKS:
        inside.pop(name, None)
    tensors = {
        name: value
        for name, value in inside.items() if isinstance(value, Tensor)
    }
    settings = settings_of(tensors)
    shapes = expected_shapes(tensors, settings)
    check_shapes(tensors, shapes)
    state = {
        name: tensors[name].detach().float().reshape(shape).clone()
        for name, shape in shapes.items()
    }
    unknown = outside + [name for name in inside if name not in shapes]
    quick_gelu = True if is_openai else None
    if activation in entries:
        quick_gelu = bool(entries[activation])
    return ClipWeights(
        state, settings, sorted(unknown), is_openai, quick_gelu)


def find_prefix(entries: Mapping[str, Any]) -> str:
    """Return the prefix of the names of the only CLIP in a state dict."""
    found = [name[:-len(MARK)] for name in entries if name.endswith(MARK)]
    if not found:
        raise ValueError(
            f'the file must hold a CLIP with a ViT under the names of OpenAI '
            f'or open_clip, got no `{MARK}` among {len(entries)} entries, '
            f'{", ".join(list(map(str, entries))[:3])}, ...')
    if len(found) > 1:
        raise ValueError(f'`prefix` must select one of {len(found)} models '
                         f'in the file, one of {found}, got None')
    return found[0]


def settings_of(tensors: Mapping[str, Tensor]) -> Dict[str, Any]:
    """Derive the settings of open_clip's `CLIP` from the shapes."""
    needed = (MARK, 'visual.positional_embedding', 'visual.proj',
              'token_embedding.weight', 'positional_embedding',
              'text_projection')
    missing = [name for name in needed if name not in tensors]
    if missing:
        raise ValueError('the weights must be those of a CLIP with a ViT, '
                         f'got no {", ".join(missing)}')
    width, _, patch, _ = tensors[MARK].shape
    side = math.isqrt(len(tensors['visual.positional_embedding']) - 1)
    vocab_size, text_width = tensors['token_embedding.weight'].shape
    vision = dict(
        image_size=side * patch, patch_size=patch, width=width,
        **block_settings(tensors, 'visual.', width))
    if 'visual.ln_pre.weight' not in tensors:
        vision['no_ln_pre'] = True
    text = dict(
        context_length=len(tensors['positional_embedding']),
        vocab_size=vocab_size, width=text_width,
        heads=max(1, text_width // 64),
        **block_settings(tensors, '', text_width))
    return dict(embed_dim=tensors['visual.proj'].shape[1],
                vision_cfg=vision, text_cfg=text)


def block_settings(tensors: Mapping[str, Tensor], tower: str,
                   width: int) -> Dict[str, Any]:
    """Derive the number of layers, MLP ratio and layer scale of a tower."""
    pattern = re.compile(re.escape(tower) + r'transformer\.resblocks\.(\d+)\.')
    layers = [int(m[1]) for m in map(pattern.match, tensors) if m]
    if not layers:
        raise ValueError(f'the weights must hold layers `{tower}transformer.'
                         'resblocks.*`, got none')
    settings = dict(layers=max(layers) + 1)
    hidden = tensors.get(f'{tower}transformer.resblocks.0.mlp.c_fc.bias')
    if hidden is not None and len(hidden) != 4 * width:
        settings['mlp_ratio'] = len(hidden) / width
    if f'{tower}transformer.resblocks.0.ls_1.gamma' in tensors:
        settings['ls_init_value'] = 1.
    return settings


def expected_shapes(tensors: Mapping[str, Tensor],
                    settings: Mapping[str, Any]) -> Dict[str, tuple]:
    """Return the name and shape of every weight of a CLIP."""
    vision, text = settings['vision_cfg'], settings['text_cfg']
    width, joint = vision['width'], settings['embed_dim']
    patch = vision['patch_size']
    count = (vision['image_size'] // patch)**2
    shapes = {
        'visual.class_embedding': (width, ),
        'visual.positional_embedding': (count + 1, width),
        'visual.proj': (width, joint),
        MARK: (width, 3, patch, patch),
        **_norm('visual.ln_post', width),
        **_blocks('visual.', vision),
        'positional_embedding': (text['context_length'], text['width']),
        'text_projection': (text['width'], joint),
        'token_embedding.weight': (text['vocab_size'], text['width']),
        **_norm('ln_final', text['width']),
        **_blocks('', text),
        'logit_scale': (),
    }
    if not vision.get('no_ln_pre'):
        shapes.update(_norm('visual.ln_pre', width))
    return shapes


def _norm(name: str, width: int) -> Dict[str, tuple]:
    return {f'{name}.weight': (width, ), f'{name}.bias': (width, )}


def _linear(name: str, fan_in: int, fan_out: int) -> Dict[str, tuple]:
    return {f'{name}.weight': (fan_out, fan_in), f'{name}.bias': (fan_out, )}


def _blocks(tower: str, settings: Mapping[str, Any]) -> Dict[str, tuple]:
    width = settings['width']
    hidden = int(width * settings.get('mlp_ratio', 4))
    block = {
        **_norm('ln_1', width),
        **_norm('ln_2', width),
        'attn.in_proj_weight': (3 * width, width),
        'attn.in_proj_bias': (3 * width, ),
        **_linear('attn.out_proj', width, width),
        **_linear('mlp.c_fc', width, hidden),
        **_linear('mlp.c_proj', hidden, width),
    }
    if 'ls_init_value' in settings:
        block.update({f'ls_{i}.gamma': (width, ) for i in (1, 2)})
    return {
        f'{tower}transformer.resblocks.{i}.{name}': shape
        for i in range(settings['layers']) for name, shape in block.items()
    }


def check_shapes(tensors: Mapping[str, Tensor],
                 shapes: Mapping[str, tuple]) -> None:
    """Raise an error that lists all weights that are missing or misshapen."""
    missing = [name for name in shapes if name not in tensors]
    if missing:
        raise ValueError(f'{len(missing)} weights are missing: '
                         f'{", ".join(sorted(missing))}')
    wrong = [
        f'{name} {tuple(tensors[name].shape)}, expected {shape}'
        for name, shape in shapes.items()
        if tensors[name].shape != shape and not (
            shape == () and tensors[name].numel() == 1)
    ]
    if wrong:
        raise ValueError(f'{len(wrong)} weights have a shape that does not '
                         f'fit the other weights: {"; ".join(wrong)}')
