"""The hook in runs of a few iterations."""
import re

import pytest
import tiny
import torch
from mmengine.hooks import SyncBuffersHook  # noqa: F401  registers it

from mmpixsort.compat import family
from mmpixsort.hooks.memory_bank_hook import (MemoryBankHook, bank_problems,
                                              check_labels,
                                              checkpoint_problems)
from mmpixsort.hooks.rng_state import set_rng_state

# the loop of onedl-mmengine moves its sampler on and does not replay the
# loader, so that augmentation goes on differently; it also loads
# checkpoints by a list of its own
classic = pytest.mark.skipif(
    family() != 'classic', reason='holds for the classic mmengine')


def _bits(state):
    return {k: v.clone() for k, v in state.items()}


MODELS = dict(
    contrast=tiny.attached(),
    sorting=tiny.sorting(bank=tiny.PROTOTYPE_QUEUE))
methods = pytest.mark.parametrize('method', MODELS)


def _train(work_dir, model=None, **arguments):
    runner = tiny.runner(work_dir, model or tiny.attached(), **arguments)
    runner.train()
    return runner


@classic
@methods
@pytest.mark.parametrize('workers', [0, 2])
def test_resume__equals_the_unbroken_run(tmp_path, one_thread, workers,
                                         method):
    model = MODELS[method]
    whole = _train(tmp_path / 'whole', model, iters=6, save=3,
                   workers=workers)
    torch.rand(5)  # another random state
    resumed = _train(
        tmp_path / 'rest', model, iters=6, save=3, workers=workers,
        resume=True,
        load_from=str(tmp_path / 'whole' / 'iter_3.pth'))
    want, got = whole.model.state_dict(), resumed.model.state_dict()
    assert want['metric_head.bank.written'].sum() > 0
    for name, value in want.items():
        assert torch.equal(value, got[name]), name


def test_resume__by_epochs_equals_the_unbroken_run(tmp_path, one_thread):
    whole = _train(tmp_path / 'whole', iters=4, epochs=True, save=2)
    resumed = _train(
        tmp_path / 'rest', iters=4, epochs=True, save=2, resume=True,
        load_from=str(tmp_path / 'whole' / 'epoch_2.pth'))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_resume__without_the_random_state_would_differ(tmp_path, one_thread,
                                                       monkeypatch):
    """The dropout of the host is what the stored state is for."""
    whole = _train(tmp_path / 'whole', iters=4, save=2)
    monkeypatch.setattr('mmpixsort.hooks.memory_bank_hook.set_rng_state',
                        lambda state: None)
    resumed = _train(
        tmp_path / 'rest', iters=4, resume=True,
        load_from=str(tmp_path / 'whole' / 'iter_2.pth'))
    name = 'decode_head.conv_seg.weight'
    assert not torch.equal(whole.model.state_dict()[name],
                           resumed.model.state_dict()[name])


@classic
@methods
def test_resume__under_ema(tmp_path, one_thread, method):
    model = MODELS[method]
    ema = [dict(type='EMAHook', momentum=0.1)]
    whole = _train(tmp_path / 'whole', model, iters=4, save=2, hooks=ema)
    resumed = _train(
        tmp_path / 'rest', model, iters=4, hooks=ema, resume=True,
        load_from=str(tmp_path / 'whole' / 'iter_2.pth'))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


@methods
@pytest.mark.parametrize('update_buffers', [True, False])
def test_bank__is_the_same_with_and_without_ema(tmp_path, one_thread,
                                                update_buffers, method):
    plain = _train(tmp_path / 'plain', MODELS[method], iters=4)
    ema = _train(
        tmp_path / 'ema', MODELS[method], iters=4,
        hooks=[dict(type='EMAHook', update_buffers=update_buffers)])
    for name in ('keys', 'written'):
        assert torch.equal(
            getattr(plain.model.metric_head.bank, name),
            getattr(ema.model.metric_head.bank, name))


@methods
@pytest.mark.parametrize('ema_first', [True, False])
def test_checkpoint__holds_the_bank_as_it_is_under_averaged_buffers(
        tmp_path, one_thread, method, ema_first):
    hooks = [dict(type='EMAHook', update_buffers=True, momentum=.5,
                  priority='HIGH' if ema_first else 'NORMAL')]
    run = _train(tmp_path, MODELS[method], iters=4, hooks=hooks)
    saved = torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    bank = run.model.metric_head.bank.state_dict()
    assert bank['written'].sum() > 0
    for name, value in bank.items():
        assert torch.equal(
            value, saved['state_dict'][f'metric_head.bank.{name}']), name


