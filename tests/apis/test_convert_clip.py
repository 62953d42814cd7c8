"""Checkpoints of CLIP, from the function and from the tool."""
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import get_state_dict
from open_clip_shim import assert_same_clip, random_clip, tiny_settings
from torch import nn

from mmpixsort.apis.convert_clip import convert_clip, describe_clip
from mmpixsort.text.encoders.clip_weights import read_clip
from mmpixsort.text.encoders.open_clip_dual import OpenCLIPDual

TOOL = Path(__file__).resolve().parents[2] / 'tools' / (
    'model_converters/convert_clip.py')


@pytest.fixture(scope='module')
def model():
    return random_clip()


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_convert_clip__for_init_cfg(model, tmp_path, prefix):
    state = {f'{prefix}{k}': v for k, v in model.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'x.pt')
    weights = convert_clip(tmp_path / 'x.pt', tmp_path / 'x.pth')
    dual = OpenCLIPDual(model_name=tiny_settings(), init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'x.pth')))
    dual.init_weights()
    assert_same_clip(dual, model)
    assert not weights.unknown
    # what it writes, it reads
    assert set(read_clip(tmp_path / 'x.pth').state) == set(weights.state)


def test_convert_clip__half_becomes_float32(model, tmp_path):
    state = {k: v.half() for k, v in model.state_dict().items()}
    torch.save(state, tmp_path / 'x.pt')
    convert_clip(tmp_path / 'x.pt', tmp_path / 'x.pth')
    content = torch.load(tmp_path / 'x.pth', weights_only=True)
    assert {tensor.dtype for tensor in content['state_dict'].values()} == {
        torch.float32}


@pytest.mark.parametrize('is_openai', [False, True])
def test_describe_clip__says_what_is_left_out_and_which_activation(
        model, tmp_path, is_openai):
    state = {**model.state_dict(), 'logit_bias': torch.zeros(())}
    if is_openai:
        state.update(input_resolution=torch.tensor(32),
                     context_length=torch.tensor(77),
                     vocab_size=torch.tensor(49408))
    torch.save(state, tmp_path / 'x.pt')
    lines = describe_clip(read_clip(tmp_path / 'x.pt')).splitlines()
    assert lines[0] == ('image tower: 4 layers, width 32, patches of 8, '
                        'images of 32')
    assert 'left out: logit_bias' in lines
    assert lines[-1].startswith("OpenAI's" if is_openai else 'not marked')


def test_convert_clip__inside_a_model(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / 'x.pt')
    convert_clip(tmp_path / 'x.pt', tmp_path / 'sub' / 'x.pth',
                 target_prefix='dual.')
    whole = nn.Module()
    whole.dual = OpenCLIPDual(model_name=tiny_settings())
    checkpoint = load_checkpoint(
        whole, str(tmp_path / 'sub' / 'x.pth'), strict=True)
    assert_same_clip(whole.dual, model)
    assert checkpoint['meta']['clip_settings']['embed_dim'] == 24


def make_dual(**settings):
    torch.manual_seed(1)
    return OpenCLIPDual(model_name=tiny_settings(), **settings)


def by_pretrained(path, **settings):
    return make_dual(pretrained=str(path), **settings)


def by_init_cfg(path, **settings):
    dual = make_dual(init_cfg=dict(
        type='Pretrained', checkpoint=str(path)), **settings)
    dual.init_weights()
    return dual


def by_load_from(path, **settings):
    whole = nn.Module()
    whole.dual = make_dual(**settings)
    inside = path.with_name('inside.pth')
    convert_clip(path, inside, target_prefix='dual.')
    load_checkpoint(whole, str(inside), strict=True)
    return whole.dual


def by_checkpoint(path, **settings):
    """As a training saves it."""
    torch.save(dict(state_dict=get_state_dict(by_pretrained(path))),
               path.with_name('trained.pth'))
    dual = make_dual(**settings)
    load_checkpoint(dual, str(path.with_name('trained.pth')), strict=True)
    return dual


@pytest.fixture
def openai_files(model, tmp_path):
    state = model.state_dict()
    state.update(input_resolution=torch.tensor(32),
                 context_length=torch.tensor(77),
                 vocab_size=torch.tensor(49408))
    torch.save(state, tmp_path / 'original.pt')
    convert_clip(tmp_path / 'original.pt', tmp_path / 'converted.pth')
    # of an earlier version
    old = torch.load(tmp_path / 'converted.pth', weights_only=True)
    old['state_dict'].pop('quick_gelu', None)
    torch.save(old, tmp_path / 'old.pth')
    convert_clip(tmp_path / 'old.pth', tmp_path / 'twice.pth')
    return tmp_path


