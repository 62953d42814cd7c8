"""Turn a training checkpoint into one for the plain host model.

Everything under `metric_head.` goes (projection, banks), and so do the
optimizer, the message hub and the copy kept by EMA: the Runner has put the
averaged weights into `state_dict` already. What is left is tensors and plain
types, which `torch.load(..., weights_only=True)` reads anywhere.
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
# The segmentors of this package and what they are without their branch.
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
    """Write the published form of a checkpoint; return its path.

    The file is `{stem}_{yyyymmdd}-{first 8 hex digits of its sha256}` with
    the ending `.pth` or `.safetensors`, and appears whole or not at all.

    Args:
        source: a checkpoint of the Runner.
        target: where to; a folder takes the stem from the folder of `source`
            (the work dir is named after the config), else the stem is the
            last part without `.pth` or `.safetensors`.
        day: the date in the name, today by default.
        safetensors: write safetensors, which mmengine cannot load by itself.

    Raises:
        ValueError: if `source` has no `state_dict`, or nothing is left of it.
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
            # Through a file object: by a path, the file's name gets into the
            # archive and so into the hash.
            with open(draft, 'wb') as file:
                torch.save({'meta': meta, 'state_dict': weights}, file)
        ending = 'safetensors' if safetensors else 'pth'
        name = f'{stem}_{day or date.today():%Y%m%d}-{sha256(draft)[:8]}'
        return draft.replace(target.parent / f'{name}.{ending}')
    finally:
        draft.unlink(missing_ok=True)


def strip_branch(state_dict: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Drop the metric head; copy the rest out of larger storages.

    Raises:
        ValueError: if nothing is left.
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
    """Keep the entries of plain types, and the config as the host's own."""
    return _plain({**meta, 'cfg': host_config(meta.get('cfg'))})


def _plain(value: Any) -> Any:
    """Return a copy of plain types only; anything else becomes DROPPED."""
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
    """Rewrite a stored config for the plain host model, without running it.

    The work dir and what was loaded or resumed from are dropped with the
    branch: they name places on the machine of the training run.

    Returns:
        The text of the config, or DROPPED if it is none, or if reading it as
        a config would do more than assign literals, or if it needs mmpixsort
        for more than the branch.
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
    # who reads the published text as a config runs what these name
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
    """Return what a config assigns, or None if it does anything else.

    Nothing is run. `dict(a=1)` counts as a literal, and mmengine's
    substitutions, ``{{$VARIABLE:default}}``, do not.
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
    """Return the SHA-256 of a file in hex."""
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
