"""Rows of the metafiles of the configs as a table in Markdown."""
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HEADS = ('config', 'data', 'architecture', 'state', 'scores')


def metafile(method: str) -> Path:
    """Return the path of the metafile of a folder below `configs`."""
    return ROOT / 'configs' / method / 'metafile.yml'


def model_rows(method: str) -> list:
    """Return a row of Markdown cells for each config of a metafile.

    Args:
        method: Name of the folder below `configs`.
    """
    text = metafile(method).read_text(encoding='utf-8')
    models = yaml.safe_load(text)['Models']
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
