"""Run the demonstration: train, test, and write scores and pictures.

It adds a few options to a config. Without them, ``tools/train.py CONFIG``
trains the same model, and ``tools/test.py`` tests it.
"""
import json
import logging
import shutil
from pathlib import Path
from typing import Dict, Optional

from mmengine.config import Config
from mmengine.runner import Runner

from mmpixsort.utils.files import write_whole

METHODS = ('pixel-contrast', 'none')


def run_demo(config: Path,
             out: Path,
             *,
             data: Optional[Path] = None,
             weights: Optional[Path] = None,
             iters: Optional[int] = None,
             seed: int = 0,
             method: str = 'pixel-contrast',
             cfg_options: Optional[dict] = None) -> Dict[str, float]:
    """Train and test one config, and write scores and pictures to a folder.

    Args:
        config: Path of a config with a data set and a model with a metric
            head.
        out: Folder of all results; it is created if needed.
        data: Folder that replaces `data_root` of the data sets; None keeps
            that of the config.
        weights: Checkpoint of the backbone; None starts from random weights.
        iters: Number of training iterations. The schedule and the warm-up
            are scaled in proportion. None keeps the number in the config.
        seed: Seed of the weights and of the order of the data.
        method: 'pixel-contrast', or 'none' for the plain host model.
        cfg_options: Further settings, as for ``--cfg-options`` of mmseg.

    Returns:
        The test metrics in percent: aAcc, mIoU, mAcc and the IoU of every
        class.

    Raises:
        FileNotFoundError, ValueError: If an argument is invalid. This is
            checked before anything is built.
    """
    cfg = demo_config(config, data, weights, iters, seed, method)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    cfg.work_dir = str(out)
    # mmengine finds visualizers by name. With a fixed name, a second run in
    # the same process would write its pictures to the folder of the first.
    cfg.visualizer.name = f'demo {out.resolve()}'
    cfg.merge_from_dict(cfg_options or {})
    # otherwise mmengine logs the whole config, which it also writes to a
    # file, and all hooks
    cfg.log_level = 'WARNING'
    runner = Runner.from_cfg(cfg)
    for handler in (runner.logger, *runner.logger.handlers):
        handler.setLevel(logging.INFO)
        handler.addFilter(is_progress)
    runner.train()
    metrics = {name: float(value) for name, value in runner.test().items()}
    write_scores(out, metrics, dict(
        config=Path(config).name, method=method, seed=seed,
        iterations=runner.max_iters))
    _collect_pictures(
        Path(runner.log_dir) / 'vis_data' / 'vis_image', out / 'pictures')
    return metrics


def demo_config(config: Path, data: Optional[Path], weights: Optional[Path],
                iters: Optional[int], seed: int, method: str) -> Config:
    """Read a config and apply the options of the demonstration to it."""
    _check(config, data, weights, iters, method)
    cfg = Config.fromfile(config)
    cfg.randomness = dict(seed=seed)
    if method == 'none':
        _strip_method(cfg)
    if data is not None:
        for split in ('train', 'val', 'test'):
            cfg[f'{split}_dataloader'].dataset.data_root = str(data)
    if weights is not None:
        cfg.model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint=str(weights))
    if iters is not None:
        rescale(cfg, iters)
    return cfg


def _check(config: Path, data: Optional[Path], weights: Optional[Path],
           iters: Optional[int], method: str) -> None:
    """Raise an error for invalid arguments before anything slow starts."""
    if not Path(config).is_file():
        raise FileNotFoundError(f'`config` {str(config)!r} not found')
    if data is not None and not Path(data).is_dir():
        raise FileNotFoundError(
            f'`data` {str(data)!r} is not a folder; it must hold '
            'img_dir/{train,val,test} and ann_dir/{train,val,test}')
    if weights is not None and not Path(weights).is_file():
        raise FileNotFoundError(
            f'`weights` {str(weights)!r} not found; give a checkpoint with '
            'the parameters of the backbone, or leave it out')
    if iters is not None and iters < 1:
        raise ValueError(f'`iters` must be positive, got {iters}')
    if method not in METHODS:
        raise ValueError(f'`method` must be one of {METHODS}, got {method!r}')


def _strip_method(cfg: Config) -> None:
    """Remove the metric head and its hooks from a config, in place."""
    cfg.model.type = 'EncoderDecoder'
    cfg.model.pop('metric_head')
    hooks = []
    for hook in cfg.get('custom_hooks', []):
        if hook['type'] == 'mmpixsort.EmbeddingVisualizationHook':
            hooks.append(dict(hook, with_embedding=False))
        elif hook['type'] != 'mmpixsort.MemoryBankHook':
            hooks.append(hook)
    cfg.custom_hooks = hooks


def rescale(cfg: Config, iters: int) -> None:
    """Set the number of iterations and scale all numbers that depend on it."""
    factor = iters / cfg.train_cfg.max_iters
    for schedule in cfg.param_scheduler:
        schedule.begin = int(schedule.begin * factor)
        # mmengine raises an error for a schedule without iterations
        schedule.end = max(int(schedule.end * factor), schedule.begin + 1)
    if 'metric_head' in cfg.model:
        head = cfg.model.metric_head
        head.warmup_iters = int(head.get('warmup_iters', 0) * factor)
    cfg.train_cfg.max_iters = iters
    cfg.train_cfg.val_interval = iters
    cfg.default_hooks.checkpoint.interval = iters


def is_progress(record: logging.LogRecord) -> bool:
    """Return False for records that mmengine logs for each parameter."""
    return not record.getMessage().startswith('paramwise_options')


def write_scores(out: Path, metrics: Dict[str, float], run: dict) -> None:
    """Write scores.json, and scores.txt with the same scores as a table.

    Args:
        out: Existing folder.
        metrics: Means, and `IoU.NAME` for each class, in percent.
        run: Description of the run, which is written to both files.
    """
    classes = {
        name[len('IoU.'):]: value
        for name, value in metrics.items() if name.startswith('IoU.')
    }
    means = {k: metrics[k] for k in ('mIoU', 'mAcc', 'aAcc') if k in metrics}
    text = json.dumps(dict(run, **means, IoU=classes), indent=2)
    # JSON has no NaN, which is the score of a class that never occurs
    write_whole(out / 'scores.json', text.replace('NaN', 'null') + '\n')
    width = max(map(len, (*classes, *means)), default=0)
    lines = [f'{name}: {value}' for name, value in run.items()]
    lines += ['', f'{"class":<{width}}  IoU (%)']
    lines += [f'{name:<{width}}  {v:7.2f}' for name, v in classes.items()]
    lines += ['-' * (width + 9)]
    lines += [f'{name:<{width}}  {v:7.2f}' for name, v in means.items()]
    write_whole(out / 'scores.txt', '\n'.join(lines) + '\n')


def _collect_pictures(source: Path, target: Path) -> None:
    """Copy the pictures of this run to one flat folder."""
    target.mkdir(exist_ok=True)
    for old in target.glob('*.png'):
        old.unlink()
    for picture in sorted(source.glob('*.png')):
        shutil.copy(picture, target / picture.name)
