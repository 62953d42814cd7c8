"""Read the file of a study, and make the config of each of its runs.

A study compares arms, which are ways to train. A run is the training of one
arm with one seed. A test is one way to score a run.
"""
import copy
import hashlib
import importlib
import json
from pathlib import Path
from typing import (Callable, Dict, Iterator, Mapping, NamedTuple, Optional,
                    Tuple, Union)

from mmengine.config import Config, ConfigDict

from mmpixsort.utils.configs import load_config

# keys in the file of a study, and keys of one of its arms
KEYS = ('base', 'arms', 'baseline', 'seeds', 'scores', 'options', 'tests',
        'split', 'average', 'hooks', 'results', 'title')
ARM_KEYS = ('config', 'options', 'tests', 'seeds')
SPLITS = ('val', 'test')
# keys of a config that do not influence the training
PLACES = ('data_root', 'work_dir', 'launcher', 'env_cfg', 'visualizer',
          'vis_backends', 'log_level', 'log_processor', 'resume', 'logger')
# hooks that observe the training and do not change it
WATCHERS = ('mmpixsort.MemoryBankHook',
            'mmpixsort.EmbeddingVisualizationHook')
# keys that say how a trained model is tested
TESTING = ('test_dataloader', 'test_evaluator', 'test_pipeline',
           'tta_pipeline', 'tta_model', 'test_cfg', 'val_dataloader',
           'val_evaluator', 'val_cfg')


class Arm(NamedTuple):
    """An arm of a study: one of the compared ways to train.

    Attributes:
        name: Name of the arm in tables.
        config: Path of the config, or ``package::folder/name.py``.
        options: Settings that override the config, as in ``--cfg-options``.
        tests: Dict from the name of each test to its options; see
            :func:`config_of_test`.
        seeds: Seeds of the runs.
    """

    name: str
    config: str
    options: dict
    tests: Dict[str, dict]
    seeds: Tuple[int, ...]


class Place(NamedTuple):
    """Locations of files on this machine, which do not affect training.

    Attributes:
        data: Folder that replaces `data_root` of the configs.
        weights: Checkpoint from which the backbone is initialised.
    """

    data: Optional[str] = None
    weights: Optional[str] = None


class Study(NamedTuple):
    """A paired comparison of arms.

    Attributes:
        path: Path of the file of the study.
        title: Title in reports, one sentence.
        arms: Arms by name, in the order of the tables.
        baseline: Name of the arm that the others are compared with.
        scores: Names of the metrics in the tables; the picture shows the
            first one.
        options: Settings that override the configs of all arms.
        split: Split that is scored, 'val' or 'test'.
        average: Dict with `last`, the number of checkpoints at the end of a
            run whose weights are averaged, and `interval`, the number of
            iterations (or epochs) between them; None is a twentieth of the
            run.
        hooks: Configs of hooks that are added to all arms.
        results: Folder of the result files.
    """

    path: Path
    title: str
    arms: Dict[str, Arm]
    baseline: str
    scores: Tuple[str, ...]
    options: dict
    split: str
    average: dict
    hooks: list
    results: Path

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return self.path.stem

    def runs(self) -> Iterator[Tuple[Arm, int]]:
        """Yield pairs of arm and seed, ordered by seed, baseline first."""
        # the baseline is missing if only some arms were selected
        arms = sorted(
            self.arms.values(), key=lambda arm: arm.name != self.baseline)
        for seed in sorted({s for arm in arms for s in arm.seeds}):
            yield from ((arm, seed) for arm in arms if seed in arm.seeds)


