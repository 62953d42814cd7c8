"""Name a missing data folder before anything heavy starts."""
import os.path as osp
from typing import Any, Iterator


def check_data_folders(cfg: Any, *splits: str) -> None:
    """Raise where the `data_root` of a data set is no folder.

    Args:
        cfg: The config.
        splits: Splits whose data sets are looked at: some of 'train', 'val',
            'test'.

    Raises:
        FileNotFoundError: Naming the split, the folder and the remedy.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for dataset in _datasets(loader.get('dataset')):
            root = dataset.get('data_root')
            if root and '://' not in root and not osp.isdir(root):
                raise FileNotFoundError(
                    f'`data_root` of the {split} data ({dataset["type"]}) '
                    f'must be a folder, got {root!r}; put or link the data '
                    'there, or say where it is: --data FOLDER (studies), '
                    f'--cfg-options {split}_dataloader.dataset.data_root='
                    'FOLDER (other tools)')


def _datasets(cfg: Any) -> Iterator[dict]:
    """Yield a data set and those that it wraps."""
    if isinstance(cfg, (list, tuple)):
        for part in cfg:
            yield from _datasets(part)
    elif isinstance(cfg, dict):
        yield cfg
        for key in ('dataset', 'datasets'):
            yield from _datasets(cfg.get(key))