@methods
@pytest.mark.parametrize('hooks', [[], [dict(type='EMAHook')]])
def test_load_from__starts_with_an_empty_bank(tmp_path, method, hooks,
                                              monkeypatch):
    """Its rows may be of other classes, whatever their shape."""
    _train(tmp_path / 'first', MODELS[method], iters=2)
    checkpoint = tmp_path / 'first' / 'iter_2.pth'
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    assert state['metric_head.bank.written'].sum() > 0
    run = tiny.runner(
        tmp_path / 'second', MODELS[method], iters=1, hooks=hooks,
        load_from=str(checkpoint))
    run.call_hook('before_run')
    run.load_or_resume()
    bank = run.model.metric_head.bank
    assert bank.written.sum() == 0 and bank.keys.abs().sum() == 0
    name = 'backbone.conv1.weight'
    assert torch.equal(run.model.state_dict()[name], state[name])


def test_gradient_accumulation__fills_the_bank_each_iteration(tmp_path):
    once = _train(tmp_path / 'once', iters=4)
    twice = _train(tmp_path / 'twice', iters=4, accumulate=2)
    assert torch.equal(once.model.metric_head.bank.written,
                       twice.model.metric_head.bank.written)


def test_sync_buffers_hook__is_refused(tmp_path):
    with pytest.raises(ValueError, match='SyncBuffersHook averages every'):
        _train(tmp_path, hooks=[dict(type='SyncBuffersHook')])


def _other_bank():
    bank = dict(type='mmpixsort.ClassQueue', capacity=7)
    return tiny.attached(bank=bank)


def test_bank_of_another_shape__raises_on_resume(tmp_path):
    _train(tmp_path / 'first', iters=2)
    checkpoint = str(tmp_path / 'first' / 'iter_2.pth')
    with pytest.raises(ValueError, match='cannot resume: bank `metric_head'):
        _train(tmp_path / 'second', _other_bank(), iters=4, resume=True,
               load_from=checkpoint)


def test_bank_of_another_shape__warns_on_load_from(tmp_path, capfd):
    _train(tmp_path / 'first', iters=2)
    checkpoint = str(tmp_path / 'first' / 'iter_2.pth')
    runner = _train(
        tmp_path / 'second', _other_bank(), iters=1, load_from=checkpoint)
    out = ''.join(capfd.readouterr())
    assert re.search(r'bank `metric_head.bank.keys` has shape.*starts empty',
                     out)
    assert runner.model.metric_head.bank.written.max() <= 2 * 3


def test_bank_problems__names_a_missing_bank():
    model = tiny.build(tiny.attached())
    problems = list(bank_problems(model, {}))
    assert len(problems) == 2 and 'is not in the checkpoint' in problems[0]
    assert list(bank_problems(model, model.state_dict())) == []


def test_labels__are_checked_before_the_first_step(tmp_path, monkeypatch):
    def seven(self, index):
        labels = torch.zeros(1, 32, 32, dtype=torch.long)
        labels[0, 3, 3] = 7
        return dict(inputs=torch.rand(3, 32, 32),
                    data_samples=tiny.sample(labels, index))

    monkeypatch.setattr(tiny.NoisyBlocks, '__getitem__', seven)
    runner = tiny.runner(tmp_path, tiny.attached())
    before = _bits(runner.model.state_dict())
    text = r'labels must lie in \[0, 4\) .* got \[7\] in image_\d+'
    with pytest.raises(ValueError, match=text):
        runner.train()
    after = runner.model.state_dict()
    assert runner.iter == 0
    for name, value in before.items():
        if name.startswith('metric_head.'):
            assert torch.equal(value, after[name]), name


def test_check_labels__bounds():
    good = torch.tensor([[[0, 3, 255]]])
    check_labels([tiny.sample(good)], 4, 255)
    for value in (-1, 4, 254):
        bad = torch.tensor([[[0, value, 255]]])
        with pytest.raises(ValueError, match=rf'got \[{value}\]'):
            check_labels([tiny.sample(bad)], 4, 255)


def test_nan__raises_at_the_log_interval_with_the_iteration(tmp_path,
                                                            monkeypatch):
    def image(self, index, inner=tiny.NoisyBlocks.__getitem__):
        item = inner(self, index)
        self.calls = getattr(self, 'calls', 0) + 1
        if self.calls > 2:  # from the second batch on
            item['inputs'][:] = float('nan')
        return item

    monkeypatch.setattr(tiny.NoisyBlocks, '__getitem__', image)
    runner = tiny.runner(tmp_path, tiny.attached(), iters=8)
    with pytest.raises(FloatingPointError, match='since iteration 1;'):
        runner.train()
    assert runner.iter == 1  # LoggerHook's interval is 2


