"""Turn a training checkpoint into one for the plain host model.

Everything under `metric_head.` (projection, banks) is removed, and so are the
optimizer, the message hub and the weights that EMA keeps apart, as the Runner
has already put the averaged weights into `state_dict`. The rest is tensors
and plain types, which `torch.load(..., weights_only=True)` can read without
this package.
"""
import ast
import hashlib
import os
import re
from datetime import date
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple, Union

import torch
from torch import Tensor

from .extras import extra_error
from .reading import read_tensors

BRANCH = 'metric_head.'
# segmentors of this package, and the host models without the metric head
HOST_TYPES = {
    'mmpixsort.MetricEncoderDecoder': 'EncoderDecoder',
    'mmpixsort.MetricCascadeEncoderDecoder': 'CascadeEncoderDecoder',
}
DROPPED = object()


def publish_checkpoint(
        source: Union[str, Path],
        target: Union[str, Path],
        *,
        day: Optional[date] = None,
        safetensors: bool = False) -> Path:
    """Write a checkpoint for the plain host model, and return its path.

    The file is named `{stem}_{yyyymmdd}-{first 8 hex digits of its sha256}`,
    with the suffix `.pth` or `.safetensors`. It is written completely or not
    at all.

    Args:
        source: Path of a checkpoint of the Runner.
        target: Folder or file to write. In a folder, the stem is the name of
            the folder of `source`, the work dir, which is named after the
            config. Otherwise the stem is the name of the file without `.pth`
            or `.safetensors`.
        day: Date in the name; None means today.
        safetensors: Whether to write safetensors, which mmengine cannot load
            by itself.

    Returns:
        Path of the written file.

    Raises:
        ValueError: If `source` has no `state_dict`, or it has no weights
            outside the metric head.
        ImportError: If safetensors is needed but not installed.
    """
    source, target = Path(source), Path(target)
    checkpoint = read_tensors(source, 'a checkpoint of the Runner')
    if not isinstance(checkpoint, dict) or 'state_dict' not in checkpoint:
        raise ValueError(f'`{source}` must be a checkpoint with a '
                         '`state_dict`, as the Runner saves it')
    weights = strip_branch(checkpoint['state_dict'])
    meta = plain_meta(checkpoint.get('meta') or {})
    if target.is_dir():
        target = target / source.absolute().parent.name
    stem = re.sub(r'\.(pth|safetensors)$', '', target.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f'.{stem}.{os.getpid()}.part'
    try:
        if safetensors:
            _save_safetensors(weights, meta, draft)
        else:
            # given a path, torch.save would store the name of the draft in
            # the archive, and the hash would depend on it
            with open(draft, 'wb') as file:
                torch.save({'meta': meta, 'state_dict': weights}, file)
        ending = 'safetensors' if safetensors else 'pth'
        name = f'{stem}_{day or date.today():%Y%m%d}-{sha256(draft)[:8]}'
        return draft.replace(target.parent / f'{name}.{ending}')
    finally:
        draft.unlink(missing_ok=True)


def strip_branch(state_dict: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Return copies of all weights outside the metric head.

    A prefix `module.` of a wrapped model is removed from the names. Weights
    are copied because a view would be saved with its whole storage.

    Raises:
        ValueError: If there are no such weights.
    """
    names = list(state_dict)
    prefix = 'module.' if names and all(
        name.startswith('module.') for name in names) else ''
    kept = {}
    for name, tensor in state_dict.items():
        name = name[len(prefix):]
        if not name.startswith(BRANCH):
            kept[name] = tensor.detach().contiguous().clone()
    if not kept:
        raise ValueError(f'`state_dict` holds nothing outside `{BRANCH}*`: '
                         f'got {len(names)} entries. Remedy: publish a '
                         'checkpoint of a whole model')
    return kept


def plain_meta(meta: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the plain entries of `meta`, with the config of the host."""
    return _plain({**meta, 'cfg': host_config(meta.get('cfg'))})


def _plain(value: Any) -> Any:
    """Return a copy without values that are not plain, or DROPPED."""
    if value is None:
        return None
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)  # numpy.float64 is a float, but not plain
    if hasattr(value, 'tolist'):
        return value.tolist()  # numpy arrays and scalars, tensors
    if isinstance(value, Mapping):
        items = ((key, _plain(entry)) for key, entry in value.items())
        return {key: entry for key, entry in items if entry is not DROPPED}
    if isinstance(value, (list, tuple)):
        entries = [_plain(entry) for entry in value]
        entries = [entry for entry in entries if entry is not DROPPED]
        return entries if isinstance(value, list) else tuple(entries)
    return DROPPED


def host_config(text: Any) -> Any:
    """Return the text of a config for the plain host model.

    The metric head and the hooks of this package are removed, and so are
    `work_dir`, `load_from`, `resume` and `launcher`, as they hold only for
    the training run. The config is parsed but not run.

    Args:
        text: Text of the config, as stored in `meta` of a checkpoint.

    Returns:
        Text of the new config. It is DROPPED if `text` is not a string or
        does more than assign literals, or if the config needs further
        modules, base configs or other parts of mmpixsort.
    """
    content = literal_assignments(text) if isinstance(text, str) else None
    if content is None:
        return DROPPED
    model = content.get('model')
    if isinstance(model, dict) and model.get('type') in HOST_TYPES:
        model['type'] = HOST_TYPES[model['type']]
        model.pop('metric_head', None)
    for key in ('work_dir', 'load_from', 'resume', 'launcher'):
        content.pop(key, None)
    if content.get('custom_hooks'):
        content['custom_hooks'] = [
            hook for hook in content['custom_hooks']
            if not str(hook.get('type')).startswith('mmpixsort.')
        ]
    # reading the published config would run these modules and base configs
    imports = content.pop('custom_imports', None) or {}
    if _names(imports.get('imports')) - {'mmpixsort'} or any(
            key.startswith('_base_') for key in content):
        return DROPPED
    from mmengine.config import Config
    clean = Config(content).pretty_text
    return DROPPED if re.search(r'[\'"]mmpixsort[.\'"]', clean) else clean


def _names(imports: Any) -> set:
    return {imports} if isinstance(imports, str) else set(imports or ())


def literal_assignments(text: str) -> Optional[Dict[str, Any]]:
    """Return the variables of a config that only assigns literals.

    The text is parsed but not run. `dict(a=1)` counts as a literal.

    Returns:
        Values by name, or None if the text does anything else or contains
        substitutions of mmengine, such as ``{{$VARIABLE:default}}``.
    """
    if '{{' in text:
        return None
    try:
        return {
            name: _literal(value)
            for name, value in map(_assignment, ast.parse(text).body)
        }
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _assignment(node: ast.stmt) -> Tuple[str, ast.expr]:
    if (isinstance(node, ast.Assign) and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)):
        return node.targets[0].id, node.value
    raise ValueError(f'line {node.lineno} is no assignment')


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        if (getattr(node.func, 'id', None) != 'dict' or node.args
                or any(part.arg is None for part in node.keywords)):
            raise ValueError(f'line {node.lineno} calls something')
        return {part.arg: _literal(part.value) for part in node.keywords}
    if isinstance(node, ast.Dict):
        return {_literal(key): _literal(value)
                for key, value in zip(node.keys, node.values)}
    if isinstance(node, (ast.List, ast.Tuple)):
        kind = list if isinstance(node, ast.List) else tuple
        return kind(map(_literal, node.elts))
    return ast.literal_eval(node)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _save_safetensors(weights: Dict[str, Tensor], meta: Dict[str, Any],
                      path: Path) -> None:
    try:
        from safetensors.torch import save_file
    except ImportError as error:
        raise extra_error('writing .safetensors needs safetensors',
                          'safetensors', error) from error
    import json
    texts = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in meta.items()
    }
    save_file(weights, str(path), metadata={'format': 'pt', **texts})
