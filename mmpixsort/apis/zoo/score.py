"""Score a model of the zoo as it was scored when it was published."""
import math
import tempfile
import time
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Union

from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from mmpixsort.apis.study.plan import config_of_test, move_data
from mmpixsort.utils.configs import read_config
from mmpixsort.utils.reading import read_json
from mmpixsort.utils.wrapped import unwrap

from .download import download_model
from .index import trained_model, zoo_root


class Scored(NamedTuple):
    """Scores of a test, and the model that was tested.

    Attributes:
        scores: Dict from each metric to its score; None for NaN, such as
            that of a class that does not occur.
        model: Model after the test.
        dataset_meta: Classes and colours of the data set.
    """

    scores: Dict[str, Optional[float]]
    model: nn.Module
    dataset_meta: dict


def run_test(cfg: Config,
             weights: Path,
             *,
             bank: Optional[Path] = None,
             num_images: Optional[int] = None) -> Scored:
    """Test weights with the evaluators of a config.

    Args:
        cfg: Config of the test.
        weights: Path of the weights.
        bank: Path of the bank of prototypes. None fills the bank from the
            training images if the model predicts by retrieval.
        num_images: Number of images, the first ones; None uses all.
    """
    cfg = cfg.copy()
    cfg.load_from, cfg.resume = str(weights), False
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    if cfg.model.get('backbone', {}).get('init_cfg'):
        cfg.model.backbone.init_cfg = None
    cfg.log_level = 'WARNING'
    if bank is not None and cfg.model.test_cfg.get('retrieval'):
        cfg.model.test_cfg.retrieval.bank = str(bank)
    if num_images is not None:
        cfg.test_dataloader.batch_size = 1
        cfg.test_dataloader.num_batch_per_epoch = num_images
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        cfg.experiment_name = f'zoo_{time.time_ns()}'
        _draw_nothing(cfg)
        runner = Runner.from_cfg(cfg)
        found = runner.test()
    return Scored(
        {name: _number(value) for name, value in found.items()},
        unwrap(runner.model), dict(runner.test_dataloader.dataset.metainfo))


def _number(value: float) -> Optional[float]:
    """Return a rounded number; JSON has no NaN."""
    return round(float(value), 4) if math.isfinite(value) else None


def _draw_nothing(cfg: Config) -> None:
    """Remove what writes pictures, in place.

    A visualizer is kept by its name until the process ends, and would write
    to the folder of the test before.
    """
    cfg.custom_hooks = [
        hook for hook in cfg.get('custom_hooks') or []
        if hook.get('type') != 'mmpixsort.EmbeddingVisualizationHook'
    ]
    if cfg.get('visualizer'):
        cfg.visualizer = dict(
            cfg.visualizer, name=cfg.experiment_name, vis_backends=[])


def score_model(name: str,
                *,
                test: Optional[str] = None,
                num_images: Optional[int] = None,
                data: Optional[Union[str, Path]] = None
                ) -> Dict[str, Optional[float]]:
    """Score a model of the zoo again.

    Args:
        name: Name of the model.
        test: Name of one of the tests in its log. None takes the first one,
            whose scores are in the metafile.
        num_images: Number of images, the first ones; None uses all.
        data: Folder that replaces the `data_root` of the config.

    Returns:
        Dict from each metric to its score; None for NaN.

    Raises:
        ValueError: If there is no such model, or no weights of it.
        FileNotFoundError: If the weights or the data are missing.
    """
    entry = trained_model(name)
    files = download_model(name)
    log = read_json(zoo_root() / entry.log, 'the log of a model of the zoo')
    cfg = read_config(zoo_root() / entry.config)
    if data is not None:
        cfg = move_data(cfg, str(data))
    options = log['tests'][test or next(iter(log['tests']))]['options']
    cfg = config_of_test(cfg, options, log['split'])
    return run_test(
        cfg, files[0], bank=files[1] if files[1:] else None,
        num_images=num_images).scores
