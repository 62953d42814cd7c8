"""Hook that fills the bank of a model that predicts by retrieval."""
from typing import Optional

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmpixsort.functional.checks import check_count
from mmpixsort.registry import HOOKS
from mmpixsort.utils.wrapped import unwrap


@HOOKS.register_module()
class PrototypeBankHook(Hook):
    """Fill the bank of a model before each validation or test.

    It is for models with `test_cfg.retrieval`, and does nothing for others.
    If `test_cfg.retrieval` names a bank on disk (see `tools/build_bank.py`),
    that bank is loaded. Otherwise the images of the training set are
    embedded, and the bank holds their segments in memory; all ranks share
    the work.

    Args:
        dataset: Config of the data set of annotated images. None means the
            data set of `train_dataloader`, with the pipeline of the stage
            that runs.
        max_images: Number of images to use, evenly spread over the data set;
            None uses all.

    Raises:
        ValueError: If `max_images` is below 1.
    """

    # after EMAHook has swapped the weights
    priority = 'BELOW_NORMAL'

    def __init__(self,
                 *,
                 dataset: Optional[dict] = None,
                 max_images: Optional[int] = None) -> None:
        if max_images is not None:
            check_count('max_images', max_images)
        self.dataset = dataset
        self.max_images = max_images

    def before_val_epoch(self, runner) -> None:
        """Fill the bank before a validation."""
        self._fill(runner, 'val')

    def before_test_epoch(self, runner) -> None:
        """Fill the bank before a test."""
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
                f'built a bank of {len(bank.labels)} segments from '
                f'{len(bank.meta["images"])} images', 'current')

    def _name_classes(self, runner, model) -> None:
        """Give the visualizer the classes that only the bank has."""
        visualizer = getattr(runner, 'visualizer', None)
        meta = getattr(visualizer, 'dataset_meta', None)
        if meta is not None:
            visualizer.dataset_meta = dict(meta, **model.dataset_meta)