def read_study(path: Union[str, Path]) -> Study:
    """Read the file of a study.

    Args:
        path: Path of a Python config with the keys in `KEYS`; see
            ``docs/studies.md``. Names that start with an underscore are
            ignored.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If a key is unknown, missing or out of range.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'`study` must be a file, got {str(path)!r}, '
                                'which does not exist')
    content = {
        key: value
        for key, value in Config.fromfile(path)._cfg_dict.to_dict().items()
        if not key.startswith('_')
    }
    _check_keys('the study', content, KEYS)
    for key in ('base', 'arms', 'seeds', 'scores'):
        if not content.get(key):
            raise ValueError(f'the study {str(path)!r} must set `{key}`')
    tests = content.get('tests') or {'test': {}}
    arms = {
        name: _arm(name, arm or {}, content, tests, path)
        for name, arm in content['arms'].items()
    }
    baseline = content.get('baseline', next(iter(arms)))
    if baseline not in arms:
        raise ValueError(f'`baseline` must be one of the arms {list(arms)}, '
                         f'got {baseline!r}')
    split = content.get('split', 'test')
    if split not in SPLITS:
        raise ValueError(f'`split` must be one of {SPLITS}, got {split!r}')
    results = content.get('results')
    return Study(
        path=path,
        title=content.get('title', ''),
        arms=arms,
        baseline=baseline,
        scores=tuple(content['scores']),
        options=content.get('options', {}),
        split=split,
        average=_average(content.get('average')),
        hooks=content.get('hooks', []),
        results=(Path('work_dirs', 'studies', path.stem, 'results')
                 if results is None else
                 (path.parent / results).resolve()))


def _check_keys(what: str, given: Mapping, known: Tuple[str, ...]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f'{what} may set {", ".join(known)}, got unknown '
                         f'{", ".join(unknown)}')


def _arm(name: str, arm: dict, content: dict, tests: dict,
         path: Path) -> Arm:
    if not name.replace('-', '').replace('_', '').isalnum():
        raise ValueError('names of arms must consist of letters, digits, - '
                         f'and _, got {name!r}')
    _check_keys(f'arm {name!r}', arm, ARM_KEYS)
    config = str(arm.get('config', content['base']))
    if '::' not in config:
        config = str((path.parent / config).resolve())
        if not Path(config).is_file():
            raise FileNotFoundError(
                f'the config of arm {name!r} must be a file, got '
                f'{config!r}, which does not exist')
    seeds = arm.get('seeds', content['seeds'])
    if not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise ValueError(f'`seeds` must be integers of at least 0, got '
                         f'{seeds}')
    return Arm(name, config, arm.get('options', {}),
               {key: value or {}
                for key, value in arm.get('tests', tests).items()},
               tuple(seeds))


def _average(average: Optional[dict]) -> dict:
    average = dict(average or {})
    _check_keys('`average`', average, ('last', 'interval'))
    last = average.setdefault('last', 1)
    average.setdefault('interval', None)
    if not isinstance(last, int) or last < 1:
        raise ValueError(f'`average.last` must be positive, got {last!r}')
    return average


def run_config(study: Study, arm: Arm, seed: int,
               place: Place = Place()) -> Config:
    """Return the training config of a run.

    Args:
        study: Study of the run.
        arm: Arm of the study.
        seed: Seed of the weights, the order of images and the augmentation.
        place: Locations of data and weights on this machine.
    """
    cfg = load_config(arm.config)
    cfg.merge_from_dict(copy.deepcopy(study.options))
    cfg.merge_from_dict(copy.deepcopy(arm.options))
    if place.data is not None:
        cfg = move_data(cfg, place.data)
    if place.weights is not None:
        cfg.merge_from_dict({'model.backbone.init_cfg': dict(
            type='Pretrained', checkpoint=place.weights)})
    cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', []), *copy.deepcopy(study.hooks)
    ]
    _keep_checkpoints(cfg, study.average)
    cfg.resume = False
    return cfg


def _keep_checkpoints(cfg: Config, average: dict) -> None:
    """Configure the checkpoints that resuming and averaging need."""
    train = cfg.train_cfg
    length = train.get('max_iters') or train.get('max_epochs')
    interval = average['interval'] or max(length // 20, 1)
    checkpoint = cfg.setdefault('default_hooks', ConfigDict()).setdefault(
        'checkpoint', ConfigDict(type='CheckpointHook'))
    checkpoint.pop('save_best', None)
    checkpoint.update(
        interval=interval,
        by_epoch='max_epochs' in train and 'max_iters' not in train,
        # one more than needed: mmengine removes the oldest before it writes
        max_keep_ckpts=average['last'] + 1)


def config_of_test(cfg: Config, options: Mapping, split: str) -> Config:
    """Return the config of one test of a trained run.

    Args:
        cfg: Config of the run.
        options: Options of the test: settings of the config, `tta=True` for
            test-time augmentation, and `scorer`; see :func:`find_scorer`.
        split: Split that is scored, 'val' or 'test'.
    """
    cfg = copy.deepcopy(cfg)
    options = dict(options)
    tta = options.pop('tta', False)
    options.pop('scorer', None)
    cfg.merge_from_dict(copy.deepcopy(options))
    if split == 'val':
        cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
        cfg.test_evaluator = copy.deepcopy(cfg.val_evaluator)
    if tta:
        from mmpixsort.utils.cli import enable_tta
        enable_tta(cfg)
    return cfg


def find_scorer(options: Mapping) -> Optional[Callable]:
    """Return the function that scores a test instead of the Runner, or None.

    Args:
        options: Options of the test. Its `scorer` is a name
            ``package.module:function``; the function is called as
            ``function(cfg, checkpoint)`` and returns a dict of scores.

    Raises:
        ValueError: If the function does not exist.
    """
    name = options.get('scorer')
    if name is None:
        return None
    module, _, function = name.partition(':')
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError('`scorer` must be `package.module:function`, got '
                         f'{name!r}: {error}') from error


def move_data(cfg: Config, folder: str) -> Config:
    """Return a config in which the data folder is replaced by another one.

    Args:
        cfg: Config with a `data_root`, at the top level or in its training
            data set. Every path that starts with it is changed.
        folder: Folder that replaces it.

    Raises:
        ValueError: If the config has no `data_root`.
    """
    old = cfg.get('data_root') or cfg.train_dataloader.dataset.get(
        'data_root')
    if not old:
        raise ValueError('`data` must be left out for a config without '
                         f'`data_root`, got {folder!r}')
    return Config(_replace_prefix(cfg._cfg_dict.to_dict(), old.rstrip('/'),
                                  str(folder).rstrip('/')))


def _replace_prefix(value, old: str, new: str):
    if isinstance(value, str):
        whole = value == old or value.startswith(old + '/')
        return new + value[len(old):] if whole else value
    if isinstance(value, dict):
        return {k: _replace_prefix(v, old, new) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replace_prefix(v, old, new) for v in value)
    return value


def training_hash(cfg: Config) -> str:
    """Return a hash of all settings that affect training, except the seed.

    It has 12 hex digits. The hash is the same on every machine: the data
    folder is left out, and of the path of a weights file only its name is
    used. Hooks that only observe the training are left out too.
    """
    content = cfg._cfg_dict.to_dict()
    content.get('randomness', {}).pop('seed', None)
    for key in TESTING:
        content.pop(key, None)
    content.get('model', {}).pop('test_cfg', None)
    content['custom_hooks'] = [
        hook for hook in content.get('custom_hooks', [])
        if hook.get('type') not in WATCHERS
    ]
    roots = {content.get('data_root')}
    return _digest(_canonical(content, roots - {None}))


def scoring_hash(cfg: Config, last: int = 1) -> str:
    """Return a hash (12 hex digits) of the settings that affect a test.

    Args:
        cfg: Config of the test; see :func:`config_of_test`.
        last: Number of checkpoints whose weights are averaged.
    """
    content = cfg._cfg_dict.to_dict()
    return _digest(_canonical(dict(
        data=content.get('test_dataloader'),
        evaluator=content.get('test_evaluator'),
        model=content.get('model'),
        average=last), {content.get('data_root')} - {None}))


def _canonical(value, roots: set):
    """Convert a value to plain types, without locations of files."""
    if isinstance(value, Mapping):
        return {
            str(k): _canonical(v, roots)
            for k, v in sorted(value.items(), key=lambda item: str(item[0]))
            if k not in PLACES
        }
    if isinstance(value, (list, tuple)):
        return [_canonical(v, roots) for v in value]
    if isinstance(value, str):
        for root in roots:
            if value.startswith(root + '/'):
                return value[len(root):]
        return Path(value).name if value.endswith(
            ('.pth', '.safetensors')) else value
    if isinstance(value, (bool, int, float, type(None))):
        return value
    return getattr(value, '__name__', str(value))


def _digest(content) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
