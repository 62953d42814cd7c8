"""Write an attachment as a short config file."""
import os
import shlex
from pathlib import Path
from typing import List, Tuple, Union

from mmpixsort.utils.configs import is_pure_python
from mmpixsort.utils.files import write_whole

from .attachment import Attachment, attached, plan
from .config_text import assignment

CONFIG_FOLDER = '/.mim/configs/'


def attach_file(cfg: Union[str, Path],
                method: str = 'pixel_contrast',
                *,
                out: Union[str, Path],
                force: bool = False,
                **overrides) -> Attachment:
    """Attach a method to a config, and write the result as a config file.

    The file inherits from the base and contains what :func:`attach` adds. A
    text config cannot inherit from a pure Python config; for such a base the
    whole config is written.

    Args:
        cfg: Path of the base, also as ``mmseg::folder/name.py``.
        method: Name of a method.
        out: Path of the file to write.
        force: Whether to overwrite an existing file.
        overrides: Arguments of the metric head.

    Returns:
        The attachment that was written.

    Raises:
        FileExistsError: If the file exists and `force` is not set.
        ValueError: If configs cannot inherit from a file of this name, or
            :func:`attach` raises it.
    """
    out = check_out(out, force)
    found = plan(cfg, method, **overrides)
    if is_pure_python(cfg):  # no text config can inherit from it
        text = (f'# {method} attached to {Path(cfg).name}, which is written '
                f'out whole\n{attached(found).pretty_text}')
    else:
        text = config_text(str(cfg), method, found, out)
    write_whole(out, text)
    return found


def check_out(out: Union[str, Path], force: bool = False) -> Path:
    """Check that a config may be written to a path, and return the path."""
    out = Path(out)
    if out.suffix != '.py' or '.' in out.stem:
        raise ValueError('`out` must end in .py and have no other dot, which '
                         f'mmengine cannot inherit from, got {out.name!r}')
    if out.exists() and not force:
        raise FileExistsError(
            f'`out` {str(out)!r} exists: choose another name, or overwrite '
            'it with force=True (--force)')
    return out


def default_out(cfg: Union[str, Path], method: str) -> Path:
    """Return the default file name: the method, then the name of the base."""
    name = str(cfg).split('::')[-1]
    return Path(f'{method.replace("_", "-")}_{Path(name).name}')


def config_text(cfg: str, method: str, found: Attachment, out: Path) -> str:
    """Return the source of a config that inherits from the base."""
    title = method.replace('_', ' ').replace('-', ' ').capitalize()
    lines = [
        f'# {title}, {found.host.num_classes} classes, on',
        f'# {describe_place(found)}.',
        f'# Bank of the loss: {describe_bank(found)}.',
        assignment('_base_', base_reference(cfg, out)),
        assignment('model', found.model)
    ]
    hooks = assignment('custom_hooks', found.hooks)
    if found.base.get('custom_hooks'):
        # in an inheriting config a list replaces that of the base, so the
        # hooks of the base are repeated
        hooks = hooks.replace('[', '[\n    *_base_.custom_hooks, ', 1)
    if found.hooks:
        lines.append(hooks)
    return '\n'.join(lines) + '\n'


def base_reference(cfg: str, out: Path) -> str:
    """Return the path by which a file refers to its base."""
    if '::' in cfg:
        return cfg
    path = Path(cfg).resolve()
    package, inside, name = path.as_posix().partition(CONFIG_FOLDER)
    if inside:
        return f'{Path(package).name}::{name}'
    return Path(os.path.relpath(path, out.resolve().parent)).as_posix()


def describe_bank(found: Attachment) -> str:
    """Describe the memory bank of the loss."""
    bank = found.model['metric_head'].get('bank')
    if bank is None:
        return 'none, keys are those of the batch'
    capacity = f' of capacity {bank["capacity"]}' if 'capacity' in bank else ''
    return bank['type'].removeprefix('mmpixsort.') + capacity


def summary(found: Attachment, out: Path) -> str:
    """Describe an attachment, its file and the next commands to run."""
    head = found.model['metric_head']
    bank = describe_bank(found)
    if head.get('bank') is None:
        bank += ' (--set bank.capacity=5000 adds one)'
    rows = [
        ('host', found.base.model.type),
        ('feature', describe_place(found)),
        ('classes', f'{found.host.num_classes}, ignored label '
         f'{found.host.ignore_index}'),
        ('bank', bank),
        ('warm-up', f'{head["warmup_iters"]} iterations'),
        ('predict', describe_prediction(found)),
        ('written', str(out)),
        *commands(found, out)
    ]
    return '\n'.join(f'{name + ":":<8} {text}' for name, text in rows)


def describe_prediction(found: Attachment) -> str:
    """Describe how the model predicts in validation and test."""
    retrieval = found.model.get('test_cfg', {}).get('retrieval')
    if retrieval is None:
        return 'as the host does'
    return (f'by the vote of the {retrieval["num_neighbors"]} nearest '
            'segments of the training images')


def commands(found: Attachment, out: Path) -> List[Tuple[str, str]]:
    """Return the next commands to run, in order, each with its purpose."""
    config = shlex.quote(str(out))
    test = f'python tools/test.py {config} CHECKPOINT'
    rows = [('train', f'python tools/train.py {config}')]
    if 'retrieval' in found.model.get('test_cfg', {}):
        rows.append(('build', f'python tools/build_bank.py {config} '
                     'CHECKPOINT --out x.bank'))
        test += ' --cfg-options model.test_cfg.retrieval.bank=x.bank'
    return [*rows, ('test', test)]


def describe_place(found: Attachment) -> str:
    """Describe the feature that the metric head takes."""
    head = found.model['metric_head']
    channels = f'{head["in_channels"]} channels'
    index = head.get('source', -1)
    if index == 'decoder':
        return f'the feature before the classifier, {channels}'
    if index == -1:
        return f'the last level of the backbone or neck, {channels}'
    if isinstance(index, int):
        return f'level {index} of the backbone or neck, {channels}'
    levels = ', '.join(map(str, index))
    return f'levels {levels} of the backbone together, {channels}'
