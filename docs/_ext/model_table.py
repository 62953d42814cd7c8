"""Sphinx extension: the directive `model-table METHOD` lists its configs.

The rows are those of `configs/METHOD/metafile.yml`, so that the table on the
site always agrees with what `mim search` and the model zoo show.
"""
from pathlib import Path

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

ROOT = Path(__file__).resolve().parents[2]
HEADS = ('config', 'data', 'architecture', 'state', 'scores')


def model_rows(method: str) -> list:
    """Return a row of Markdown cells for each config of a metafile.

    Args:
        method: Name of the folder below `configs`.
    """
    path = ROOT / 'configs' / method / 'metafile.yml'
    models = yaml.safe_load(path.read_text(encoding='utf-8'))['Models']
    return [_cells(model) for model in models]


def _cells(model: dict) -> tuple:
    about = model.get('Metadata') or {}
    scores = [
        f'{name} {value}' for result in model.get('Results') or ()
        for name, value in (result.get('Metrics') or {}).items()
    ]
    return (f'[{model["Name"]}](/{model["Config"]})',
            _text(about.get('Training Data')),
            _text(about.get('Architecture')), _text(about.get('State')),
            ', '.join(scores))


def _text(value) -> str:
    if isinstance(value, (list, tuple)):
        return ', '.join(map(str, value))
    return '' if value is None else str(value)


def table(method: str) -> str:
    """Return the table of a method as Markdown."""
    rows = [HEADS, ('---', ) * len(HEADS), *model_rows(method)]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


class ModelTable(Directive):
    """Insert the table of the method that the argument names."""

    required_arguments = 1

    def run(self) -> list:
        method = self.arguments[0]
        env = self.state.document.settings.env
        env.note_dependency(
            str(ROOT / 'configs' / method / 'metafile.yml'))
        place = nodes.container()
        lines = table(method).splitlines()
        self.state.nested_parse(
            StringList(lines, method), self.content_offset, place)
        return place.children


def setup(app) -> dict:
    """Register the directive with Sphinx."""
    app.add_directive('model-table', ModelTable)
    return dict(parallel_read_safe=True)
