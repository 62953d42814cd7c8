"""Train and test one run of a study in a separate process.

    python -m mmpixsort.apis.study.worker STUDY --arm NAME --seed 0

`tools/study.py run` starts such processes; they can also be started by hand.
"""
import argparse
import copy
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

import torch
from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import CheckpointLoader, Runner, set_random_seed
from torch import Tensor

from mmpixsort.utils.command import quiet_hosts
from mmpixsort.utils.data_folders import check_data_folders
from mmpixsort.utils.files import write_whole
from mmpixsort.utils.reading import read_json, read_tensors, reading
from mmpixsort.utils.wrapped import unwrap

from .plan import (Arm, Place, Study, config_of_test, find_scorer, read_study,
                   run_config, scoring_hash, training_hash)
from .results import Results
from .train_hook import StudyHook, write_progress

BUSY = os.EX_TEMPFAIL  # exit code if another process executes the run
PACKAGES = ('torch', 'numpy', 'cv2', 'mmengine', 'mmcv', 'mmseg', 'mmdet',
            'mmpixsort')


class Busy(RuntimeError):
    """Error that is raised if another process executes the run."""


def work_dir(study: Study, arm: Arm, seed: int, trained: str) -> Path:
    """Return the work directory of a run, which depends on its config."""
    return Path('work_dirs', 'studies', study.name,
                f'{arm.name}_seed{seed}_{trained}')


def run(study: Study, arm: Arm, seed: int, place: Place) -> None:
    """Train and test one run, and write its result.

    Steps that an interrupted process has completed are not repeated.

    Raises:
        Busy: If another process executes this run.
    """
    cfg = run_config(study, arm, seed, place)
    folder = work_dir(study, arm, seed, training_hash(cfg))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / 'lock', timeout=0):
            try:
                _run(study, arm, seed, place, cfg, folder)
            except Exception:
                write_progress(folder / 'progress.json', phase='failed')
                raise
    except Timeout:
        raise Busy(f'another process executes arm {arm.name!r}, seed {seed}, '
                   f'in {folder}') from None


def _run(study: Study, arm: Arm, seed: int, place: Place, cfg: Config,
         folder: Path) -> None:
    cfg.work_dir = str(folder)
    check_data_folders(cfg, 'train', study.split)
    trained = folder / 'trained.json'
    if not trained.exists():
        initial = folder / 'initial.pth'
        if not initial.exists():
            save_initial(cfg, reference_weights(study, seed, place), initial)
        report = train(cfg, initial, folder)
        write_whole(trained, json.dumps(report))
    weights = folder / 'weights.pth'
    if not weights.exists():
        average_checkpoints(_newest(folder, study.average['last']), weights)
    results = Results(study.results)
    record = dict(
        study=study.name,
        arm=arm.name,
        seed=seed,
        config=_short(arm.config),
        options=dict(study.options, **arm.options),
        config_hash=training_hash(cfg),
        average=study.average['last'],
        command=command(study, arm, seed, place),
        **_circumstances(),
        **json.loads(trained.read_text()),
        tests={})
    for name, options in arm.tests.items():
        test_cfg = config_of_test(cfg, options, study.split)
        write_progress(folder / 'progress.json', phase=f'test {name}')
        record['tests'][name] = _test_once(
            test_cfg, weights, folder / f'test_{name}', options,
            scoring_hash(test_cfg, study.average['last']))
    results.write(record)


def _test_once(cfg: Config, weights: Path, folder: Path, options: dict,
               scored: str) -> dict:
    """Return the entry of a test in the result, from its file if it was run.

    Args:
        cfg: Config of the test.
        weights: Path of the weights.
        folder: Folder of the test, with its file `scores.json`.
        options: Options of the test.
        scored: Hash of the settings of the test.
    """
    path = folder / 'scores.json'
    # weights that were made again need a new test
    if path.exists() and (
            path.stat().st_mtime_ns > weights.stat().st_mtime_ns):
        entry = read_json(path, 'the scores of a test')
        if entry['hash'] == scored:
            return entry
    start = time.time()
    scores = test(cfg, weights, folder, find_scorer(options))
    entry = dict(
        options=options,
        hash=scored,
        minutes=round((time.time() - start) / 60, 2),
        scores=scores)
    write_whole(path, json.dumps(entry))
    return entry


def reference_weights(study: Study, seed: int,
                      place: Place) -> Dict[str, Tensor]:
    """Return the initial weights of the baseline for a seed."""
    cfg = run_config(study, study.arms[study.baseline], seed, place)
    scope = cfg.get('default_scope', 'mmengine')
    set_random_seed(seed)
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(copy.deepcopy(cfg.model))
        model.init_weights()
    return model.state_dict()


def save_initial(cfg: Config, reference: Dict[str, Tensor],
                 out: Path) -> None:
    """Write the initial weights of a run.

    Args:
        cfg: Config of the run. If it has `load_from`, the weights in that
            file replace those of `reference`.
        reference: Initial weights of the baseline.
        out: Path of the file to write. It may contain parameters that the
            model of the run does not have, which are ignored.
    """
    state = dict(reference)
    if cfg.get('load_from'):
        with reading(cfg.load_from, 'a checkpoint'):
            loaded = CheckpointLoader.load_checkpoint(
                cfg.load_from, map_location='cpu')
            state.update(loaded.get('state_dict', loaded))
    _save(dict(state_dict=state), out)


def _save(content: dict, out: Path) -> None:
    temporary = out.with_name(f'.{out.name}')
    torch.save(content, temporary)
    os.replace(temporary, out)


