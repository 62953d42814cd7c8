"""Read and write the results of a study, one JSON file per arm and seed."""
import json
import math
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

from mmpixsort.utils.files import write_whole
from mmpixsort.utils.reading import read_json, reading

from .train_hook import same_weights

DIGITS = 4  # decimal places of stored scores


class Results:
    """The result files of a study.

    Args:
        folder: Folder of the files; it is created when the first is written.
    """

    def __init__(self, folder: Union[str, Path]) -> None:
        self.folder = Path(folder)

    def path(self, arm: str, seed: int) -> Path:
        """Return the path of the result of a run."""
        return self.folder / f'{arm}_seed{seed}.json'

    def write(self, record: dict) -> None:
        """Write one result, completely or not at all."""
        text = json.dumps(_plain(record), indent=1)
        write_whole(self.path(record['arm'], record['seed']), text + '\n')

    def read(self, arm: str, seed: int) -> Optional[dict]:
        """Return the result of a run, or None if there is none.

        Raises:
            ValueError: If the file is not a result.
        """
        path = self.path(arm, seed)
        if not path.is_file():
            return None
        what = 'the result of a run (remove it to run again)'
        with reading(path, what):
            record = read_json(path, what)
            record['tests'], record['config_hash']
        return record

    def finished(self, arm: str, seed: int, config_hash: str,
                 tests: Dict[str, str]) -> bool:
        """Return whether a run has a result for this config and these tests.

        Args:
            arm: Name of the arm.
            seed: Seed of the run.
            config_hash: Hash of the config of the training.
            tests: Dict from the name of each test to its hash.
        """
        record = self.read(arm, seed)
        return record is not None and (
            record['config_hash'] == config_hash
            and tests == {n: t['hash'] for n, t in record['tests'].items()})


def _plain(value):
    """Convert a value to JSON types with rounded numbers.

    NaN and infinity, which JSON does not have, become None.
    """
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


class ResultRow(NamedTuple):
    """A row of the table of a study: results of an arm and a test.

    Attributes:
        name: Name of the arm, followed by the name of the test if the arm
            has several tests.
        arm: Name of the arm.
        test: Name of the test.
        records: Dict from each seed to the result of its run.
    """

    name: str
    arm: str
    test: str
    records: Dict[int, dict]

    def scores(self, metric: str) -> Dict[int, float]:
        """Return the score of every seed, in the unit of the metric."""
        found = {}
        for seed, record in self.records.items():
            value = record['tests'][self.test]['scores'].get(metric)
            if value is not None:
                found[seed] = value
        return found


def rows(study) -> List[ResultRow]:
    """Return the rows of the table of a study, one per arm and test.

    A row without results has no `records`.

    Args:
        study: A :class:`Study`.

    Raises:
        ValueError: If results of one arm come from different configs.
    """
    results = Results(study.results)
    found = []
    for arm in study.arms.values():
        records = {seed: results.read(arm.name, seed) for seed in arm.seeds}
        records = {s: r for s, r in records.items() if r is not None}
        hashes = {r['config_hash'] for r in records.values()}
        if len(hashes) > 1:
            raise ValueError(
                f'results of arm {arm.name!r} come from {len(hashes)} '
                'configs; run the study again, or remove the old files in '
                f'{results.folder}')
        for test in arm.tests:
            here = {s: r for s, r in records.items() if test in r['tests']}
            name = arm.name if len(arm.tests) == 1 else f'{arm.name}, {test}'
            found.append(ResultRow(name, arm.name, test, here))
    return found


def unequal(study) -> List[Tuple[str, int, str]]:
    """Return the runs whose initial weights or images are not the baseline's.

    Args:
        study: A :class:`Study`.

    Returns:
        Tuples of the arm, the seed, and what differs from the run of the
        baseline with this seed: 'weights' (the initial ones) or 'images'.
    """
    results = Results(study.results)
    found = []
    for arm in study.arms.values():
        for seed in arm.seeds:
            own = results.read(arm.name, seed)
            base = results.read(study.baseline, seed)
            if own is None or base is None or own is base:
                continue
            if not same_weights(base['initial_weights'],
                                own['initial_weights']):
                found.append((arm.name, seed, 'weights'))
            if base['images'] != own['images']:
                found.append((arm.name, seed, 'images'))
    return found
