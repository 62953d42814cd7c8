"""Check that the data folders of a config exist, before a run starts."""
import os.path as osp
from typing import Any, Iterator


def check_data_folders(cfg: Any, *splits: str) -> None:
    """Raise an error if the `data_root` of a data set is not a folder.

    Addresses with `://` are not checked.

    Args:
        cfg: Config of the run.
        splits: Splits to check: 'train', 'val' and 'test', or some of these.

    Raises:
        FileNotFoundError: If a folder is missing; the message names the
            split, the folder and the remedy.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for dataset in _datasets(loader.get('dataset')):
            root = dataset.get('data_root')
            if root and '://' not in root and not osp.isdir(root):
                raise FileNotFoundError(
                    f'`data_root` of the {split} data ({dataset["type"]}) '
                    f'must be a folder, got {root!r}; put or link the data '
                    'there, or give its path: --data FOLDER (studies), '
                    f'--cfg-options {split}_dataloader.dataset.data_root='
                    'FOLDER (other tools)')


def _datasets(cfg: Any) -> Iterator[dict]:
    """Yield the configs of a data set and of the data sets it wraps."""
    if isinstance(cfg, (list, tuple)):
        for part in cfg:
            yield from _datasets(part)
    elif isinstance(cfg, dict):
        yield cfg
        for key in ('dataset', 'datasets'):
            yield from _datasets(cfg.get(key))
