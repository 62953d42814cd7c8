"""Checkpoints of tfzhou/ContrastiveSeg become checkpoints of ours."""
import runpy
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from apis.convert.models import (deeplab_config, hrnet_config, load,
                                 ocr_config)
from apis.convert.synthetic import (BASE, CLASSES, DIMS, TOTAL, WIDTHS,
                                    State, deeplab_contrast, enlarge,
                                    hrnet_contrast, ocr_contrast, project,
                                    run, with_queues)

from mmpixsort.apis.convert import (convert_checkpoint,
                                    convert_contrastiveseg,
                                    describe_conversion)

TOOL = Path(__file__).resolve().parents[3] / (
    'tools/model_converters/convert_contrastiveseg.py')
MODELS = [(hrnet_contrast, hrnet_config), (ocr_contrast, ocr_config),
          (deeplab_contrast, deeplab_config)]


def convert(state, cfg, tmp_path, **options):
    torch.save(dict(config_dict={}, state_dict=dict(state)),
               tmp_path / 'x.pth')
    return convert_checkpoint(
        tmp_path / 'x.pth', tmp_path / 'y.pth', cfg,
        partial(convert_contrastiveseg, **options))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('state, config', MODELS,
                         ids=lambda f: getattr(f, '__name__', None))
def test_convert__projection_is_theirs(state, config, prefix, tmp_path):
    state, cfg = state(), config()
    done = convert({f'{prefix}{k}': v for k, v in state.items()}, cfg,
                   tmp_path)
    model = load(cfg, tmp_path / 'y.pth')
    feature = torch.randn(2, cfg.model.metric_head.in_channels, 5, 7)
    with torch.no_grad():
        found = model.metric_head.projection(feature)
    assert torch.allclose(found, project(state, feature), atol=1e-6)
    # every tensor of theirs is accounted for
    mapped = {name for name, _ in done.pairs}
    rest = {f'`{name}`: subtracted' for name in state if name not in mapped}
    assert rest == {note.partition(' from ')[0] for note in done.notes
                    if 'subtracted' in note}
    assert not done.left_out and not done.initial


