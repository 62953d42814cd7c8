"""Run a study with one process per arm and seed, several of them at a time."""
import os
import shlex
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import (Collection, Dict, List, NamedTuple, Optional, Sequence,
                    Tuple)

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mmpixsort.utils.data_folders import check_data_folders

from .plan import (Arm, Place, Study, config_of_test, run_config, scoring_hash,
                   training_hash)
from .results import Results, unequal
from .table import standing_of, table
from .worker import BUSY, work_dir

POLL = 1.  # seconds between two checks of the processes
TAIL = 12  # number of log lines that are shown for a failed run
# By default glibc returns large memory blocks to the system in every step and
# requests them again, which takes a fifth of the time of a small network.
MALLOC = dict(
    MALLOC_MMAP_THRESHOLD_=str(1 << 33),
    MALLOC_TRIM_THRESHOLD_=str(1 << 34),
    MALLOC_TOP_PAD_=str(1 << 28))
# OpenCV 4.14 rounds colours differently on CPUs with AVX-512, so that arms
# which are trained on different machines would see different images.
OPENCV_CPU_DISABLE = 'AVX512-SKX'


class Job(NamedTuple):
    """A run that has no valid result yet.

    Attributes:
        arm: Arm of the run.
        seed: Seed of the run.
        folder: Work directory of the run.
    """

    arm: Arm
    seed: int
    folder: Path


def select(study: Study,
           arms: Optional[Sequence[str]] = None,
           seeds: Optional[Sequence[int]] = None) -> Study:
    """Return the study restricted to some of its arms and seeds.

    Args:
        study: Study to restrict.
        arms: Names of arms; None keeps all.
        seeds: Seeds, which may differ from those in the file; None keeps
            those of the file.

    Raises:
        ValueError: If an arm does not exist.
    """
    unknown = sorted(set(arms or ()) - set(study.arms))
    if unknown:
        raise ValueError(f'arms must be among {", ".join(study.arms)}, got '
                         f'{", ".join(unknown)}')
    chosen = {
        name: arm if seeds is None else arm._replace(seeds=tuple(seeds))
        for name, arm in study.arms.items() if not arms or name in arms
    }
    return study._replace(arms=chosen)


def jobs(study: Study,
         whole: Study,
         place: Place,
         *,
         check: bool = False) -> List[Job]:
    """Return the runs that have no result for their present config.

    Args:
        study: Study with the arms and seeds to run.
        whole: Complete study, including its baseline.
        place: Locations of data and weights.
        check: Whether to check that the data of all arms exist.

    Raises:
        FileNotFoundError: If data do not exist.
    """
    results, found = Results(study.results), []
    for arm, seed in study.runs():
        cfg = run_config(whole, arm, seed, place)
        if check:
            check_data_folders(cfg, 'train', study.split)
        trained = training_hash(cfg)
        tests = {
            name: scoring_hash(
                config_of_test(cfg, options, study.split),
                study.average['last'])
            for name, options in arm.tests.items()
        }
        if not results.finished(arm.name, seed, trained, tests):
            found.append(Job(arm, seed, work_dir(study, arm, seed, trained)))
    return found


def command(study: Study, job: Job, place: Place) -> List[str]:
    """Return the command that executes a run."""
    words = [sys.executable, '-W', 'ignore', '-m',
             'mmpixsort.apis.study.worker', str(study.path), '--arm',
             job.arm.name, '--seed', str(job.seed)]
    for name in ('data', 'weights'):
        value = getattr(place, name)
        words += [] if value is None else [f'--{name}', str(value)]
    return words