def train(cfg: Config, initial: Path, folder: Path) -> dict:
    """Train from `initial`, or resume from the newest valid checkpoint.

    Returns:
        Hashes of the initial weights and of the images, time and memory.
    """
    cfg = copy.deepcopy(cfg)
    # a study scores the weights at the end only, so there is no validation
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.experiment_name = f'{folder.name}_{time.time_ns()}'
    checkpoint = newest_checkpoint(folder)
    cfg.resume = checkpoint is not None
    cfg.load_from = str(checkpoint or initial)
    hook = StudyHook(
        seed=cfg.randomness.seed, progress=folder / 'progress.json')
    runner = Runner.from_cfg(cfg)
    runner.register_hook(hook)
    runner.train()
    return dict(
        hook.state,
        step_ms=round(1e3 * hook.step_time(), 1),
        memory_mb=_peak_memory(),
        parameters=sum(p.numel() for p in unwrap(runner.model).parameters()))


def _newest(folder: Path, count: int) -> List[Path]:
    """Return the newest checkpoints of a folder, the newest last."""
    def number(path: Path) -> int:
        return int(path.stem.split('_')[-1])

    paths = [*folder.glob('iter_*.pth'), *folder.glob('epoch_*.pth')]
    return sorted(paths, key=number)[-count:]


def newest_checkpoint(folder: Path) -> Optional[Path]:
    """Return the newest valid checkpoint of a folder, or None.

    A checkpoint is truncated if the machine stopped while mmengine wrote it.
    Such a file is deleted, and the one before it is returned.
    """
    for path in reversed(_newest(folder, 1 << 30)):
        try:
            read_tensors(path, 'a checkpoint')
        except ValueError as error:
            print_log(f'{error}: an older checkpoint is used', 'current')
            path.unlink()
        else:
            return path
    return None


def average_checkpoints(paths: List[Path], out: Path) -> None:
    """Write the mean of the weights of several checkpoints.

    Parameters and normalisation statistics are averaged. Everything else,
    such as counters and memory banks, is taken from the last checkpoint.

    Args:
        paths: Checkpoints of one run, the newest last.
        out: Path of the file to write.
    """
    states = [
        read_tensors(path, 'a checkpoint')['state_dict']
        for path in paths
    ]
    mean = dict(states[-1])
    for name, value in mean.items():
        if value.is_floating_point() and '.bank.' not in name:
            mean[name] = sum(s[name].double() for s in states).div_(
                len(states)).to(value.dtype)
    _save(dict(state_dict=mean, meta=dict(averaged=len(paths))), out)


def test(cfg: Config,
         weights: Path,
         folder: Path,
         scorer: Optional[Callable] = None) -> Dict[str, float]:
    """Score the trained weights, with the Runner or with a function."""
    cfg.work_dir = str(folder)
    if scorer is not None:
        return {name: float(value)
                for name, value in scorer(cfg, weights).items()}
    cfg.load_from, cfg.resume = str(weights), False
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.experiment_name = f'{folder.name}_{time.time_ns()}'
    metrics = Runner.from_cfg(cfg).test()
    return {name: float(value) for name, value in metrics.items()}


def _peak_memory() -> float:
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


def _circumstances() -> dict:
    """Return the versions, the device, the commit and the date of a run."""
    versions = dict(python=platform.python_version())
    for name in PACKAGES:
        module = sys.modules.get(name)
        if module is not None:
            versions[name] = getattr(module, '__version__', '')
    device = (torch.cuda.get_device_name() if torch.cuda.is_available() else
              f'CPU, {torch.get_num_threads()} threads')
    return dict(
        versions=versions, device=device, commit=_commit(),
        date=time.strftime('%Y-%m-%d'))


def _commit() -> Optional[str]:
    """Return the commit of this checkout, with a + if it has changes."""
    done = subprocess.run(
        ['git', 'describe', '--always', '--dirty=+', '--exclude=*'],
        cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or None


def _short(config: str) -> str:
    """Return a path relative to the checkout."""
    path = Path(config)
    parts = path.parts
    return str(Path(*parts[parts.index('configs'):])
               ) if 'configs' in parts else path.name


def command(study: Study, arm: Arm, seed: int, place: Place) -> str:
    """Return the command that repeats a run, without local paths."""
    words = ['tools/study.py', 'run', _short(str(study.path.resolve())),
             '--arms', arm.name, '--seeds', str(seed)]
    if place.data is not None:
        words += ['--data', 'DATA']
    if place.weights is not None:
        words += ['--weights', Path(place.weights).name]
    return shlex.join(['python', *words])


def parse_args(argv: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('study')
    parser.add_argument('--arm', required=True)
    parser.add_argument('--seed', type=int, required=True)
    parser.add_argument('--data')
    parser.add_argument('--weights')
    parser.add_argument(
        '--tied', action='store_true',
        help='end this process when its standard input is closed, which '
             'happens when the process that started it ends')
    return parser.parse_args(argv)


def main() -> None:
    quiet_hosts()
    args = parse_args()
    if args.tied:
        threading.Thread(target=_end_with_input, daemon=True).start()
    study = read_study(args.study)
    try:
        run(study, study.arms[args.arm], args.seed,
            Place(args.data, args.weights))
    except Busy as error:
        print(error)
        sys.exit(BUSY)


def _end_with_input() -> None:
    """End this process when its standard input is closed.

    This also happens if the process at the other end was killed.
    """
    # a buffered read would hold a lock that a normal exit waits for
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == '__main__':
    main()
