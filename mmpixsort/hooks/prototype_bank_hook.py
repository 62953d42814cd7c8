"""Rebuild the bank of prototypes before it is asked."""
from typing import Optional

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmpixsort.registry import HOOKS
from mmpixsort.utils.wrapped import unwrap


@HOOKS.register_module()
class PrototypeBankHook(Hook):
    """Let a model that predicts by retrieval fill its bank before it is used.

    Before a validation or test whose model has `test_cfg.retrieval` without
    the path of a bank, the images of the training set are embedded and their
    segments kept in memory; all ranks share the work. For a bank on disk see
    `tools/build_bank.py`. It runs after hooks that exchange the weights, as
    EMAHook does before a validation.

    Args:
        dataset: Config of the annotated images; None: those of
            `train_dataloader`, with the pipeline of the stage that runs.
        max_images: Number of images of the data set to use, evenly spread;
            None: all.

    Raises:
        ValueError: On `max_images` below 1.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self,
                 *,
                 dataset: Optional[dict] = None,
                 max_images: Optional[int] = None) -> None:
        if max_images is not None and max_images < 1:
            raise ValueError(
                f'`max_images` must be positive, got {max_images}')
        self.dataset = dataset
        self.max_images = max_images

    def before_val_epoch(self, runner) -> None:
        """Fill the bank for a validation."""
        self._fill(runner, 'val')

    def before_test_epoch(self, runner) -> None:
        """Fill the bank for a test."""
        self._fill(runner, 'test')

    @torch.no_grad()
    def _fill(self, runner, stage: str) -> None:
        model = unwrap(runner.model)
        retrieval = getattr(model, 'retrieval', None)
        if retrieval is None:
            return
        if retrieval.bank is not None:
            retrieval.use(str(retrieval.bank))
            self._name_classes(runner, model)
            return
        bank = model.build_bank(
            runner.cfg, dataset=self.dataset, max_images=self.max_images,
            stage=stage)
        retrieval.use(bank)
        if is_main_process():
            print_log(
                f'bank of {len(bank.labels)} segments of '
                f'{len(bank.meta["images"])} images', 'current')

    def _name_classes(self, runner, model) -> None:
        """Let the host draw classes that a bank has beside the data set's."""
        visualizer = getattr(runner, 'visualizer', None)
        meta = getattr(visualizer, 'dataset_meta', None)
        if meta is not None:
            visualizer.dataset_meta = dict(meta, **model.dataset_meta)
