"""Write the row of a trained model into the metafile of its method."""
from pathlib import Path
from typing import Dict

import yaml

from mmpixsort.utils.files import write_whole
from mmpixsort.utils.reading import read_text, reading

# order of the entries of a row, and of its metadata
ROW = ('Name', 'In Collection', 'Config', 'Metadata', 'Results',
       'Training Log', 'Weights')
WIDTH = 1 << 16  # no line is broken


def update_row(path: Path, name: str, *, metadata: dict, task: str,
               data: str, metrics: Dict[str, float], weights: str,
               log: str) -> None:
    """Write what a training gave into the row of its config.

    Comments at the beginning of the file stay, and so do all other rows.

    Args:
        path: Path of the metafile.
        name: Name of the row.
        metadata: Entries of `Metadata` to set; None removes one.
        task: Task of the result.
        data: Name of the data of the result.
        metrics: Scores.
        weights: Path of the weights below the checkout.
        log: Path of the log below the checkout.

    Raises:
        ValueError: If the metafile has no such row.
    """
    text = read_text(path, 'a metafile')
    with reading(path, 'a metafile'):
        content = yaml.safe_load(text)
    rows = {row['Name']: row for row in content['Models']}
    if name not in rows:
        raise ValueError(f'{str(path)!r} must have a row named {name!r}: add '
                         'its name, collection, config, training data, batch '
                         'size, architecture and state')
    row = rows[name]
    row['Metadata'].update(metadata)
    for key in [k for k, v in row['Metadata'].items() if v is None]:
        del row['Metadata'][key]
    row['Results'] = [dict(Task=task, Dataset=data, Metrics=metrics)]
    row['Training Log'], row['Weights'] = log, weights
    content['Models'] = [
        {key: r[key] for key in (*ROW, *sorted(set(r) - set(ROW))) if key in r}
        for r in content['Models']
    ]
    write_whole(path, _comments(text) + yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True, width=WIDTH))


def _comments(text: str) -> str:
    lines = text.splitlines(keepends=True)
    count = next((i for i, line in enumerate(lines)
                  if not line.startswith('#')), len(lines))
    return ''.join(lines[:count])