@pytest.mark.parametrize('iters', [1, 3])
def test_nan__in_the_last_iteration_is_raised(tmp_path, iters):
    model = tiny.attached()
    runner = tiny.runner(tmp_path, model, iters=iters)
    runner.model.metric_head.nonfinite_iter.fill_(0)
    with pytest.raises(FloatingPointError, match='since iteration 0;'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


def test_nan__of_two_heads_names_the_first(tmp_path):
    config = tiny.attached()
    config.metric_head = [tiny.metric_head(bank=None) for _ in range(3)]
    runner = tiny.runner(tmp_path, config, iters=1)
    for head, iteration in zip(runner.model.metric_head, (9, -1, 3)):
        head.nonfinite_iter.fill_(iteration)
    text = (r'of metric_head.0, embeddings of metric_head.2 are .* since '
            'iteration 3;')
    with pytest.raises(FloatingPointError, match=text):
        runner.train()


@pytest.mark.parametrize('save', [1, 3])
def test_nan__of_a_loss_is_never_saved(tmp_path, save, monkeypatch):
    model = tiny.host()  # no metric head at all
    runner = tiny.runner(tmp_path, model, iters=9, save=save)
    runner.register_hook(MemoryBankHook(interval=100))
    forward = type(runner.model.decode_head).loss

    def loss(self, *args, **kwargs):
        parts = forward(self, *args, **kwargs)
        scale = float('nan') if runner.iter == 4 else 1.
        return {name: value * scale for name, value in parts.items()}

    monkeypatch.setattr(type(runner.model.decode_head), 'loss', loss)
    with pytest.raises(FloatingPointError, match='losses are not finite since'
                       ' iteration 4;'):
        runner.train()
    saved = sorted(tmp_path.glob('iter_*.pth'))
    assert saved and all(
        int(path.stem[5:]) <= 4 for path in saved)


@pytest.mark.parametrize('keep, accumulate, save, words', [
    (1, 1, 2, ['max_keep_ckpts=1']),
    (2, 2, 3, ['multiples of 2']),
    (1, 2, 3, ['max_keep_ckpts=1', 'multiples of 2']),
    (2, 2, 4, []),
    (-1, 1, 3, []),
])
def test_checkpoints__that_may_lose_work_are_named(tmp_path, keep, accumulate,
                                                   save, words):
    runner = tiny.runner(tmp_path, tiny.attached(), iters=4, save=save,
                         accumulate=accumulate)
    for hook in runner.hooks:
        if hasattr(hook, 'max_keep_ckpts'):
            hook.max_keep_ckpts = keep
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    found = list(checkpoint_problems(runner))
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found))


def test_load_from__a_bare_state_dict(tmp_path):
    model = tiny.build(tiny.attached())
    model.metric_head.bank.enqueue(torch.eye(8)[:2], torch.tensor([0, 1]))
    torch.save(model.state_dict(), tmp_path / 'bare.pth')
    runner = tiny.runner(tmp_path / 'run', tiny.attached(), iters=1,
                         load_from=str(tmp_path / 'bare.pth'))
    runner.load_or_resume()
    assert runner.model.metric_head.bank.written.sum() == 0
    name = 'backbone.conv1.weight'
    assert torch.equal(
        runner.model.state_dict()[name], model.state_dict()[name])


@classic
def test_checkpoint__loads_with_weights_only(tmp_path):
    import mmpixsort  # noqa: F401  registers mmengine's history as safe
    _train(tmp_path, iters=2)
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=True)
    state, = checkpoint['mmpixsort_rng']
    set_rng_state(state)
    assert torch.equal(torch.get_rng_state(), state['cpu'])


@pytest.mark.parametrize('warmup, epochs, text', [
    (4, False, r'of `metric_head` .* 4 iterations, got 4, .* stay 0'),
    (8, True, r'8 iterations, got 8, .* to 1, an eighth'),
])
def test_warmup__must_end_within_the_schedule(tmp_path, warmup, epochs, text):
    model = tiny.attached(warmup_iters=warmup)
    with pytest.raises(ValueError, match=text):
        tiny.runner(tmp_path, model, iters=4, epochs=epochs).train()
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('config', [
    tiny.attached(warmup_iters=3),
    tiny.sorting(warmup_iters=3),
    tiny.host(auxiliary_head=tiny.metric_head(warmup_iters=3)),
])
def test_warmup__that_fits_trains(tmp_path, config):
    runner = tiny.runner(tmp_path, config, iters=4)
    runner.train()
    assert runner.iter == 4


def test_warmup__of_every_head_is_checked(tmp_path):
    """Of heads in a list, and of a head as auxiliary head of the host."""
    two = tiny.attached()
    two.metric_head = [tiny.metric_head(bank=None),
                       tiny.sorting_head(warmup_iters=9)]
    auxiliary = tiny.host(auxiliary_head=tiny.metric_head(warmup_iters=9))
    for config, name in ((two, 'metric_head.1'),
                         (auxiliary, 'auxiliary_head')):
        with pytest.raises(ValueError, match=f'of `{name}` .* got 9'):
            tiny.runner(tmp_path, config, iters=4).train()
