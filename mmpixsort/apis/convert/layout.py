"""Translate the state dict of another code base by a table of names.

In this module a source name is a name in the other code base, and a target
name is one in a model of this package.
"""
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

COUNTER = 'num_batches_tracked'  # of batch norms; old files lack it


class Layout(NamedTuple):
    """How the names of another code base correspond to ours.

    Attributes:
        name: Name of the layout, for messages.
        prefixes: Beginnings of source names, and the beginnings of target
            names that replace them. The longest that fits is used.
        folded: Source names of biases, and source names of the running means
            of the batch norms that follow them. Our convolutions before a
            batch norm have no bias. Such a bias is subtracted from the mean,
            which gives the same output.
        rotated: Source names of convolutions whose input is a concatenation
            of equal parts in another order than ours, and the number of
            parts. The last part comes first in ours.
        zeros: Target names of biases that the source does not have.
        left_out: Beginnings of source names that are not converted, and why.
        initial: Beginnings of target names that keep their initial values,
            and why.
    """

    name: str
    prefixes: Mapping[str, str]
    folded: Mapping[str, str] = {}
    rotated: Mapping[str, int] = {}
    zeros: Sequence[str] = ()
    left_out: Mapping[str, str] = {}
    initial: Mapping[str, str] = {}


class Conversion(NamedTuple):
    """Weights under our names, and where they come from.

    Attributes:
        layout: Name of the layout of the source.
        weights: Tensors under target names.
        pairs: Source and target name of each tensor that was mapped.
        notes: What was done beside renaming, a line each.
        left_out: Source names that were not converted, and why.
        initial: Target names that keep their initial values, and why.
    """

    layout: str
    weights: Dict[str, Tensor]
    pairs: List[Tuple[str, str]]
    notes: List[str]
    left_out: Dict[str, str]
    initial: Dict[str, str]


def apply_layout(layout: Layout, source: Mapping[str, Tensor],
                 expected: Mapping[str, Tensor]) -> Conversion:
    """Translate a state dict, and compare it with that of a model.

    Args:
        layout: Correspondence of the names.
        source: State dict of the other code base.
        expected: State dict of our model, of which only names, shapes and
            types are used; it may lie on the meta device.

    Returns:
        The translated weights. Floating tensors have the type of the model.

    Raises:
        ValueError: If a tensor is missing, is not part of the layout or the
            model, or has another shape. The message names each of them.
    """
    problems: List[str] = []
    notes: List[str] = []
    left_out: Dict[str, str] = {}
    weights: Dict[str, Tensor] = {}
    pairs: List[Tuple[str, str]] = []
    folded = _folded_means(layout, source, notes)
    for name, tensor in source.items():
        if name in layout.folded:
            continue
        reason = _longest(layout.left_out, name)
        target = replace_prefix(layout.prefixes, name)
        if reason is not None:
            left_out[name] = layout.left_out[reason]
        elif target is None:
            problems.append(f'extra: `{name}` is no part of this layout')
        elif target not in expected:
            problems.append(f'extra: `{name}` would become `{target}`, which '
                            'the model of the config does not have')
        else:
            tensor = folded.get(name, tensor)
            if tensor.shape != expected[target].shape:
                problems.append(
                    f'wrong shape: `{name}` must have shape '
                    f'{tuple(expected[target].shape)}, as `{target}` in the '
                    f'config, got {tuple(tensor.shape)}')
                continue
            if name in layout.rotated:
                tensor = _rotate(tensor, layout.rotated[name])
                notes.append(f'`{name}`: last of {layout.rotated[name]} '
                             'blocks of input channels moved to the front')
            weights[target] = tensor.to(expected[target].dtype)
            pairs.append((name, target))
    names = {target for _, target in pairs}
    for name in layout.zeros:
        if name in expected and name not in names:
            weights[name] = torch.zeros_like(expected[name], device='cpu')
            notes.append(f'`{name}`: zero, as the source has no bias there')
    initial = _fill(layout, source, expected, weights, problems)
    if problems:
        raise ValueError(
            f'the weights, of the layout {layout.name}, must fit the model of '
            'the config; they do not:\n  ' + '\n  '.join(problems))
    return Conversion(layout.name, weights, pairs, notes, left_out, initial)


def replace_prefix(prefixes: Mapping[str, str], name: str) -> Optional[str]:
    """Return a name with its longest known prefix replaced, None without.

    Example:
        >>> replace_prefix({'a.': 'x.', 'a.b.': 'y.'}, 'a.b.weight')
        'y.weight'
    """
    prefix = _longest(prefixes, name)
    return None if prefix is None else prefixes[prefix] + name[len(prefix):]


def _longest(prefixes: Mapping[str, str], name: str) -> Optional[str]:
    """Return the longest key that `name` starts with, None without."""
    found = [prefix for prefix in prefixes if name.startswith(prefix)]
    return max(found, key=len, default=None)


def _folded_means(layout: Layout, source: Mapping[str, Tensor],
                  notes: List[str]) -> Dict[str, Tensor]:
    """Return the running means less the biases before them, by name."""
    means = {}
    for bias, mean in layout.folded.items():
        if bias in source and mean in source and (
                source[bias].shape == source[mean].shape):
            means[mean] = source[mean] - source[bias]
            notes.append(f'`{bias}`: subtracted from `{mean}`')
    return means


def _rotate(weight: Tensor, parts: int) -> Tensor:
    """Move the last of `parts` blocks of input channels to the front."""
    return weight.roll(weight.shape[1] // parts, dims=1)


def _fill(layout: Layout, source: Mapping[str, Tensor],
          expected: Mapping[str, Tensor], weights: Dict[str, Tensor],
          problems: List[str]) -> Dict[str, str]:
    """Account for target names without a tensor; return those that may be."""
    back = {ours: theirs for theirs, ours in layout.prefixes.items()}
    initial = {}
    for target, tensor in expected.items():
        name = replace_prefix(back, target)
        if target in weights or name in source:
            continue
        reason = _longest(layout.initial, target)
        if reason is not None:
            initial[target] = layout.initial[reason]
        elif target.endswith(COUNTER):
            weights[target] = torch.zeros_like(tensor, device='cpu')
            initial[target] = 'a counter that old files lack'
        else:
            problems.append(
                f'missing: `{name or target}`, needed for `{target}` of shape '
                f'{tuple(tensor.shape)}')
    for bias, mean in layout.folded.items():
        if mean in source and bias not in source:
            problems.append(f'missing: `{bias}`, which belongs to `{mean}`')
        elif bias in source and mean in source and (
                source[bias].shape != source[mean].shape):
            problems.append(
                f'wrong shape: `{bias}` must have shape '
                f'{tuple(source[mean].shape)}, as `{mean}`, got '
                f'{tuple(source[bias].shape)}')
        elif bias in source and mean not in source:
            problems.append(
                f'extra: `{bias}` belongs to `{mean}`, which is not there')
    return initial
