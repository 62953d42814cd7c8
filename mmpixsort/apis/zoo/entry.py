"""Make an entry of the zoo from a finished run of a study.

Published are the weights in half precision, without the banks and the
optimizer of the training; a bank of prototypes for a model that predicts by
retrieval; and a log, which contains the scores of these very files.
"""
import hashlib
import io
import json
import re
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from mmengine.config import Config
from torch import Tensor

import mmpixsort
from mmpixsort.apis.bank import build_bank
from mmpixsort.apis.loading import build_model, training_state
from mmpixsort.apis.study.plan import (Arm, Place, Study, config_of_test,
                                       read_study, run_config, training_hash)
from mmpixsort.apis.study.results import Results
from mmpixsort.hooks.plain_checkpoint import without_numpy
from mmpixsort.retrieval import read_bank, write_bank
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.files import write_whole
from mmpixsort.utils.publish import sha256
from mmpixsort.utils.reading import read_tensors

from .index import FOLDER, ZooModel, read_models, zoo_root
from .metafile import update_row
from .pages import read_terms, update_pages
from .score import Scored, run_test

LIMIT = 6_000_000  # bytes of a file
TOGETHER = 40_000_000  # bytes of all files
FIRST = 8  # images of the quick score
POINTS = 40  # of the curve of the loss
BACKBONE = 'model.backbone.init_cfg'
# a test is published if it needs no other bank than the published one
PUBLISHED = ({}, {'model.test_cfg.retrieval': None})


class Run(NamedTuple):
    """A finished run of a study.

    Attributes:
        folder: Work directory of the run.
        study: Study of the run.
        arm: Arm of the run.
        seed: Seed of the run.
        result: Content of its result file.
        cfg: Config that it was trained with.
    """

    folder: Path
    study: Study
    arm: Arm
    seed: int
    result: dict
    cfg: Config


def add_entry(folder: Union[str, Path],
              *,
              data: Optional[Union[str, Path]] = None,
              day: Optional[date] = None,
              bank_images: Optional[int] = None) -> ZooModel:
    """Add a finished run of a study to the zoo, or replace its entry.

    Args:
        folder: Work directory of the run, named
            ``work_dirs/studies/STUDY/ARM_seedN_HASH``.
        data: Folder that replaces the `data_root` of the config.
        day: Date in the names of the files; today by default.
        bank_images: Number of training images in the bank; None: as many as
            the limit of a file allows.

    Returns:
        The row of the metafile.

    Raises:
        FileNotFoundError: If the run is not finished, or data are missing.
        ValueError: If the run is not that of the present config, or the
            entry would break a rule of the zoo.
    """
    root = zoo_root()
    run = find_run(Path(folder), root, data)
    entry = _row_of(run, root)
    day = day or date.today()
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        weights = _write_weights(run, entry.name, made, day)
        bank = _write_bank(
            run, entry.name, weights, made, day, bank_images)
        tests = _score(run, weights, bank)
        log = _log(run, entry, weights, bank, tests, root)
        _remove_files(entry, root)
        files = [path for path in (weights, bank) if path is not None]
        for path in files:
            write_whole(root / FOLDER / path.name, path.read_bytes())
        log_path = root / FOLDER / f'{weights.stem}.json'
        write_whole(log_path, json.dumps(log, indent=1) + '\n')
    _write_row(run, entry, weights.name, log, root)
    update_pages(root)
    _check_total(root)
    return read_models(root)[entry.name]


def find_run(folder: Path, root: Path,
             data: Optional[Union[str, Path]] = None) -> Run:
    """Return a finished run, whose settings must be those of the study.

    The result file is copied from the checkout of the run if this one does
    not have it.
    """
    folder = folder.absolute()
    match = re.fullmatch(r'(.+)_seed(\d+)_([0-9a-f]{12})', folder.name)
    path = root / 'configs' / 'studies' / f'{folder.parent.name}.py'
    if match is None or not path.is_file():
        raise ValueError(
            '`folder` must be the work directory of a run of a study in '
            f'configs/studies, .../STUDY/ARM_seedN_HASH, got {str(folder)!r}')
    study = read_study(path)
    name, seed, trained = match[1], int(match[2]), match[3]
    if name not in study.arms:
        raise ValueError(f'the study {study.name!r} must have the arm '
                         f'{name!r}, got {list(study.arms)}')
    arm = study.arms[name]
    own = {k: v for k, v in {**study.options, **arm.options}.items()
           if k != BACKBONE}
    if own:
        raise ValueError(
            f'an entry must be trained with its config as it is, but the arm '
            f'{name!r} overrides {list(own)}: write a config of its own')
    cfg = run_config(study, arm, seed,
                     Place(None if data is None else str(data)))
    if training_hash(cfg) != trained:
        raise ValueError(
            f'the run {folder.name!r} must have the settings of the present '
            f'config, whose hash is {training_hash(cfg)}: the config has '
            'changed since')
    if not (folder / 'weights.pth').is_file():
        raise FileNotFoundError(
            f'{str(folder / "weights.pth")!r} does not exist: the run is not '
            f'finished; see python tools/study.py status {path}')
    return Run(folder, study, arm, seed,
               _result(folder, study, arm, seed, root), cfg)


