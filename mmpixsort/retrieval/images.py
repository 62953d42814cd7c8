"""Find and load the annotated images from which a bank is built."""
import copy
from typing import Any, Dict, List, Optional, Sequence

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from mmpixsort.utils.hashing import settings_hash

STAGES = ('test', 'val')
# transforms that load annotation or convert it for later transforms
ANNOTATION = ('LoadAnnotations', 'LoadInstanceMap', 'LoadPanopticMap',
              'LoadStreetScene', 'LoadCaptionedShapes', 'PaintInstanceMap')
WRAPPED = ('dataset', 'datasets')  # keys that hold wrapped data sets


def type_name(cfg: dict) -> str:
    """Return the class name in the `type` of a config, without its scope.

    Args:
        cfg: Config with a `type`, which is a class or a name with or without
            a scope.

    Example:
        >>> type_name(dict(type='mmseg.RepeatDataset')), type_name(
        ...     dict(type=dict))
        ('RepeatDataset', 'dict')
    """
    kind = cfg['type']
    return kind.rsplit('.', 1)[-1] if isinstance(kind, str) else kind.__name__


def source_configs(dataset: dict) -> List[dict]:
    """Return the configs of the data sets inside all wrappers, each once.

    Wrappers that concatenate, repeat, balance or mix images are removed at
    every depth, because a bank contains an image only once.

    Args:
        dataset: Config of a data set, with or without wrappers.
    """
    inner = next((dataset[key] for key in WRAPPED if dataset.get(key)), None)
    if inner is None:
        return [dataset]
    found: List[dict] = []
    for part in inner if isinstance(inner, (list, tuple)) else [inner]:
        found += [leaf for leaf in source_configs(part) if leaf not in found]
    return found


def view_pipeline(cfg: ConfigDict, stage: str = 'test') -> List[dict]:
    """Return a test or validation pipeline that makes one view of an image.

    The pipeline of `stage` is used. The pipeline of the other stage is used
    if `stage` has no data loader, or if `stage` uses test-time augmentation
    (`TestTimeAug`) and the other one does not. If no pipeline without this
    augmentation exists, the view that changes the image least is kept.

    Args:
        cfg: Config of a run.
        stage: 'test' or 'val'.

    Raises:
        ValueError: If neither stage has a data loader.
    """
    stages = sorted(STAGES, key=lambda name: name != stage)
    found = [
        source_configs(cfg[f'{name}_dataloader']['dataset'])[0]['pipeline']
        for name in stages if cfg.get(f'{name}_dataloader')
    ]
    if not found:
        raise ValueError(
            'the config must have `test_dataloader` or `val_dataloader`, '
            'because its pipeline loads the images; got neither')
    plain = [steps for steps in found if not _augments(steps)]
    return copy.deepcopy(plain[0] if plain else _one_view(found[0]))


def _augments(steps: Sequence[dict]) -> bool:
    return any(type_name(step) == 'TestTimeAug' for step in steps)


def _one_view(steps: Sequence[dict]) -> List[dict]:
    """Return a pipeline with only one view of its test-time augmentation.

    Of each set of alternative steps, the one that changes the image least is
    kept.
    """
    plain = []
    for step in steps:
        if type_name(step) != 'TestTimeAug':
            plain.append(step)
            continue
        for choices in step['transforms']:
            plain.append(min(choices, key=_change))
    return plain


def _change(step: dict) -> float:
    """Return how strongly a step of an augmentation changes an image.

    The result is 0 for a step that neither resizes nor flips.
    """
    return abs(step.get('scale_factor', 1.) - 1.) + step.get('prob', 0.)


def annotated_pipeline(cfg: ConfigDict, stage: str = 'test') -> List[dict]:
    """Return the pipeline of a stage with steps that load the annotation.

    A pipeline for a test set without ground truth loads no annotation. Its
    packing step is then replaced by the steps of the training pipeline that
    load and pack the annotation. The annotation is thus not resized.

    Args:
        cfg: Config of a run.
        stage: 'test' or 'val'; see :func:`view_pipeline`.

    Raises:
        ValueError: If neither this pipeline nor the training pipeline loads
            annotation.
    """
    steps = view_pipeline(cfg, stage)
    if any(type_name(step) in ANNOTATION for step in steps):
        return steps
    loader = cfg.get('train_dataloader')
    train = source_configs(loader['dataset'])[0]['pipeline'] if loader else ()
    load = [step for step in train if type_name(step) in ANNOTATION]
    if not load:
        raise ValueError(
            'a pipeline of the config must load annotation, but neither '
            f'{stage} nor train does, got '
            f'{[type_name(step) for step in steps]}')
    load += [step for step in train if _packs(step)]
    return [step for step in steps if not _packs(step)] + copy.deepcopy(load)


def _packs(step: dict) -> bool:
    return type_name(step).startswith('Pack')


def annotated_images(cfg: ConfigDict,
                     dataset: Optional[dict] = None,
                     split: str = 'train',
                     stage: str = 'test') -> Dataset:
    """Build the data set of annotated images for a bank.

    Args:
        cfg: Config of a run.
        dataset: Config of a data set that is built without changes. None
            uses the data sets of `{split}_dataloader`, each of them once and
            with the pipeline of `stage`.
        split: 'train', 'val' or 'test'.
        stage: 'test' or 'val', the stage that provides the pipeline.

    Raises:
        ValueError: If the config has no data for the split, or no pipeline
            that loads annotation.
    """
    if dataset is not None:
        return DATASETS.build(dataset)
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'the config must have `{split}_dataloader` with '
                         'the images of the bank, got none; alternatively, '
                         'give a data set')
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
    """Return the setting `ignore_keys` of joined data sets, if it is given.

    It lists the keys of `metainfo` that may differ between them.
    """
    keys = dataset.get('ignore_keys')
    return {} if keys is None else dict(ignore_keys=keys)


def source_hash(cfg: ConfigDict, split: str = 'train') -> str:
    """Return a hash of the settings that determine the rows of a bank.

    It covers the config of the data set, the pipeline, and the `test_cfg` of
    the model. An interrupted build is continued only if the hash is the
    same.

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
    """Return the path of an image of a data set, or its index as a text."""
    return str(dataset.get_data_info(index).get('img_path', index))
