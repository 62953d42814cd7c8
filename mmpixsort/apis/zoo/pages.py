"""Tables of the models of the zoo in Markdown pages, between marks."""
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Dict, List, Sequence

import yaml

from mmpixsort.utils.files import write_whole
from mmpixsort.utils.reading import read_text

from .index import FOLDER, ZooModel, read_models

BLOCK = re.compile(
    r'(<!-- (?P<kind>zoo|terms of the zoo): (?P<pattern>\S+) -->\n).*?'
    r'(<!-- end of zoo -->)', re.DOTALL)
TERMS = 'terms.yml'
HEAD = ('model', 'task', 'data', 'seed', 'scores', 'files', 'MB')


def fill_page(text: str, folder: Path, root: Path) -> str:
    """Return a page with the tables of the zoo updated.

    A table of trained models lies between ``<!-- zoo: PATTERN -->`` and
    ``<!-- end of zoo -->``; the pattern is one of names of models. The terms
    of their data lie after ``<!-- terms of the zoo: PATTERN -->``.

    Args:
        text: Text of the page.
        folder: Folder of the page.
        root: Root of the checkout.
    """
    models = [m for m in read_models(root).values() if m.weights]

    def fill(match) -> str:
        chosen = [m for m in models if fnmatchcase(m.name, match['pattern'])]
        write = _table if match['kind'] == 'zoo' else _terms
        return f'{match[1]}\n{write(chosen, folder, root)}\n{match[4]}'

    return BLOCK.sub(fill, text)


def update_pages(root: Path) -> List[Path]:
    """Update the pages of the zoo and of the methods.

    Returns:
        The paths of the pages that changed.
    """
    changed = []
    for page in zoo_pages(root):
        text = read_text(page, 'a page')
        new = fill_page(text, page.parent, root)
        if new != text:
            write_whole(page, new)
            changed.append(page)
    return changed


def zoo_pages(root: Path) -> List[Path]:
    """Return the pages with tables of the zoo."""
    return [root / FOLDER / 'README.md',
            *sorted((root / 'configs').glob('*/README.md'))]


def _table(models: Sequence[ZooModel], folder: Path, root: Path) -> str:
    if not models:
        return 'None yet.\n'
    lines = [_line(HEAD), '|---' * len(HEAD) + '|']
    for model in models:
        files = [('weights', model.weights), ('bank', model.bank)]
        links = [_link(name, root / file.address, folder)
                 for name, file in files if file]
        links.append(_link('log', root / model.log, folder))
        size = sum(file.size for file in model.files())
        lines.append(_line((
            _link(model.name, root / model.config, folder),
            model.task.split()[0].lower(), model.data, str(model.seed),
            ', '.join(f'{value:.{_digits(value)}f} {name}'
                      for name, value in model.scores.items()),
            ', '.join(links), f'{size / 1e6:.1f}')))
    total = sum(file.size for model in models for file in model.files())
    lines += ['', f'All files together: {total / 1e6:.1f} MB.', '']
    return '\n'.join(lines)


def _digits(value: float) -> int:
    return 4 if abs(value) < 1 else 2  # some metrics are shares


def _line(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'


def _link(text: str, path: Path, folder: Path) -> str:
    return f'[{text}]({Path(os.path.relpath(path, folder)).as_posix()})'


def read_terms(root: Path) -> Dict[str, str]:
    """Return the terms of data and of initial weights by name."""
    return yaml.safe_load(read_text(root / FOLDER / TERMS, 'YAML'))


def _terms(models: Sequence[ZooModel], folder: Path, root: Path) -> str:
    terms = read_terms(root)
    lines = []
    for data in dict.fromkeys(model.data for model in models):
        names = [f'`{m.name}`' for m in models if m.data == data]
        lines.append(f'- **{data}** ({", ".join(names)}): {terms[data]}')
    return '\n'.join(lines or ['None yet.']) + '\n'