def _result(folder: Path, study: Study, arm: Arm, seed: int,
            root: Path) -> dict:
    """Return the result of a run, copied from its checkout if need be."""
    results = Results(study.results)
    path = results.path(arm.name, seed)
    if not path.is_file():
        other = folder.parents[3] / path.relative_to(root.resolve())
        if not other.is_file():
            raise FileNotFoundError(
                f'the result of the run is neither {str(path)!r} nor '
                f'{str(other)!r}: the run is not finished')
        write_whole(path, other.read_bytes())
    return results.read(arm.name, seed)


def _row_of(run: Run, root: Path) -> ZooModel:
    config = Path(run.arm.config).relative_to(root.resolve()).as_posix()
    for model in read_models(root).values():
        if model.config == config:
            return model
    raise ValueError(f'{config} must have a row in the metafile of its '
                     'method, got none')


def half_state(state: Dict[str, Tensor], dropped: set) -> Dict[str, Tensor]:
    """Return weights in half precision, without some of them.

    Single numbers, such as thresholds, keep their type, and so do tensors
    with a number that is too large for float16. Variances of features can be.

    Args:
        state: Weights by name.
        dropped: Names of those that are left out.

    Raises:
        ValueError: If a value is not finite.
    """
    kept = {}
    for name, value in state.items():
        if name in dropped:
            continue
        value = value.detach().cpu()
        if value.is_floating_point() and value.dim():
            if not value.isfinite().all():
                raise ValueError(f'`{name}` must be finite, but has NaN or '
                                 'infinity: the training has diverged')
            half = value.half()
            value = half if half.isfinite().all() else value
        kept[name] = value.contiguous().clone()
    return kept


def _write_weights(run: Run, name: str, folder: Path, day: date) -> Path:
    """Write the weights, with the threshold that a test measures."""
    model = build_model(run.cfg)
    state = half_state(
        read_tensors(run.folder / 'weights.pth', 'weights')['state_dict'],
        training_state(model))
    draft = folder / 'draft.pth'
    torch.save(dict(state_dict=state), draft)
    tested = _test(run, next(iter(run.arm.tests.values())), draft, None, 1)
    head = getattr(tested.model, 'head', None)
    if 'head.threshold' in state:
        # of these weights; -1: they belong to no iteration of a training
        state['head.threshold'] = head.threshold.detach().cpu().clone()
        state['head.threshold_iter'].fill_(-1)
    meta = dict(
        dataset_meta=without_numpy(tested.dataset_meta),
        config=f'{name}.py',
        seed=run.seed,
        mmpixsort_version=mmpixsort.__version__)
    buffer = io.BytesIO()  # with a path, its name would be in the file
    torch.save(dict(meta=meta, state_dict=state), buffer)
    return _write_named(folder, name, day, '.pth', buffer.getvalue())


def _write_named(folder: Path, name: str, day: date, ending: str,
                 content: bytes) -> Path:
    if len(content) > LIMIT:
        raise ValueError(f'a file of the zoo must have at most {LIMIT} '
                         f'bytes, got {len(content)} of {name}{ending}')
    digest = hashlib.sha256(content).hexdigest()[:8]
    path = folder / f'{name}_{day:%Y%m%d}-{digest}{ending}'
    write_whole(path, content)
    return path


def _write_bank(run: Run, name: str, weights: Path, folder: Path,
                day: date, images: Optional[int]) -> Optional[Path]:
    """Write a bank of some images, or of as many as the limit allows."""
    cfg = run.cfg.copy()
    if not cfg.model.get('test_cfg', {}).get('retrieval'):
        return None
    draft = folder / 'draft.npz'
    if images is None:
        probe = 16
        build_bank(cfg, weights, draft, max_images=probe)
        images = int(.97 * LIMIT / (draft.stat().st_size / probe))
    bank = build_bank(cfg, weights, draft, max_images=images)
    # under the names that the config gives them, wherever the data are
    names = [move_path(path, cfg, read_config(run.arm.config))
             for path in bank.meta['images']]
    write_bank(replace(bank, meta=dict(bank.meta, images=names)), draft)
    return _write_named(folder, name, day, '.npz', draft.read_bytes())


