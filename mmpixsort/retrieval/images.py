"""Select the annotated images that a bank is built from, and load them."""
import copy
from typing import Any, Dict, List, Optional, Sequence

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from mmpixsort.utils.hashing import settings_hash

STAGES = ('test', 'val')
# transforms that read annotation, or that only pass it on to later ones
ANNOTATION = ('LoadAnnotations', 'LoadInstanceMap', 'LoadPanopticMap',
              'LoadStreetScene', 'LoadCaptionedShapes', 'PaintInstanceMap')
WRAPPED = ('dataset', 'datasets')  # keys that hold wrapped data sets


def type_name(cfg: dict) -> str:
    """Return the name of the type of a config, without scope or module.

    Args:
        cfg: Config whose `type` is a name, with or without a scope, or a
            class.

    Example:
        >>> type_name(dict(type='mmseg.RepeatDataset')), type_name(
        ...     dict(type=dict))
        ('RepeatDataset', 'dict')
    """
    kind = cfg['type']
    return kind.rsplit('.', 1)[-1] if isinstance(kind, str) else kind.__name__


def source_configs(dataset: dict) -> List[dict]:
    """Return the configs of the data sets inside all wrappers, each once.

    Concatenation, repetition, class balancing and mixing of images are
    unwrapped at every depth, since a bank contains an image only once.

    Args:
        dataset: Config of a data set.
    """
    inner = next((dataset[key] for key in WRAPPED if dataset.get(key)), None)
    if inner is None:
        return [dataset]
    found: List[dict] = []
    for part in inner if isinstance(inner, (list, tuple)) else [inner]:
        found += [leaf for leaf in source_configs(part) if leaf not in found]
    return found


def view_pipeline(cfg: ConfigDict, stage: str = 'test') -> List[dict]:
    """Return the pipeline of a stage that makes one view of an image.

    Args:
        cfg: Config of a run.
        stage: 'test' or 'val', whose pipeline is used. The other one's is
            used if the stage has no data, or if only the stage uses
            test-time augmentation (`TestTimeAug`).

    Raises:
        ValueError: If neither stage has data.
    """
    stages = sorted(STAGES, key=lambda name: name != stage)
    found = [
        source_configs(cfg[f'{name}_dataloader']['dataset'])[0]['pipeline']
        for name in stages if cfg.get(f'{name}_dataloader')
    ]
    if not found:
        raise ValueError(
            'the config must have `test_dataloader` or `val_dataloader`, '
            'whose pipeline images go through, got neither')
    plain = [steps for steps in found if not _augments(steps)]
    return copy.deepcopy(plain[0] if plain else _one_view(found[0]))


def _augments(steps: Sequence[dict]) -> bool:
    return any(type_name(step) == 'TestTimeAug' for step in steps)


def _one_view(steps: Sequence[dict]) -> List[dict]:
    """Return one view of a pipeline with test-time augmentation."""
    plain = []
    for step in steps:
        if type_name(step) != 'TestTimeAug':
            plain.append(step)
            continue
        for choices in step['transforms']:
            plain.append(min(choices, key=_change))
    return plain


def _change(step: dict) -> float:
    """Return how strongly a step of an augmentation changes an image."""
    return abs(step.get('scale_factor', 1.) - 1.) + step.get('prob', 0.)


def annotated_pipeline(cfg: ConfigDict, stage: str = 'test') -> List[dict]:
    """Return the pipeline of a stage, with steps that load the annotation.

    If the pipeline of the stage loads none, such as that of a test without
    ground truth, the loading steps of the training pipeline are inserted
    just before the packing, so that the annotation keeps its own size.

    Args:
        cfg: Config of a run.
        stage: 'test' or 'val'.

    Raises:
        ValueError: If no pipeline of the config loads annotation.
    """
    steps = view_pipeline(cfg, stage)
    if any(type_name(step) in ANNOTATION for step in steps):
        return steps
    loader = cfg.get('train_dataloader')
    train = source_configs(loader['dataset'])[0]['pipeline'] if loader else ()
    load = [step for step in train if type_name(step) in ANNOTATION]
    if not load:
        raise ValueError(
            'a pipeline of the config must load annotation, got none in '
            f'{stage} and train: {[type_name(step) for step in steps]}')
    load += [step for step in train if _packs(step)]
    return [step for step in steps if not _packs(step)] + copy.deepcopy(load)


def _packs(step: dict) -> bool:
    return type_name(step).startswith('Pack')


def annotated_images(cfg: ConfigDict,
                     dataset: Optional[dict] = None,
                     split: str = 'train',
                     stage: str = 'test') -> Dataset:
    """Build the data set of a split with the pipeline of a test.

    Args:
        cfg: Config of a run.
        dataset: Config of a data set, used as it is. None uses the data sets
            of `{split}_dataloader`, each image once.
        split: 'train', 'val' or 'test'.
        stage: 'test' or 'val', whose pipeline the images go through.

    Raises:
        ValueError: If the config has no such data, or no pipeline that loads
            annotation.
    """
    if dataset is not None:
        return DATASETS.build(dataset)
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'the config must have `{split}_dataloader`, whose '
                         'images a bank is made of, got none; or give the '
                         'data set')
    pipeline = annotated_pipeline(cfg, stage)
    parts = [
        dict(copy.deepcopy(part), pipeline=pipeline, test_mode=True)
        for part in source_configs(loader['dataset'])
    ]
    if len(parts) == 1:
        return DATASETS.build(parts[0])
    return DATASETS.build(dict(
        type='ConcatDataset', _scope_='mmengine', datasets=parts,
        **_ignored_keys(loader['dataset'])))


def _ignored_keys(dataset: dict) -> Dict[str, Any]:
    """Return the keys of metainfo that may differ between joined data sets."""
    keys = dataset.get('ignore_keys')
    return {} if keys is None else dict(ignore_keys=keys)


def source_hash(cfg: ConfigDict, split: str = 'train') -> str:
    """Return a hash of the settings by which images become rows of a bank.

    It covers the data set with its annotation, the pipeline, and the test
    mode of the model. An interrupted build is continued only if the hash is
    the same.

    Args:
        cfg: Config of a run.
        split: 'train', 'val' or 'test'.
    """
    loader = cfg.get(f'{split}_dataloader') or {}
    test_cfg = dict((cfg.get('model') or {}).get('test_cfg') or {})
    test_cfg.pop('retrieval', None)  # `meta` of the bank holds its settings
    return settings_hash([loader.get('dataset'), annotated_pipeline(cfg),
                          test_cfg])


def image_name(dataset: Dataset, index: int) -> str:
    """Return the path or the name of an image of a data set."""
    return str(dataset.get_data_info(index).get('img_path', index))
