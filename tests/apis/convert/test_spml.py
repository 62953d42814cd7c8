"""Checkpoints of twke18/SPML become checkpoints of ours."""
import runpy
import sys
from pathlib import Path

import pytest
import torch
from apis.convert.models import load, spml_config
from apis.convert.synthetic import (BASE, DIMS, enlarge, run, spml,
                                    spml_classifier)
from torch.nn import functional as F

from mmpixsort.apis.convert import (convert_checkpoint, convert_spml,
                                    describe_conversion)

TOOL = Path(__file__).resolve().parents[3] / (
    'tools/model_converters/convert_spml.py')


def convert(content, cfg, tmp_path):
    torch.save(content, tmp_path / 'x.pth')
    return convert_checkpoint(tmp_path / 'x.pth', tmp_path / 'y.pth', cfg,
                              convert_spml)


def whole(kind):
    return dict(embedding_model=dict(spml(kind)),
                prediction_model=dict(spml_classifier()))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_convert__leaves_out_what_has_no_place(tmp_path):
    done = convert(whole('pspnet'), spml_config('pspnet'), tmp_path)
    assert set(done.left_out) == set(spml_classifier())
    assert {name.rpartition('.')[0] for name in done.initial} == {
        'decode_head.conv_seg', 'metric_head.bank'}
    report = describe_conversion(done)
    assert 'left out: semantic_classifier.*: 8 (' in report
    assert 'resnet_backbone.res2.* -> backbone.layer1.*: 60' in report
    load(spml_config('pspnet'), tmp_path / 'y.pth', strict=False)


@torch.no_grad()
def test_convert__pspnet_embeds_as_theirs(tmp_path):
    state, cfg = spml('pspnet'), spml_config('pspnet')
    convert(dict(state), cfg, tmp_path)  # the embedding model alone
    model = load(cfg, tmp_path / 'y.pth', strict=False)
    top = torch.randn(2, 32 * BASE, 12, 18)
    parts = [top]
    for i, size in enumerate((1, 2, 3, 6), 1):
        pooled = run(state, F.adaptive_avg_pool2d(top, size),
                     f'pspp.0.pspp_{i}.1', f'pspp.0.pspp_{i}.2')
        parts.append(enlarge(pooled, top.shape[2:], False))
    feature = run(state, torch.cat(parts, 1), 'pspp.0.conv.0',
                  'pspp.0.conv.1')
    levels = [None] * 3 + [top]
    found = model.decode_head._forward_feature(levels)
    assert torch.allclose(found, feature, atol=1e-5)
    want = F.normalize(run(state, feature, 'pspp.1'), dim=1)
    projection = model.metric_head.projection
    projection.upsample = 1  # theirs is enlarged before it is normalised
    assert torch.allclose(projection(found), want, atol=1e-5)


@torch.no_grad()
def test_convert__deeplab_embeds_as_theirs(tmp_path):
    state, cfg = spml('deeplab'), spml_config('deeplab')
    convert(dict(embedding_model=dict(state)), cfg, tmp_path)
    model = load(cfg, tmp_path / 'y.pth', strict=False)
    top = torch.randn(2, 32 * BASE, 12, 18)
    summed = sum(run(state, top, f'aspp.aspp_{i}.0', dilation=6 * i)
                 for i in (1, 2, 3, 4))
    want = F.normalize(enlarge(summed, (24, 36), False), dim=1)
    assert torch.allclose(model.metric_head.projection(top), want, atol=1e-6)


@torch.no_grad()
def test_convert__backbone_takes_their_stem(tmp_path):
    """The first layers, of which names and places differ most."""
    state, cfg = spml('deeplab'), spml_config('deeplab')
    convert(dict(state), cfg, tmp_path)
    model = load(cfg, tmp_path / 'y.pth', strict=False)
    image = torch.randn(1, 3, 33, 41)
    x, stem = image, 'resnet_backbone.conv1'
    for conv, norm, stride in (('conv1.0', 'conv1.1', 2),
                               ('conv1.3', 'conv1.4', 1),
                               ('conv1.6', 'bn1', 1)):
        x = run(state, x, f'{stem}.{conv}')[..., ::stride, ::stride]
        x = F.batch_norm(x, *(state[f'{stem}.{norm}.{part}'] for part in (
            'running_mean', 'running_var', 'weight', 'bias'))).relu()
    assert torch.allclose(model.backbone.stem(image), x, atol=1e-5)


@pytest.mark.parametrize('change, message', [
    (lambda state: state.pop('aspp.aspp_2.0.bias'),
     'missing: `aspp.aspp_2.0.bias`, needed for '
     '`metric_head.projection.convs.1.bias`'),
    (lambda state: state.update({'aspp.aspp_5.0.bias': torch.zeros(1)}),
     'extra: `aspp.aspp_5.0.bias` is no part'),
    (lambda state: state.update({'aspp.aspp_1.0.bias': torch.zeros(9)}),
     rf'wrong shape: `aspp.aspp_1.0.bias` must have shape \({DIMS},\)'),
    (lambda state: [state.pop(name) for name in list(state)
                    if name.startswith('aspp.')],
     'got neither `pspp'),
])
def test_convert__errors(change, message, tmp_path):
    state = spml('deeplab')
    change(state)
    with pytest.raises(ValueError, match=message):
        convert(dict(state), spml_config('deeplab'), tmp_path)


def test_convert__wrong_files(tmp_path):
    cfg = spml_config('deeplab')
    with pytest.raises(ValueError, match='`target` must end in .pth'):
        convert_checkpoint(tmp_path / 'x.pth', tmp_path / 'y', cfg,
                           convert_spml)
    with pytest.raises(FileNotFoundError):
        convert_checkpoint(tmp_path / 'x.pth', tmp_path / 'y.pth', cfg,
                           convert_spml)
    with pytest.raises(ValueError, match='must hold a state dict, got list'):
        convert([1], cfg, tmp_path)


def test_tool__from_the_command_line(tmp_path, monkeypatch, capsys):
    spml_config('deeplab').dump(tmp_path / 'small.py')
    torch.save(whole('deeplab'), tmp_path / 'x.pth')
    monkeypatch.setattr(sys, 'argv', [
        str(TOOL), str(tmp_path / 'x.pth'), str(tmp_path / 'y.pth'),
        '--config', str(tmp_path / 'small.py'), '--verbose'])
    runpy.run_path(str(TOOL), run_name='__main__')
    assert ('  aspp.aspp_4.0.bias -> metric_head.projection.convs.3.bias'
            in capsys.readouterr().out)
    assert (tmp_path / 'y.pth').is_file()
