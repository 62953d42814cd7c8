"""Files of CLIP as `OpenCLIPDual` reads them."""
import pickle

import pytest
import tiny_text
import torch
from mmengine.config import Config
from open_clip_shim import (assert_same_clip, random_clip, require,
                            require_open_clip, tiny_settings)
from torch import nn

from mmpixsort.apis.loading import load_encoder
from mmpixsort.apis.loading import load_text_segmentor
from mmpixsort.text.encoders.clip_weights import parse_clip, read_clip
from mmpixsort.text.encoders.open_clip_dual import OpenCLIPDual
from mmpixsort.text.groupers.ssl_feature import SSLFeature


@pytest.fixture(scope='module')
def model():
    return random_clip()


class Archive(nn.Module):
    """Parameters under the names of a state dict, for TorchScript."""

    def __init__(self, state):
        super().__init__()
        for name, tensor in state.items():
            part = self
            *path, last = name.split('.')
            for step in path:
                if not hasattr(part, step):
                    part.add_module(step, Archive({}))
                part = getattr(part, step)
            part.register_buffer(last, tensor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def openai_state(model):
    state = {k: v.half() for k, v in model.state_dict().items()}
    marks = dict(input_resolution=32, context_length=77, vocab_size=49408)
    state.update({k: torch.tensor(v) for k, v in marks.items()})
    return state


def custom_text(state):
    """The names of open_clip's class with `text.`."""
    return {
        name if name.startswith(('visual.', 'logit')) else f'text.{name}':
        tensor for name, tensor in state.items()
    }


WRAPS = {
    'plain': lambda state: state,
    'state_dict': lambda state: dict(state_dict=state, epoch=3),
    'model': lambda state: dict(model=state),
    'module': lambda state: dict(
        state_dict={f'module.{k}': v for k, v in state.items()}),
    'model_prefix': lambda state: {
        f'model.{k}': v for k, v in state.items()},
    'deep': lambda state: {
        f'module.dual.clip.{k}': v for k, v in state.items()},
    'custom_text': custom_text,
}


@pytest.mark.parametrize('wrap', WRAPS)
@pytest.mark.parametrize('name', ['any.pt', 'other.bin'])
def test_read_clip__wrappers_and_prefixes(model, tmp_path, wrap, name):
    torch.save(WRAPS[wrap](model.state_dict()), tmp_path / name)
    weights = read_clip(tmp_path / name)
    assert not weights.unknown and not weights.is_openai
    dual = OpenCLIPDual(
        model_name=tiny_settings(), pretrained=str(tmp_path / name))
    assert_same_clip(dual, model)


def test_read_clip__safetensors(model, tmp_path):
    save = pytest.importorskip('safetensors.torch').save_file
    save(model.state_dict(), tmp_path / 'x.safetensors')
    dual = OpenCLIPDual(model_name=tiny_settings(),
                        pretrained=str(tmp_path / 'x.safetensors'))
    assert_same_clip(dual, model)


@pytest.mark.parametrize('is_script', [False, True])
def test_read_clip__openai(model, tmp_path, is_script):
    state, path = openai_state(model), tmp_path / 'anything'
    if is_script:
        torch.jit.script(Archive(state)).save(str(path))
    else:
        torch.save(state, path)
    weights = read_clip(path)
    assert weights.is_openai and not weights.unknown
    assert {t.dtype for t in weights.state.values()} == {torch.float32}
    dual = OpenCLIPDual(model_name=tiny_settings(), pretrained=str(path))
    for name, tensor in model.state_dict().items():
        assert torch.equal(
            dual.clip.state_dict()[name], tensor.half().float())
    activations = {type(m).__name__ for m in dual.modules()}
    assert 'QuickGELU' in activations and 'GELU' not in activations
    with pytest.warns(UserWarning, match='quick_gelu=True'):
        OpenCLIPDual(model_name=tiny_settings(), pretrained=str(path),
                     quick_gelu=False)


def test_read_clip__sizes_come_from_shapes(model):
    settings = parse_clip(model.state_dict()).settings
    want = tiny_settings()
    assert settings['embed_dim'] == want['embed_dim']
    for tower in ('vision_cfg', 'text_cfg'):
        for key, value in settings[tower].items():
            if key != 'heads':  # which leave no trace
                assert value == want[tower][key], key


@pytest.mark.parametrize('vision, key, value', [
    (dict(ls_init_value=.1), 'ls_init_value', 1.),
    (dict(no_ln_pre=True), 'no_ln_pre', True),
    (dict(mlp_ratio=2.), 'mlp_ratio', 2.)])
def test_read_clip__variants(vision, key, value):
    open_clip = require_open_clip()
    state = open_clip.CLIP(**tiny_settings(**vision)).state_dict()
    weights = parse_clip(state)
    assert weights.settings['vision_cfg'][key] == value
    assert set(weights.state) == set(state) and not weights.unknown


def test_read_clip__unknown_entries_are_listed(model, tmp_path):
    state = {**model.state_dict(), 'logit_bias': torch.zeros(()),
             'note': 'x'}
    torch.save(state, tmp_path / 'x.pt')
    weights = read_clip(tmp_path / 'x.pt')
    assert weights.unknown == ['logit_bias', 'note']
    with pytest.warns(UserWarning, match='logit_bias, note'):
        OpenCLIPDual(model_name=tiny_settings(),
                     pretrained=str(tmp_path / 'x.pt'))


def drop(*names):
    return lambda state: {k: v for k, v in state.items() if k not in names}


@pytest.mark.parametrize('change, error', [
    (drop('visual.ln_post.bias', 'ln_final.weight'),
     '2 weights are missing: ln_final.weight, visual.ln_post.bias'),
    (drop('transformer.resblocks.0.attn.in_proj_weight'),
     'missing: transformer.resblocks.0.attn.in_proj_weight'),
    (drop('text_projection'), 'got no text_projection'),
    (drop('visual.conv1.weight'), 'got no `visual.conv1.weight` among'),
    (lambda s: {**s, 'visual.proj': s['visual.proj'][:9]},
     r'1 weights have a shape that .* visual.proj \(9, 24\), expected'),
    (lambda s: {**s, **{f'ema.{k}': v for k, v in s.items()}},
     '`prefix` must select one of 2 models'),
])
def test_read_clip__what_is_wrong_is_named(model, change, error):
    with pytest.raises(ValueError, match=error):
        parse_clip(change(model.state_dict()))


def test_read_clip__prefix_chooses(model):
    state = model.state_dict()
    both = {**{f'a.{k}': v for k, v in state.items()},
            **{f'b.{k}': v + 1 for k, v in state.items()}}
    weights = parse_clip(both, prefix='b.')
    assert torch.equal(weights.state['visual.proj'],
                       state['visual.proj'] + 1)
    assert len(weights.unknown) == len(state)


def test_open_clip_dual__other_sizes_than_the_file(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / 'x.pt')
    with pytest.raises(ValueError, match="does not fit .*'width': 32"):
        OpenCLIPDual(model_name=tiny_settings(width=64),
                     pretrained=str(tmp_path / 'x.pt'))


def by_pretrained(path):
    OpenCLIPDual(model_name=tiny_settings(), pretrained=str(path))


def by_init_cfg(path):
    OpenCLIPDual(model_name=tiny_settings(), init_cfg=dict(
        type='Pretrained', checkpoint=str(path))).init_weights()


def by_load_encoder(path):
    load_encoder(Config(dict(encoder=dict(
        type='mmpixsort.OpenCLIPDual', model_name=tiny_settings()))), path)


def by_ssl_feature(path):
    require('timm')
    SSLFeature(name='vit_tiny_patch16_224', checkpoint=str(path))


def by_text_segmentor(path):
    load_text_segmentor(Config(dict(model=tiny_text.config())), path)


def cut(model, path):
    torch.save(model.state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])


DAMAGES = {
    'cut off': cut,
    'empty': lambda model, path: path.write_bytes(b''),
    'page': lambda model, path: path.write_text(
        '<!DOCTYPE html>\n<html><body>404</body></html>\n' * 9),
    'pointer': lambda model, path: path.write_text(
        'version https://git-lfs.github.com/spec/v1\n'
        'oid sha256:4d7a214614ab2935\nsize 353976522\n'),
    'pickled': lambda model, path: torch.save(model, path),
    'inside': lambda model, path: torch.save(dict(model=model), path),
    'plain pickle': lambda model, path: path.write_bytes(
        pickle.dumps(dict(path=path))),
}


@pytest.mark.parametrize('damage', DAMAGES)
@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
@pytest.mark.parametrize('load', [
    by_pretrained, by_init_cfg, by_load_encoder, by_ssl_feature,
    by_text_segmentor])
def test_damaged_file__is_one_error_that_names_it(model, tmp_path, damage,
                                                  suffix, load):
    path = tmp_path / f'file{suffix}'
    DAMAGES[damage](model, path)
    with pytest.raises(ValueError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message and 'it is truncated, was changed' in message
    assert 'weights_only=False' not in message and '\n' not in message
