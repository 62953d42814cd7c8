"""Read and write the file of results, which grows case by case."""
import json
from pathlib import Path
from typing import Dict, Optional

from mmpixsort.utils.files import write_whole

FORMAT = 1
# properties that all results in one file must share
SAME = ('device', 'cpu', 'instructions', 'python', 'versions')


def new_results(machine: Dict) -> Dict:
    """Return results without any case."""
    return dict(format=FORMAT, machine=machine, cases={})


def read_results(path: Path) -> Dict:
    """Read a file of results.

    Raises:
        ValueError: If it is not such a file.
    """
    try:
        data = json.loads(Path(path).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{str(path)!r} must be a file of results, but is '
                         f'no JSON: {error}') from error
    if not isinstance(data, dict) or data.get('format') != FORMAT:
        raise ValueError(
            f'{str(path)!r} must be a file of results of format {FORMAT}, '
            'which `python -m benchmarks --out` writes')
    return data


def open_results(path: Optional[Path], machine: Dict, fresh: bool) -> Dict:
    """Return the results that a run continues with, or new ones.

    Args:
        path: Path of the file; None keeps no results.
        machine: Description of this machine.
        fresh: Whether to discard results of another machine.

    Raises:
        ValueError: If the results are of another machine and `fresh` is
            False.
    """
    if path is None or not Path(path).exists():
        return new_results(machine)
    results = read_results(path)
    other = [key for key in SAME
             if results['machine'].get(key) != machine.get(key)]
    if not other:
        return results
    if fresh:
        return new_results(machine)
    raise ValueError(
        f'{str(path)!r} has results of another machine ({", ".join(other)} '
        'differ): choose another `--out`, or start anew with `--fresh`')


def is_done(results: Dict, name: str, code: Optional[str],
            settings: Dict) -> bool:
    """Return whether a case was measured with this code and these settings.

    A case with a refused measurement is not done.
    """
    entry = results['cases'].get(name)
    return (entry is not None and code is not None and entry['code'] == code
            and entry['settings'] == settings and not refused(entry))


def refused(entry: Dict) -> Dict[str, float]:
    """Return the controls of refused measurements, by setup and pages."""
    return {
        f'{setup["name"]}, {pages} pages': times['refused']
        for setup in entry['setups']
        for pages, times in setup['pages'].items() if 'refused' in times
    }


def write_results(path: Path, results: Dict) -> None:
    """Write the file, completely or not at all."""
    write_whole(path, json.dumps(results, indent=1, allow_nan=False) + '\n')
