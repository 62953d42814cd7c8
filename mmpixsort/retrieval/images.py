"""The annotated images that a bank is made of."""
import copy
from typing import List, Optional

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from ..utils.hashing import settings_hash


def annotated_images(cfg: ConfigDict,
                     dataset: Optional[dict] = None,
                     split: str = 'train') -> Dataset:
    """Build the images of a split, prepared as for a test.

    Args:
        cfg: Config of a run.
        dataset: Config to take as it is; None: that of
            `{split}_dataloader`, with the pipeline of the test, or of the
            validation where the test augments.
        split: 'train', 'val' or 'test'.

    Raises:
        ValueError: When the config has no such data.
    """
    if dataset is None:
        loader = cfg.get(f'{split}_dataloader')
        pipeline = _test_pipeline(cfg)
        if not loader or pipeline is None:
            raise ValueError(
                f'the config must have `{split}_dataloader`, and '
                '`test_dataloader` or `val_dataloader` without TestTimeAug, '
                'whose pipeline the images of a bank go through; or give '
                'the data set')
        dataset = copy.deepcopy(loader['dataset'])
        for part in _innermost(dataset):
            part['pipeline'] = pipeline
            part['test_mode'] = True
        dataset = _once(dataset)
    return DATASETS.build(dataset)


def source_hash(cfg: ConfigDict, split: str = 'train') -> str:
    """Return a hash of how the rows of a bank come from images.

    Of the data set with its annotation, of the pipeline, and of the mode of
    the test: a build that was cut off goes on only where all are the same.

    Args:
        cfg: Config of a run.
        split: 'train', 'val' or 'test'.
    """
    loader = cfg.get(f'{split}_dataloader') or {}
    test_cfg = dict((cfg.get('model') or {}).get('test_cfg') or {})
    test_cfg.pop('retrieval', None)  # its share is in the bank's own meta
    return settings_hash([loader.get('dataset'), _test_pipeline(cfg),
                          test_cfg])


def _test_pipeline(cfg: ConfigDict) -> Optional[List[dict]]:
    """Return the first pipeline of test or validation with one view."""
    for split in ('test', 'val'):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            pipeline = _innermost(loader['dataset'])[0]['pipeline']
            if all(step['type'] != 'TestTimeAug' for step in pipeline):
                return copy.deepcopy(pipeline)
    return None


def _innermost(dataset: dict) -> List[dict]:
    """Return the configs that wrappers hold."""
    inner = dataset.get('datasets') or dataset.get('dataset')
    if inner is None:
        return [dataset]
    parts = inner if isinstance(inner, (list, tuple)) else [inner]
    return [leaf for part in parts for leaf in _innermost(part)]


def _once(dataset: dict) -> dict:
    """Undo the wrapper that repeats images."""
    while dataset['type'] == 'RepeatDataset':
        dataset = dataset['dataset']
    return dataset


def image_name(dataset: Dataset, index: int) -> str:
    """Return the path or name of an image."""
    return str(dataset.get_data_info(index).get('img_path', index))