WAYS = [by_pretrained, by_init_cfg, by_load_from, by_checkpoint]


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('name', ['original.pt', 'converted.pth', 'old.pth',
                                  'twice.pth'])
def test_openai__equal_embeddings_of_every_file(openai_files, way, name):
    want = make_dual(pretrained=str(openai_files / 'original.pt'),
                     quick_gelu=True).eval()
    images = torch.randn(2, 3, 32, 32)
    for settings in (dict(), dict(quick_gelu=True)):
        got = way(openai_files / name, **settings).eval()
        assert torch.equal(got.encode_image(images).image,
                           want.encode_image(images).image)
        assert torch.equal(got.encode_text(['a dog']),
                           want.encode_text(['a dog']))
        assert got.quick_gelu
    kinds = {type(module).__name__ for module in got.modules()}
    assert 'QuickGELU' in kinds and 'GELU' not in kinds


@pytest.mark.parametrize('way', WAYS)
def test_openai__another_activation_is_kept_with_a_warning(openai_files, way):
    with pytest.warns(UserWarning, match='`quick_gelu=True`, got False'):
        dual = way(openai_files / 'converted.pth', quick_gelu=False)
    assert not dual.quick_gelu
    assert 'QuickGELU' not in {type(m).__name__ for m in dual.modules()}


@pytest.mark.parametrize('quick', [False, True])
def test_not_openai__the_model_says_and_its_checkpoints_after_it(
        model, tmp_path, quick):
    torch.save(model.state_dict(), tmp_path / 'x.pt')
    convert_clip(tmp_path / 'x.pt', tmp_path / 'x.pth')
    for way in (by_pretrained, by_init_cfg, by_load_from):
        assert way(tmp_path / 'x.pth', quick_gelu=quick).quick_gelu == quick
        assert not way(tmp_path / 'x.pth').quick_gelu
    trained = make_dual(quick_gelu=quick)
    other = make_dual()
    other.load_state_dict(trained.state_dict())
    assert other.quick_gelu == quick
    assert torch.equal(other.encode_text(['a dog']),
                       trained.encode_text(['a dog']))
    # a checkpoint of an earlier version says nothing
    state = {name: value for name, value in trained.state_dict().items()
             if name != 'quick_gelu'}
    other.load_state_dict(state)
    assert other.quick_gelu == quick


def test_init_cfg__prefix_chooses_and_what_is_missing_is_named(
        model, tmp_path):
    torch.save({f'{part}.clip.{name}': value + bias
                for name, value in model.state_dict().items()
                for part, bias in (('a', 1), ('backbone', 0))},
               tmp_path / 'x.pth')
    dual = make_dual(init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'x.pth'),
        prefix='backbone.'))
    with pytest.warns(UserWarning, match='not part of a CLIP'):
        dual.init_weights()
    assert_same_clip(dual, model)
    with pytest.raises(FileNotFoundError, match='never downloaded'):
        by_init_cfg(tmp_path / 'no.pth')
    torch.save(dict(state_dict={}), tmp_path / 'none.pth')
    with pytest.raises(ValueError, match='none.pth.*got no `visual.conv1'):
        by_init_cfg(tmp_path / 'none.pth')


def test_convert_clip__appears_whole_or_not_at_all(model, tmp_path,
                                                   monkeypatch):
    torch.save(model.state_dict(), tmp_path / 'x.pt')

    def half(content, path):
        Path(path).write_bytes(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', half)
    with pytest.raises(OSError, match='disk full'):
        convert_clip(tmp_path / 'x.pt', tmp_path / 'y.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['x.pt']


def test_convert_clip__bad_target(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / 'x.pt')
    with pytest.raises(ValueError, match='`target` must end in .pth'):
        convert_clip(tmp_path / 'x.pt', tmp_path / 'y.pt')


def _run(*words):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, words)], capture_output=True,
        text=True, check=False)


def test_convert_clip_tool__from_the_command_line(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / 'x.pt')
    done = _run(tmp_path / 'x.pt', tmp_path / 'y.pth')
    assert done.returncode == 0, done.stderr
    assert 'image tower: 4 layers, width 32, patches of 8' in done.stdout
    assert 'ViT-B-16.pt' in _run('--help').stdout
