"""Measure where segments should stop to merge."""
import copy
from logging import WARNING
from typing import Optional

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from ..functional.checks import check_count
from ..functional.segment_graph import linkage_threshold
from ..registry import HOOKS
from ..utils.wrapped import unwrap


@HOOKS.register_module()
class LinkageThresholdHook(Hook):
    """Set the threshold of a head that merges segments into instances.

    Before a validation or test it takes the middle between the mean cosine
    within and between instances of annotated training images. All ranks
    share the work, and the head keeps the number in its checkpoints. Nothing
    happens for a head with a threshold of its own.

    Args:
        num_images: Of the training set, evenly spread.
        dataset: Config of annotated images; None: that of
            `train_dataloader` as it is, with its augmentation.

    Raises:
        ValueError: On `num_images` below 1.
    """

    priority = 'NORMAL'

    def __init__(self,
                 *,
                 num_images: int = 64,
                 dataset: Optional[dict] = None) -> None:
        check_count('num_images', num_images)
        self.num_images = num_images
        self.dataset = dataset

    def before_val_epoch(self, runner) -> None:
        """Measure."""
        self._measure(runner)

    def before_test_epoch(self, runner) -> None:
        """Measure, unless the checkpoint holds the number."""
        head = getattr(unwrap(runner.model), 'head', None)
        if getattr(head, 'threshold', None) is None or head.threshold > 1:
            self._measure(runner)

    @torch.no_grad()
    def _measure(self, runner) -> None:
        model = unwrap(runner.model)
        head = getattr(model, 'head', None)
        rules = getattr(head, 'rules', None)
        if rules is None or rules.threshold is not None:
            return
        dataset = DATASETS.build(copy.deepcopy(
            self.dataset or runner.cfg.train_dataloader.dataset))
        count = min(self.num_images, len(dataset))
        chosen = [i * len(dataset) // count for i in range(count)]
        total = torch.zeros(2, 2, dtype=torch.float64)
        training = model.training
        model.eval()
        for i in chosen[get_rank()::get_world_size()]:
            batch = model.data_preprocessor(
                pseudo_collate([dataset[i]]), False)
            total += head.pair_statistics(
                model.extract_feat(batch['inputs']),
                batch['data_samples']).cpu()
        model.train(training)
        total = total.to(head.threshold.device)
        all_reduce(total, 'sum')
        if (total[1] == 0).any():
            print_log(
                'no instance of two segments or no two instances in '
                f'{count} images: segments merge above 0.5; set '
                '`rules.threshold`, or a smaller `cell_area`', 'current',
                WARNING)
            head.threshold.fill_(.5)
            return
        within, between = (total[0] / total[1]).tolist()
        head.threshold.fill_(linkage_threshold(within, between))
        print_log(
            f'mean cosine within instances {within:.3f}, between {between:.3f}'
            f': segments merge above {float(head.threshold):.3f}', 'current')