def environment(num_jobs: int, gpu: Optional[str]) -> Dict[str, str]:
    """Return environment variables for a run, with its cores and its GPU."""
    cores = len(os.sched_getaffinity(0))
    threads = str(max(1, cores // num_jobs))
    env = dict(MALLOC, OPENCV_CPU_DISABLE=OPENCV_CPU_DISABLE)
    # With PASSIVE, a waiting thread does not occupy a core. If all cores are
    # busy, this halves the time of a step.
    env['OMP_WAIT_POLICY'] = 'PASSIVE'
    env.update(os.environ)
    env['OMP_NUM_THREADS'] = os.environ.get('OMP_NUM_THREADS', threads)
    if gpu is not None:
        env['CUDA_VISIBLE_DEVICES'] = gpu
    return env


def dry_run(study: Study, place: Place, todo: Sequence[Job],
            num_jobs: int) -> str:
    """Return the commands that `run_study` would start, one per line."""
    env = environment(num_jobs, None)
    head = f'OMP_NUM_THREADS={env["OMP_NUM_THREADS"]}'
    return '\n'.join(f'{head} {shlex.join(command(study, job, place))}'
                     for job in todo)


def run_study(study: Study,
              *,
              arms: Optional[Sequence[str]] = None,
              seeds: Optional[Sequence[int]] = None,
              num_jobs: int = 1,
              gpus: Sequence[str] = (),
              place: Place = Place(),
              console: Optional[Console] = None) -> List[Job]:
    """Run all runs of a study that have no valid result yet.

    A failed run does not stop the others.

    Args:
        study: Study to run.
        arms: Names of the arms to run; None runs all.
        seeds: Seeds to run; None runs those of the file.
        num_jobs: Number of runs at a time, which share the cores.
        gpus: Ids of GPUs that are assigned to the runs in turn. If it is
            empty, CUDA_VISIBLE_DEVICES is not changed.
        place: Locations of data and weights.
        console: Console on which the table is shown.

    Returns:
        The runs that failed.

    Raises:
        ValueError: If an arm does not exist.
    """
    console = console or Console()
    chosen = select(study, arms, seeds)
    todo = deque(jobs(chosen, study, place, check=True))
    slots: Dict[int, tuple] = {}
    failed: List[Job] = []

    open_runs = {(job.arm.name, job.seed) for job in todo}

    live = Live(console=console, refresh_per_second=1,
                transient=False) if console.is_terminal else None
    try:
        if live:
            live.start()
        while todo or slots:
            for slot in range(num_jobs):
                if slot not in slots and todo:
                    job = todo.popleft()
                    gpu = gpus[slot % len(gpus)] if gpus else None
                    slots[slot] = job, _start(study, job, place, num_jobs,
                                              gpu)
                    if not live:
                        console.print(f'started {job.arm.name} seed '
                                      f'{job.seed}: {job.folder}/log.txt',
                                      soft_wrap=True)
            time.sleep(POLL)
            for slot, (job, process) in list(slots.items()):
                if process.poll() is None:
                    continue
                del slots[slot]
                if process.returncode == 0:
                    open_runs.remove((job.arm.name, job.seed))
                elif process.returncode != BUSY:
                    failed.append(job)
                console.print(_ending(job, process.returncode),
                              markup=False, highlight=False, soft_wrap=True)
            if live:
                live.update(_look(chosen, open_runs, failed))
    finally:
        for _, process in slots.values():
            process.stdin.close()  # a run ends when its input is closed
        for _, process in slots.values():
            process.wait()
        if live:
            live.stop()
        else:
            console.print(_look(chosen, open_runs, failed))
    for arm, seed, what in unequal(study):
        console.print(f'{arm} seed {seed}: other {what} than '
                      f'{study.baseline}')
    return failed


def status(study: Study, place: Place = Place()) -> Table:
    """Return a table of the states of all runs; see :func:`run_study`."""
    return _look(study, {(job.arm.name, job.seed)
                         for job in jobs(study, study, place)}, ())


def _look(study: Study, open_runs: Collection[Tuple[str, int]],
          failed: Sequence[Job]) -> Table:
    lost = {(job.arm.name, job.seed) for job in failed}
    return table(study, [
        standing_of(study, arm.name, seed, todo=open_runs, failed=lost)
        for arm, seed in study.runs()
    ])


def _start(study: Study, job: Job, place: Place, num_jobs: int,
           gpu: Optional[str]) -> subprocess.Popen:
    job.folder.mkdir(parents=True, exist_ok=True)
    with open(job.folder / 'log.txt', 'ab') as log:
        return subprocess.Popen(
            [*command(study, job, place), '--tied'], stdin=subprocess.PIPE,
            stdout=log, stderr=subprocess.STDOUT,
            env=environment(num_jobs, gpu))


def _ending(job: Job, code: int) -> str:
    """Return a message for a run that ended, with its log if it failed."""
    if code == 0:
        return f'finished {job.arm.name} seed {job.seed}'
    if code == BUSY:
        return (f'{job.arm.name} seed {job.seed} is left to another process, '
                'which is running it')
    lines = (job.folder / 'log.txt').read_text(errors='replace').splitlines()
    return '\n'.join([
        f'FAILED {job.arm.name} seed {job.seed} (exit code {code}), the last '
        f'lines of {job.folder}/log.txt:',
        *(f'    {line}' for line in lines[-TAIL:])
    ])
