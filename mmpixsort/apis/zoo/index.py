"""Index of the models: what the metafiles of the configs say.

Every config that is offered has a row in the `metafile.yml` of its method.
`Metadata.State` of a row is one of `STATES`. A trained row names the file of
its weights (`Weights`), its log (`Training Log`) and perhaps a bank of
prototypes (`Metadata.Bank`), each with its size and SHA-256.
"""
import difflib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import yaml

import mmpixsort
from mmpixsort.utils.reading import read_text, reading

STATES = ('trained', 'trained, no checkpoint', 'not trained', 'not run')
FOLDER = 'model_zoo'


class ZooFile(NamedTuple):
    """A file of the zoo.

    Attributes:
        address: Path below the checkout, such as ``model_zoo/x.pth``, or a
            URL.
        sha256: SHA-256 of the file, in hex.
        size: Size of the file in bytes.
    """

    address: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """Name of the file without its folder."""
        return self.address.rpartition('/')[2]


class ZooModel(NamedTuple):
    """A row of a metafile.

    Attributes:
        name: Name of the model, which is that of its config.
        method: Name of the collection.
        task: Task, such as 'Semantic Segmentation'.
        data: Name of the training data.
        config: Path of the config below the checkout.
        state: One of `STATES`.
        seed: Seed of the training of the weights, or None.
        scores: Dict from each metric to its score with these weights.
        weights: File of the weights, or None.
        bank: File of the bank of prototypes, or None.
        log: Path of the log below the checkout, or ''.
    """

    name: str
    method: str
    task: str
    data: str
    config: str
    state: str
    seed: Optional[int]
    scores: Dict[str, float]
    weights: Optional[ZooFile]
    bank: Optional[ZooFile]
    log: str

    def files(self) -> Tuple[ZooFile, ...]:
        """Return the files to download, the weights first."""
        return tuple(file for file in (self.weights, self.bank) if file)


def zoo_root() -> Path:
    """Return the folder with `model-index.yml`: a checkout, or `.mim`."""
    package = Path(mmpixsort.__path__[0])
    checkout = package.parent
    if (checkout / 'model-index.yml').is_file() and (
            checkout / 'configs').is_dir():
        return checkout
    return package / '.mim'


def read_models(root: Optional[Path] = None) -> Dict[str, ZooModel]:
    """Return all rows of the metafiles by name, in their order.

    Args:
        root: Folder with `model-index.yml`; by default :func:`zoo_root`.

    Raises:
        FileNotFoundError: If the index is missing.
        ValueError: If it or a metafile cannot be read.
    """
    root = zoo_root() if root is None else root
    index = root / 'model-index.yml'
    if not index.is_file():
        raise FileNotFoundError(
            f'the index of the model zoo {str(index)!r} does not exist: pip '
            'install -e . in a clone, or install the wheel again')
    with reading(index, 'an index of metafiles'):
        paths = yaml.safe_load(read_text(index, 'YAML'))['Import']
    models = {}
    for path in paths:
        with reading(root / path, 'a metafile of models'):
            models.update(_rows(yaml.safe_load(read_text(
                root / path, 'YAML'))))
    return models


def _rows(metafile: dict) -> Dict[str, ZooModel]:
    tasks = {
        collection['Name']: collection['Metadata']['Task']
        for collection in metafile['Collections']
    }
    return {row['Name']: _row(row, tasks) for row in metafile['Models']}


def _row(row: dict, tasks: Dict[str, str]) -> ZooModel:
    meta = row['Metadata']
    weights = bank = None
    if 'Weights' in row:
        weights = ZooFile(row['Weights'], meta['SHA256'], meta['Bytes'])
    if 'Bank' in meta:
        bank = ZooFile(meta['Bank'], meta['Bank SHA256'], meta['Bank Bytes'])
    scores = {}
    for result in row.get('Results', []):
        scores.update(result['Metrics'])
    return ZooModel(
        name=row['Name'],
        method=row['In Collection'],
        task=tasks[row['In Collection']],
        data=meta['Training Data'],
        config=row['Config'],
        state=meta['State'],
        seed=meta.get('Seed'),
        scores=scores,
        weights=weights,
        bank=bank,
        log=row.get('Training Log', ''))


def list_models(pattern: str = '*',
                *,
                task: Optional[str] = None,
                trained: Optional[bool] = None) -> List[str]:
    """Return the names of the models of the zoo.

    Args:
        pattern: Pattern with the wildcards ``*`` and ``?``; without any, a
            part of the name.
        task: Task, or its first word: 'semantic', 'instance', 'panoptic'.
            None lists all.
        trained: Whether there must be trained weights, or must not be. None
            lists both.

    Raises:
        ValueError: If no model has such a task.

    Example:
        >>> list_models('segsort*street-scenes')
        ['segsort_fcn-mnv2_1xb4-600it_street-scenes']
    """
    models = read_models().values()
    tasks = sorted({model.task for model in models})
    if task is not None and not any(_has_task(t, task) for t in tasks):
        raise ValueError(f'`task` must be one of {tasks} or its first word, '
                         f'got {task!r}')
    if not set(pattern) & set('*?['):
        pattern = f'*{pattern}*'
    return [
        model.name for model in models if fnmatchcase(model.name, pattern)
        and (task is None or _has_task(model.task, task))
        and (trained is None or trained == (model.weights is not None))
    ]


def _has_task(task: str, wanted: str) -> bool:
    return wanted.lower() in (task.lower(), task.lower().split()[0])


def find_model(name: str) -> ZooModel:
    """Return the row of a model.

    Args:
        name: Name of the model. The ending ``.py`` of its config may follow.

    Raises:
        ValueError: If there is no such model; the error names the nearest.

    Example:
        >>> find_model('segsort_fcn-mnv2_1xb4-600it_street-scenes').task
        'Semantic Segmentation'
    """
    models = read_models()
    found = models.get(str(name).removesuffix('.py'))
    if found is not None:
        return found
    near = difflib.get_close_matches(str(name), models, n=3, cutoff=.4)
    raise ValueError(
        f'`name` must be a model of the zoo, got {name!r}'
        + (f'; the nearest are {", ".join(near)}' if near else '')
        + '; `list_models()` and tools/download.py --list name all of them')


def trained_model(name: str) -> ZooModel:
    """Return the row of a model that has trained weights.

    Raises:
        ValueError: If there is no such model, or no weights of it.
    """
    model = find_model(name)
    if model.weights is None:
        others = [other.name for other in read_models().values()
                  if other.method == model.method and other.weights]
        raise ValueError(
            f'{model.name!r} has no trained weights in the zoo (its state: '
            f'{model.state}). '
            + (f'Trained models of {model.method}: {", ".join(others)}'
               if others else f'No model of {model.method} has any')
            + f'. Train it with: python tools/train.py {model.config}')
    return model
