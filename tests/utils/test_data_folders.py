"""A missing data folder is named before anything starts."""
import os
import subprocess
import sys

import pytest

from mmpixsort.utils.data_folders import check_data_folders


def _config(root, **wrapped):
    dataset = dict(type='CityscapesDataset', data_root=str(root))
    return dict(train_dataloader=dict(dataset=dict(
        type='RepeatDataset', dataset=dataset, **wrapped)))


def test_check_data_folders__names_split_folder_and_remedy(tmp_path):
    check_data_folders(_config(tmp_path), 'train', 'val')
    check_data_folders(_config('s3://bucket/data'), 'train')
    check_data_folders(_config(tmp_path / 'none'), 'val')
    with pytest.raises(FileNotFoundError, match='`data_root` of the train.*'
                       'Cityscapes.*none.*--cfg-options train_dataloader'):
        check_data_folders(_config(tmp_path / 'none'), 'train')


def test_train__missing_folder_stops_before_the_model_is_built(repo_root,
                                                               tmp_path):
    config = repo_root / 'configs' / 'pixel_contrast' / (
        'pixel-contrast_deeplabv3-r101-d8_4xb2-40k_'
        'cityscapes-512x1024.py')
    done = subprocess.run(
        [sys.executable, str(repo_root / 'tools' / 'train.py'), str(config),
         '--work-dir', str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, 'PYTHONPATH': str(repo_root)})
    assert done.returncode != 0
    assert '`data_root` of the train data (CityscapesDataset)' in done.stderr
