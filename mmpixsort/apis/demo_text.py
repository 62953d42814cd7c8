"""Run the demonstration of text grouping, which learns from captions alone."""
import json
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner

from mmpixsort.functional.scores.segments import overlap_counts
from mmpixsort.functional.words.regions import resize_ids
from mmpixsort.utils.files import write_whole

from .demo import is_progress, rescale
from .loading import load_text_segmentor
from .tune_background import mean_iou, tune_background

# pairs of nouns that occur together in no training scene
HELD_OUT = (('disk', 'ring'), ('square', 'bar'), ('triangle', 'cross'))
THRESHOLDS = [round(.3 + .025 * i, 3) for i in range(27)]
KINDS = dict(
    region='nouns to regions (one-way, soft)',
    image='sentences to images only')


class TextRun(NamedTuple):
    """Scores of one training, in percent.

    Attributes:
        kind: One of `KINDS`.
        seed: Seed of the weights and of the order of the images.
        threshold: Threshold of the background, chosen on the validation
            scenes.
        mean_iou: mIoU on the test scenes.
        accuracy: Share of groups on shapes in the test scenes that are named
            correctly.
        pairs: mIoU on scenes with a pair of nouns that never occurred
            together in training.
        oracle: mIoU on the test scenes if each group is named by the
            annotation.
    """

    kind: str
    seed: int
    threshold: float
    mean_iou: float
    accuracy: float
    pairs: float
    oracle: float


def run_text_demo(config: Path,
                  out: Path,
                  *,
                  seeds: Sequence[int] = (0, ),
                  iters: int = None,
                  image_level: bool = True) -> List[TextRun]:
    """Train and test text grouping, and write scores and pictures.

    After each training, the threshold of the background is chosen on the
    validation scenes.

    Args:
        config: Path of a config with the generated, captioned shapes.
        out: Folder of all results; it is created if needed.
        seeds: Seeds of the training runs.
        iters: Number of training iterations; None keeps that of the config.
        image_level: Whether each seed is also trained with a loss that
            compares whole images with sentences, for comparison.

    Returns:
        The scores of every training, which are also written to
        OUT/scores.json and OUT/scores.txt.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    baselines = text_baselines(_config(config, 'region', 0, None))
    runs: List[TextRun] = []
    for seed in seeds:
        for kind in list(KINDS)[:1 + image_level]:
            cfg = _config(config, kind, seed, iters)
            runs.append(_run(cfg, kind, seed, out / f'{kind}_seed{seed}'))
            # after each training, so that an interruption keeps its scores
            _write(out, runs, baselines, cfg.train_cfg.max_iters)
    return runs


def _config(path: Path, kind: str, seed: int, iters: int) -> Config:
    cfg = Config.fromfile(path)
    cfg.randomness = dict(seed=seed)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.held_out_pairs = HELD_OUT
    if kind == 'image':
        cfg.model.decode_head.noun_loss = None
        cfg.model.decode_head.sentence_loss = dict(
            type='mmpixsort.ImageSentenceLoss')
    cfg.log_level = 'WARNING'
    if iters is not None:
        rescale(cfg, iters)
    return cfg


def _run(cfg: Config, kind: str, seed: int, out: Path) -> TextRun:
    """Train and test one model."""
    cfg.work_dir = str(out)
    iters = cfg.train_cfg.max_iters
    checkpoint = out / f'iter_{iters}.pth'
    _runner(cfg, 'train').train()
    curve = tune_background(
        cfg.copy(), checkpoint, thresholds=THRESHOLDS, device='cpu')
    cfg.model.decode_head.threshold = curve.best
    cfg.load_from = str(checkpoint)
    cfg.test_evaluator = [
        *cfg.test_evaluator, dict(type='mmpixsort.RegionNounAccuracy')]
    scores = _runner(cfg, 'test').test()
    cfg.test_dataloader.dataset.split = 'pairs'
    pairs = _runner(cfg, 'pairs').test()
    return TextRun(
        kind, seed, curve.best, float(scores['mIoU']),
        float(scores['region_noun_accuracy']), float(pairs['mIoU']),
        float(scores['group_oracle_mIoU']))


def _runner(cfg: Config, stage: str) -> Runner:
    """Build a runner that logs only its progress."""
    cfg = cfg.copy()
    # mmengine shares a visualizer between runs of the same name
    cfg.experiment_name = f'{cfg.work_dir} {stage}'
    cfg.visualizer.name = cfg.experiment_name
    runner = Runner.from_cfg(cfg)
    for handler in (runner.logger, *runner.logger.handlers):
        handler.setLevel('INFO')
        handler.addFilter(is_progress)
    return runner


def text_baselines(cfg: Config, seed: int = 0) -> Dict[str, float]:
    """Score two predictions that need no training, on the test scenes.

    Returns:
        The mIoU in percent of a random class for every group ('chance'), and
        of background everywhere ('background').
    """
    init_default_scope('mmseg')
    model = load_text_segmentor(cfg.copy(), device='cpu').model
    classes = model.decode_head.num_classes
    rng = np.random.default_rng(seed)
    counts = torch.zeros(2, classes, classes)
    for data in DATASETS.build(cfg.test_dataloader.dataset):
        inputs = model.data_preprocessor(dict(
            inputs=[data['inputs']], data_samples=[data['data_samples']]))
        labels = data['data_samples'].gt_sem_seg.data[0]
        ids = model.decode_head.group(inputs['inputs'])
        num_regions = model.decode_head.num_regions
        drawn = torch.from_numpy(rng.integers(classes, size=num_regions))
        random = drawn[resize_ids(ids, labels.shape, num_regions)[0]]
        for row, found in enumerate((random, torch.zeros_like(random))):
            counts[row] += overlap_counts(
                found, labels, num_rows=classes, num_classes=classes)
    return dict(chance=mean_iou(counts[0]), background=mean_iou(counts[1]))


def _write(out: Path, runs: Sequence[TextRun], baselines: Dict[str, float],
           iters: int) -> None:
    """Write scores.json, and scores.txt with the same scores as a table."""
    write_whole(out / 'scores.json', json.dumps(dict(
        iterations=iters, baselines=baselines,
        runs=[run._asdict() for run in runs]), indent=1) + '\n')
    write_whole(out / 'scores.txt',
                text_table(runs, baselines, iters) + '\n')


def text_table(runs: Sequence[TextRun], baselines: Dict[str, float],
               iters: int) -> str:
    """Return the scores as a table in plain text."""
    lines = [
        f'mIoU of 7 classes on test scenes, {iters} iterations',
        '',
        f'{"a random class for each group":34s} {baselines["chance"]:6.2f}',
        f'{"background everywhere":34s} {baselines["background"]:6.2f}',
        '',
        f'{"":34s} seed   mIoU  groups  unseen pairs  ceiling  threshold']
    for run in sorted(runs, key=lambda run: list(KINDS).index(run.kind)):
        lines.append(
            f'{KINDS[run.kind]:34s} {run.seed:4d} {run.mean_iou:6.2f} '
            f'{run.accuracy:7.2f} {run.pairs:13.2f} {run.oracle:8.2f} '
            f'{run.threshold:10.3f}')
    for kind, name in KINDS.items():
        found = [run.mean_iou for run in runs if run.kind == kind]
        if len(found) > 1:
            lines.append(f'{name:34s} mean {np.mean(found):6.2f}, standard '
                         f'deviation {np.std(found, ddof=1):.2f}')
    lines += ['', 'groups: percent of the groups of shapes that are named '
              'rightly; ceiling: the', 'same groups named by the annotation']
    return '\n'.join(lines)