def levels(widths):
    return [torch.randn(2, width, 16 // 2**i, 24 // 2**i)
            for i, width in enumerate(widths)]


def joined(maps):
    return torch.cat([enlarge(x, maps[0].shape[2:], True) for x in maps], 1)


@torch.no_grad()
def test_convert__hrnet_classifies_as_theirs(tmp_path):
    state, cfg = hrnet_contrast(), hrnet_config()
    convert(state, cfg, tmp_path)
    model = load(cfg, tmp_path / 'y.pth')
    maps = levels(WIDTHS)
    hidden = run(state, joined(maps), 'cls_head.0', 'cls_head.1.0')
    assert torch.allclose(model.decode_head(maps),
                          run(state, hidden, 'cls_head.3'), atol=1e-5)


@torch.no_grad()
def test_convert__ocr_classifies_as_theirs(tmp_path):
    state, cfg = ocr_contrast(), ocr_config()
    convert(state, cfg, tmp_path)
    model = load(cfg, tmp_path / 'y.pth')
    maps = levels(WIDTHS)
    feature = joined(maps)
    hidden = run(state, feature, 'aux_head.0', 'aux_head.1.0')
    coarse = run(state, hidden, 'aux_head.2')
    pixels = run(state, feature, 'conv3x3.0', 'conv3x3.1.0')
    # a mean of pixels for each class, and attention of pixels to these
    shares = coarse.flatten(2).softmax(2)
    classes = torch.einsum('bkn,bcn->bck', shares, pixels.flatten(2))
    block = 'ocr_distri_head.object_context_block'

    def through(x, part, count):
        for i in range(count):
            x = run(state, x, f'{block}.{part}.{2 * i}',
                    f'{block}.{part}.{2 * i + 1}.0')
        return x

    query = through(pixels, 'f_pixel', 2).flatten(2)
    key = through(classes[..., None], 'f_object', 2).flatten(2)
    value = through(classes[..., None], 'f_down', 1).flatten(2)
    weights = (query.transpose(1, 2) @ key / key.shape[1]**.5).softmax(2)
    context = (weights @ value.transpose(1, 2)).transpose(1, 2)
    context = through(context.unflatten(2, pixels.shape[2:]), 'f_up', 1)
    hidden = run(state, torch.cat([context, pixels], 1),
                 'ocr_distri_head.conv_bn_dropout.0',
                 'ocr_distri_head.conv_bn_dropout.1.0')
    found = model.decode_head[0](maps)
    assert torch.allclose(found, coarse, atol=1e-5)
    assert torch.allclose(model.decode_head[1](maps, found),
                          run(state, hidden, 'cls_head'), atol=1e-5)


@torch.no_grad()
def test_convert__deeplab_classifies_as_theirs(tmp_path):
    state, cfg = deeplab_contrast(), deeplab_config()
    convert(state, cfg, tmp_path)
    model = load(cfg, tmp_path / 'y.pth')
    maps = levels([BASE * width for width in (4, 8, 16, 32)])
    hidden = run(state, maps[2], 'decoder.layer_dsn.0',
                 'decoder.layer_dsn.1.0')
    assert torch.allclose(model.auxiliary_head(maps),
                          run(state, hidden, 'decoder.layer_dsn.2'),
                          atol=1e-5)
    top, aspp = maps[3], 'decoder.layer_aspp'
    branches = [run(state, top, f'{aspp}.b{i}.0', f'{aspp}.b{i}.1.0',
                    dilation=dilation)
                for i, dilation in enumerate((1, 12, 24, 36))]
    pooled = run(state, top.mean((2, 3), keepdim=True), f'{aspp}.b4.1',
                 f'{aspp}.b4.2.0')
    branches.append(pooled.expand(-1, -1, *top.shape[2:]))
    hidden = run(state, torch.cat(branches, 1), f'{aspp}.project.0',
                 f'{aspp}.project.1.0')
    hidden = run(state, hidden, 'decoder.refine.0', 'decoder.refine.1',
                 relu=False)
    assert torch.allclose(model.decode_head(maps),
                          run(state, hidden, 'decoder.refine.2'), atol=1e-4)


def test_convert__linear_projection(tmp_path):
    state, cfg = hrnet_contrast(), hrnet_config()
    for name in [name for name in state if name.startswith('proj_head.')]:
        del state[name]
    state.conv('proj_head.proj', DIMS, TOTAL, bias=True)
    cfg.model.metric_head.projection = dict(
        type='mmpixsort.ProjectionHead', linear=True)
    convert(state, cfg, tmp_path)
    model = load(cfg, tmp_path / 'y.pth')
    assert torch.equal(model.metric_head.projection[0].bias,
                       state['proj_head.proj.bias'])


def test_convert__names_all_that_does_not_fit(tmp_path):
    state = hrnet_contrast()
    del state['proj_head.proj.2.weight'], state['cls_head.0.bias']
    del state['backbone.conv1.weight']
    state['cls_head.3.weight'] = torch.zeros(21, TOTAL, 1, 1)
    state['backbone.stage4.1.branches.0.0.conv1.weight'] = torch.zeros(1)
    state['other.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match="'.*x.pth' cannot be conv") as error:
        convert(state, hrnet_config(), tmp_path)
    lines = {line.strip() for line in str(error.value).splitlines()[1:]}
    assert lines == {
        'missing: `proj_head.proj.2.weight`, needed for '
        f'`metric_head.projection.3.weight` of shape ({DIMS}, {TOTAL}, 1, 1)',
        'missing: `cls_head.0.bias`, which belongs to '
        '`cls_head.1.0.running_mean`',
        'missing: `backbone.conv1.weight`, needed for '
        '`backbone.conv1.weight` of shape (64, 3, 3, 3)',
        'wrong shape: `cls_head.3.weight` must have shape '
        f'({CLASSES}, {TOTAL}, 1, 1), as `decode_head.conv_seg.weight` in '
        f'the config, got (21, {TOTAL}, 1, 1)',
        'extra: `backbone.stage4.1.branches.0.0.conv1.weight` would become '
        '`backbone.stage4.1.branches.0.0.conv1.weight`, which the model of '
        'the config does not have',
        'extra: `other.weight` is no part of this layout',
    }
    assert not (tmp_path / 'y.pth').exists()


def test_convert__files_without_counters(tmp_path):
    state = {name: value for name, value in hrnet_contrast().items()
             if not name.endswith('num_batches_tracked')}
    cfg = hrnet_config()
    done = convert(state, cfg, tmp_path)
    load(cfg, tmp_path / 'y.pth')
    assert set(done.initial.values()) == {'a counter that old files lack'}


def test_convert__queues_are_dropped_by_default(tmp_path):
    cfg = hrnet_config(capacity=5)
    done = convert(with_queues(hrnet_contrast()), cfg, tmp_path)
    assert sorted(done.left_out) == [
        'pixel_queue', 'pixel_queue_ptr', 'segment_queue',
        'segment_queue_ptr']
    model = load(cfg, tmp_path / 'y.pth', strict=False)
    assert not len(model.metric_head.bank.entries().labels)


@pytest.mark.parametrize('queues', ['before_pointer', 'all'])
def test_convert__queues_fill_the_bank(queues, tmp_path):
    cfg = hrnet_config(capacity=5)
    state = with_queues(hrnet_contrast(), 5)
    done = convert(state, cfg, tmp_path, queues=queues)
    bank = load(cfg, tmp_path / 'y.pth').metric_head.bank
    keys, labels = bank.read()
    keys = keys.unflatten(1, (2, 5))
    labels = labels.unflatten(1, (2, 5))
    for section, name in enumerate(('pixel', 'segment')):
        for label in range(CLASSES):
            pointer = int(state[f'{name}_queue_ptr'][label])
            count = 5 if queues == 'all' else pointer
            count *= label > 0  # class 0 was never written
            assert labels[label, section].tolist() == (
                [label] * count + [-1] * (5 - count))
            assert torch.equal(keys[label, section, :count],
                               state[f'{name}_queue'][label, :count])
            if label:  # the next row takes their next place
                assert bank.written[2 * label + section] % 5 == pointer
    assert f"bank: {(labels >= 0).sum()} rows, taken by queues='{queues}'" in (
        done.notes)
    assert not done.initial


@pytest.mark.parametrize('state, bank, queues, message', [
    (hrnet_contrast, 5, 'all', "must be 'drop' for a file without queues"),
    (lambda: with_queues(hrnet_contrast()), None, 'all',
     "must be 'drop' for a config without a bank, got 'all'"),
    (lambda: with_queues(hrnet_contrast()), 7, 'all',
     '19 classes of 5 rows of 6 dims each'),
    (lambda: with_queues(hrnet_contrast()), 5, 'some', '`queues` must be'),
    (lambda: State({'encoder_q.a': torch.zeros(1)}), 5, 'drop',
     'missing: pixel_queue, pixel_queue_ptr, segment_queue'),
    (lambda: State(fc=torch.zeros(1)), 5, 'drop', 'got no `proj_head'),
])
def test_convert__errors(state, bank, queues, message, tmp_path):
    cfg = hrnet_config(**(dict(capacity=bank) if bank else {}))
    with pytest.raises(ValueError, match=message):
        convert(state(), cfg, tmp_path, queues=queues)


def test_describe__lists_parts_or_every_tensor(tmp_path):
    done = convert(with_queues(hrnet_contrast()), hrnet_config(capacity=5),
                   tmp_path)
    lines = describe_conversion(done).splitlines()
    assert '  cls_head.0.* -> decode_head.convs.*: 1' in lines
    assert '`cls_head.0.bias`: subtracted from `cls_head.1.0.running_mean`' \
        in lines
    assert 'kept at initial values: metric_head.bank.*: 2 (the bank starts ' \
        'empty)' in lines
    lines = describe_conversion(done, verbose=True).splitlines()
    assert '  cls_head.3.weight -> decode_head.conv_seg.weight' in lines
    assert any(line.startswith('left out: pixel_queue_ptr (') for line in
               lines)


def test_tool__from_the_command_line(tmp_path, monkeypatch, capsys):
    cfg = deeplab_config()
    cfg.dump(tmp_path / 'small.py')
    torch.save(dict(deeplab_contrast()), tmp_path / 'x.pth')
    files = [tmp_path / 'x.pth', tmp_path / 'y.pth', '--config',
             tmp_path / 'small.py']

    def call(*words):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, words)])
        runpy.run_path(str(TOOL), run_name='__main__')

    call(*files)
    assert 'layout: deeplab_v3_contrast' in capsys.readouterr().out
    load(cfg, tmp_path / 'y.pth')
    with pytest.raises(SystemExit, match="^error: '.*x.pth' cannot be conv"):
        call(*files, '--queues', 'all')
    with pytest.raises(SystemExit):
        call('--help')
    assert 'fcn-hr48-released' in capsys.readouterr().out
