"""Hook that guards runs with metric heads and memory banks."""
import logging
from typing import Iterator, Optional, Sequence, Tuple

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook, LoggerHook, SyncBuffersHook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop
from torch import Tensor, nn

from mmpixsort.layers.schedule import check_warmup
from mmpixsort.registry import HOOKS
from mmpixsort.utils.wrapped import unwrap

from .class_checks import (check_classes, check_instance_labels,
                           heads_with_classes)
from .plain_checkpoint import make_plain, restore_plain
from .rng_state import gather_rng_states, get_rng_state, set_rng_state
from .saving import checkpoint_hooks, saves_after_epoch, saves_after_iter

RNG_KEY = 'mmpixsort_rng'
WARNING = logging.WARNING
NEVER = 1 << 62  # later than any iteration


@HOOKS.register_module()
class MemoryBankHook(Hook):
    """Check the input of metric heads, and save and resume banks exactly.

    Use it in every run with a metric head, also with one that has no bank.

    - When training starts, the numbers of classes of heads, data set and
      pipeline are compared. The labels of every batch are checked on the
      CPU, before the training step.
    - Embeddings and losses that are not finite raise an error on all ranks,
      at the next check and before a checkpoint is saved. The error names the
      iteration at which they first occurred.
    - Checkpoints contain the state of torch's random generators on every
      rank. A resumed run restores it after its loader has been replayed, so
      that with `randomness.seed` set it equals an uninterrupted run.
      Validation, which draws a seed for its loader, leaves that state
      unchanged.
    - Checkpoints contain only tensors and plain types, so `torch.load` and
      the inferencers of the hosts read them without this package.
    - A warm-up that does not end within the schedule raises an error, as the
      loss would stay 0 to the end.
    - On resume, a bank that is missing or has another shape raises an error.
      With `load_from`, which starts a new training, perhaps on other classes,
      every bank starts empty.
    - Checkpoints contain the bank of the trained model, even if EMAHook
      averages buffers.
    - `SyncBuffersHook` raises an error, as it would average the entries and
      pointers of banks over ranks.

    Args:
        check_labels: Whether to compare numbers of classes and to check the
            labels of every batch.
        interval: Number of iterations between checks for embeddings and
            losses that are not finite; None takes that of LoggerHook, or 50
            without one.
    """

    # after EMAHook, which swaps the weights that are saved
    priority = 'BELOW_NORMAL'

    def __init__(self,
                 *,
                 check_labels: bool = True,
                 interval: Optional[int] = None) -> None:
        self.check_labels = check_labels
        self.interval = interval
        self._rng_states = None
        self._before_val = None
        self._rng_iter = -1
        self._restore = None
        # iteration of the first loss that was not finite; on the device, so
        # that no iteration waits for it
        self._bad_loss_iter: Optional[Tensor] = None

    def before_run(self, runner) -> None:
        """Raise ValueError if the run has a SyncBuffersHook."""
        for hook in runner.hooks:
            if isinstance(hook, SyncBuffersHook):
                raise ValueError(
                    'SyncBuffersHook averages every buffer over ranks, also '
                    'memory banks and their pointers: remove it from '
                    '`custom_hooks` and use SyncBN, whose statistics need '
                    'no averaging')

    def before_train(self, runner) -> None:
        """Check warm-up and classes; warn if checkpoints may lose work.

        Raises:
            ValueError: If a warm-up does not end, or classes do not agree.
        """
        for name, head in _metric_heads(runner.model):
            check_warmup(
                runner.max_iters,
                warmup_iters=getattr(head, 'warmup_iters', 0),
                owner=f'`{name}`')
        for problem in checkpoint_problems(runner):
            print_log(problem, 'current', WARNING)
        if self.check_labels:
            check_classes(runner.model, runner.train_loop.dataloader.dataset)
        if self.interval is None:
            self.interval = next((hook.interval for hook in runner.hooks
                                  if isinstance(hook, LoggerHook)), 50)

    def before_train_iter(self,
                          runner,
                          batch_idx: int,
                          data_batch: Optional[dict] = None) -> None:
        """Restore the random state of a resumed run and check the labels."""
        self._restore_rng()
        if self.check_labels and isinstance(data_batch, dict):
            samples = data_batch.get('data_samples') or ()
            for _, head in heads_with_classes(runner.model):
                check_instance_labels(samples, head)
                if hasattr(head, 'ignore_index'):  # semantic labels
                    check_labels(samples, head.num_classes, head.ignore_index)

    def before_train_epoch(self, runner) -> None:
        """Restore the random state of a resumed epoch-based run.

        This is done here because the loader of an epoch draws its seed
        before the first iteration.
        """
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._restore_rng()

    def before_val_epoch(self, runner) -> None:
        """Remember the random state of training."""
        self._before_val = get_rng_state()

    def after_val_epoch(self,
                        runner,
                        metrics: Optional[dict] = None) -> None:
        """Restore the random state of training."""
        set_rng_state(self._before_val)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Check that values are finite; store the random state if saving."""
        self._note_losses(runner, outputs or {})
        if self.every_n_train_iters(
                runner, self.interval) or self.is_last_train_iter(runner):
            self._raise_if_not_finite(runner)
        if saves_after_iter(runner):
            self._raise_if_not_finite(runner)
            self._note_rng(runner)

    def after_train_epoch(self, runner) -> None:
        """Check that values are finite and store random states, if saving."""
        if saves_after_epoch(runner):
            self._raise_if_not_finite(runner)
            self._note_rng(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add random states and live banks, and reduce it to plain types."""
        state_dict = checkpoint.get('state_dict', {})
        for name, value in bank_states(runner.model):
            if name in state_dict:
                state_dict[name] = value.cpu()
        make_plain(checkpoint)
        if get_world_size() == 1:
            self._note_rng(runner)
        if self._rng_iter == runner.iter:
            checkpoint[RNG_KEY] = self._rng_states

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check or empty the banks, and keep the random state for training.

        Raises:
            ValueError: If a run resumes with a bank that does not fit.
        """
        restore_plain(checkpoint)
        # a checkpoint may also be a bare state dict
        state_dict = checkpoint.get('state_dict', checkpoint)
        for problem in bank_problems(runner.model, state_dict):
            if runner._resume:
                raise ValueError(
                    f'cannot resume: {problem}; resume with the config of '
                    'the saved run, or start a new run with `load_from`')
            print_log(f'{problem}: the bank starts empty', 'current', WARNING)
        if not runner._resume:
            for name, value in bank_states(runner.model):
                if name in state_dict:  # replaces keys of the old run
                    state_dict[name] = value.clone()
            return
        states = checkpoint.get(RNG_KEY)
        if states is None or len(states) != get_world_size():
            print_log(
                'the checkpoint holds no random state for '
                f'{get_world_size()} ranks: this run will not exactly equal '
                'an uninterrupted run', 'current', WARNING)
            return
        self._restore = states[get_rank()]

    def _restore_rng(self) -> None:
        if self._restore is not None:
            set_rng_state(self._restore)
            self._restore = None

    def _note_rng(self, runner) -> None:
        self._rng_states = gather_rng_states()
        self._rng_iter = runner.iter

    def _note_losses(self, runner, outputs: dict) -> None:
        """Remember the iteration of the first loss that is not finite."""
        losses = [value.detach().float().sum()
                  for name, value in outputs.items()
                  if 'loss' in name and isinstance(value, Tensor)]
        if not losses:
            return
        finite = torch.stack(losses).isfinite().all()
        if self._bad_loss_iter is None:
            self._bad_loss_iter = torch.full(
                (), NEVER, device=finite.device)
        self._bad_loss_iter.masked_fill_(
            ~finite & (self._bad_loss_iter == NEVER), runner.iter)

    def _raise_if_not_finite(self, runner) -> None:
        heads = list(_metric_heads(runner.model))
        names = [f'embeddings of {name}' for name, _ in heads]
        first = [head.nonfinite_iter for _, head in heads]
        if self._bad_loss_iter is not None:
            names.append('losses')
            first.append(self._bad_loss_iter)
        if not first:
            return
        first = torch.stack(first)
        first = first.masked_fill(first < 0, NEVER)
        all_reduce(first, 'min')
        iteration = int(first.min())
        if iteration < NEVER:
            found = ', '.join(
                name for name, i in zip(names, first.tolist()) if i < NEVER)
            raise FloatingPointError(
                f'{found} are not finite since iteration '
                f'{iteration}; lower the learning rate, clip gradients '
                '(`optim_wrapper.clip_grad`) or train without AMP, and '
                'resume from a checkpoint before that iteration')


def check_labels(data_samples: Sequence, num_classes: int,
                 ignore_index: int) -> None:
    """Raise ValueError if a label is neither a class nor ignored.

    Args:
        data_samples: Data samples of mmseg or mmdet on the CPU. Those
            without a semantic map are skipped.
        num_classes: Number C of classes.
        ignore_index: The only label outside [0, C) that is allowed.
    """
    for sample in data_samples:
        field = getattr(sample, 'gt_sem_seg', None)
        if field is None:
            continue
        labels = field.data if 'data' in field else field.sem_seg
        bad = _bad_labels(labels, num_classes, ignore_index)
        if bad.any():
            values = labels[bad].unique().tolist()
            raise ValueError(
                f'labels must lie in [0, {num_classes}) or be '
                f'`ignore_index` {ignore_index}, got {values} in '
                f'{sample.get("seg_map_path", sample.get("img_path"))}; map '
                'them in the data set (`reduce_zero_label`, `metainfo`) or '
                'set `num_classes`')


def _bad_labels(labels: Tensor, num_classes: int,
                ignore_index: int) -> Tensor:
    outside = (labels < 0) | (labels >= num_classes)
    return outside & (labels != ignore_index)


def bank_problems(model: nn.Module, state_dict: dict) -> Iterator[str]:
    """Yield a message for each bank that a checkpoint lacks or misfits.

    Args:
        model: The model, bare or wrapped.
        state_dict: State dict of the checkpoint, for the bare model.
    """
    for name, value in bank_states(model):
        saved = state_dict.get(name)
        if saved is None:
            yield f'bank `{name}` is not in the checkpoint'
        elif saved.shape != value.shape:
            yield (f'bank `{name}` has shape {tuple(saved.shape)} in the '
                   f'checkpoint and {tuple(value.shape)} in the model')


def bank_states(model: nn.Module) -> Iterator[Tuple[str, Tensor]]:
    """Yield the state dict entries of all memory banks of a model.

    Args:
        model: The model, bare or wrapped.

    Yields:
        Name in the state dict of the bare model, and value.
    """
    for name, bank in unwrap(model).named_modules():
        if hasattr(bank, 'enqueue') and hasattr(bank, 'read'):
            for key, value in bank.state_dict().items():
                yield f'{name}.{key}', value


def checkpoint_problems(runner) -> Iterator[str]:
    """Yield a message for each checkpoint setting that may lose work.

    Args:
        runner: Runner that has not trained yet.
    """
    counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    for hook in checkpoint_hooks(runner):
        if hook.max_keep_ckpts == 1:
            yield ('`max_keep_ckpts=1` removes the only checkpoint before the '
                   'next one is written: a run that is killed in between '
                   'cannot be resumed; set 2 or more')
        if counts > 1 and not hook.by_epoch and hook.interval % counts:
            yield (f'checkpoints every {hook.interval} iterations lose '
                   f'gradients, which are accumulated over {counts} '
                   'iterations and not saved: a resumed run will not exactly '
                   'equal an uninterrupted run; save at multiples of '
                   f'{counts}')


def _metric_heads(model: nn.Module) -> Iterator[Tuple[str, nn.Module]]:
    """Yield names and modules that record embeddings that are not finite."""
    for name, module in unwrap(model).named_modules():
        if 'nonfinite_iter' in module._buffers:
            yield name, module
