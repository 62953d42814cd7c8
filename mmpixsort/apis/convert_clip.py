"""Convert CLIP weights into checkpoints of mmengine."""
import os
from pathlib import Path
from typing import Optional, Union

import torch

import mmpixsort
from mmpixsort.text.encoders.clip_weights import (ACTIVATION, ClipWeights,
                                                  read_clip)


def convert_clip(source: Union[str, Path],
                 target: Union[str, Path],
                 *,
                 prefix: Optional[str] = None,
                 target_prefix: str = '') -> ClipWeights:
    """Write the weights of a CLIP as a checkpoint for :class:`OpenCLIPDual`.

    The weights are stored in float32. The activation that they need, if it
    is known, is stored beside them, so that it is set however the checkpoint
    is loaded. The file is written completely or not at all.

    Args:
        source: Path of an archive of OpenAI or a state dict of open_clip;
            see :func:`mmpixsort.text.encoders.clip_weights.read_clip`.
        target: Path of the checkpoint, .pth.
        prefix: Prefix of the names in `source`; None finds it.
        target_prefix: Prefix of the names in `target`. Use '' for the
            `init_cfg` of a dual encoder; for `load_from`, the path of the
            dual encoder in the model and a dot.

    Returns:
        The weights that were read, and the names that were left out.

    Raises:
        ValueError: If `source` does not contain a complete CLIP with a ViT.
    """
    weights = read_clip(source, prefix=prefix)
    target = Path(target)
    if target.suffix != '.pth':
        raise ValueError(f'`target` must end in .pth, got {target.name}')
    meta = dict(
        mmpixsort_version=mmpixsort.__version__,
        clip_settings=weights.settings,
        is_openai=weights.is_openai)
    state = {
        f'{target_prefix}clip.{name}': tensor
        for name, tensor in weights.state.items()
    }
    if weights.quick_gelu is not None:
        state[f'{target_prefix}{ACTIVATION}'] = torch.tensor(
            weights.quick_gelu)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f'.{target.name}.{os.getpid()}.part'
    try:
        torch.save(dict(meta=meta, state_dict=state), draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return weights


def describe_clip(weights: ClipWeights) -> str:
    """Return a description of the weights, one property a line."""
    vision, text = (weights.settings[key] for key in (
        'vision_cfg', 'text_cfg'))
    lines = [
        f'image tower: {vision["layers"]} layers, width {vision["width"]}, '
        f'patches of {vision["patch_size"]}, images of '
        f'{vision["image_size"]}',
        f'text tower: {text["layers"]} layers, width {text["width"]}, '
        f'{text["context_length"]} tokens of {text["vocab_size"]}',
        f'joint space: {weights.settings["embed_dim"]} dims',
        f'tensors: {len(weights.state)}, float32, none missing',
    ]
    lines += [f'left out: {name}' for name in weights.unknown]
    if weights.is_openai:
        lines.append("OpenAI's weights: OpenCLIPDual takes quick_gelu=True "
                     'from the file')
    elif weights.quick_gelu is not None:
        lines.append(f'trained with quick_gelu={weights.quick_gelu}, which '
                     'OpenCLIPDual takes from the file')
    else:
        lines.append("not marked as OpenAI's: if they are, or come from them, "
                     'build with quick_gelu=True')
    return '\n'.join(lines)