def move_path(path: str, cfg: Config, target: Config) -> str:
    """Return a path below the `data_root` of another config."""
    old, new = (str(c.get('data_root') or '').rstrip('/')
                for c in (cfg, target))
    return new + path[len(old):] if old and path.startswith(old) else path


def _test(run: Run, options: dict, weights: Path, bank: Optional[Path],
          num_images: Optional[int]) -> Scored:
    cfg = config_of_test(run.cfg, options, run.study.split)
    return run_test(cfg, weights, bank=bank, num_images=num_images)


def _score(run: Run, weights: Path, bank: Optional[Path]) -> dict:
    """Score the published files by every test that needs no others."""
    chosen = [(name, options) for name, options in run.arm.tests.items()
              if options in PUBLISHED]
    chosen.sort(key=lambda item: bool(item[1]))  # that of the config first
    if not chosen or chosen[0][1]:
        raise ValueError(f'a test of the arm {run.arm.name!r} must be that '
                         'of the config, without options')
    return {
        name: dict(
            options=options,
            scores=_test(run, options, weights, bank, None).scores,
            first=dict(
                images=FIRST,
                scores=_test(run, options, weights, bank, FIRST).scores),
            trained=run.result['tests'][name]['scores'])
        for name, options in chosen
    }


def _log(run: Run, entry: ZooModel, weights: Path, bank: Optional[Path],
         tests: dict, root: Path) -> dict:
    result = run.result
    terms = read_terms(root)
    if entry.data not in terms:
        raise ValueError(f'{FOLDER}/terms.yml must have the terms of '
                         f'{entry.data!r}')
    pretrained = BACKBONE in result['options']
    return dict(
        model=entry.name,
        config=entry.config,
        config_hash=result['config_hash'],
        study=f'configs/studies/{run.study.name}.py',
        arm=run.arm.name,
        seed=run.seed,
        split=run.study.split,
        average=result['average'],
        result=Results(run.study.results).path(
            run.arm.name, run.seed).relative_to(root.resolve()).as_posix(),
        command=result['command'],
        commit=result['commit'],
        date=result['date'],
        device=result['device'],
        seconds=result['seconds'],
        versions=result['versions'],
        weights=_describe(weights),
        bank=None if bank is None else dict(
            _describe(bank), **_content(bank)),
        data=dict(name=entry.data, terms=terms[entry.data]),
        initial_weights=terms['initial weights'] if pretrained else 'random',
        tests=tests,
        loss=loss_curve(run.folder))


def _describe(path: Path) -> dict:
    return dict(file=path.name, sha256=sha256(path),
                bytes=path.stat().st_size)


def _content(path: Path) -> dict:
    bank = read_bank(path)
    return dict(images=len(bank.meta['images']), segments=len(bank))


def loss_curve(folder: Path) -> List[Tuple[int, float]]:
    """Return iterations and losses of a run, evenly thinned.

    Args:
        folder: Work directory of the run.
    """
    found = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if 'loss' in row and 'iter' in row:
                found[row['iter']] = round(row['loss'], 4)
    points = sorted(found.items())
    step = max(-(-len(points) // POINTS), 1)
    return points[::-1][::step][::-1]  # with the last one


def _remove_files(entry: ZooModel, root: Path) -> None:
    """Remove the files of an earlier entry of the same model."""
    for file in entry.files():
        (root / FOLDER / file.name).unlink(missing_ok=True)
    if entry.log:
        (root / entry.log).unlink(missing_ok=True)


def _write_row(run: Run, entry: ZooModel, weights: str, log: dict,
               root: Path) -> None:
    bank = log['bank'] or dict.fromkeys(('file', 'sha256', 'bytes'))
    metrics = {}
    for number, (name, test) in enumerate(log['tests'].items()):
        for metric in run.study.scores:
            if metric in test['scores']:  # not one of another test
                metrics[metric if number == 0 else f'{metric} {name}'] = (
                    test['scores'][metric])
    update_row(
        (root / entry.config).parent / 'metafile.yml',
        entry.name,
        metadata={
            'State': 'trained',
            'Seed': run.seed,
            'Bytes': log['weights']['bytes'],
            'SHA256': log['weights']['sha256'],
            'Bank': bank['file'] and f'{FOLDER}/{bank["file"]}',
            'Bank Bytes': bank['bytes'],
            'Bank SHA256': bank['sha256'],
        },
        task=entry.task,
        data=entry.data,
        metrics=metrics,
        weights=f'{FOLDER}/{weights}',
        log=f'{FOLDER}/{Path(weights).stem}.json')


def _check_total(root: Path) -> None:
    total = sum(file.size for model in read_models(root).values()
                for file in model.files())
    if total > TOGETHER:
        raise ValueError(f'all files of the zoo must have at most {TOGETHER} '
                         f'bytes together, got {total}')
