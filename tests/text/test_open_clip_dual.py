"""`OpenCLIPDual` against open_clip itself, on random tiny models."""
import copy
import json
import sys

import pytest
import torch
from open_clip_shim import require_open_clip, tiny_settings
from torch.nn.functional import cosine_similarity, normalize

from mmpixsort.text.encoders.open_clip_dual import OpenCLIPDual
from mmpixsort.registry import MODELS

TEXTS = ['a photo of a dog.', 'traffic light', 'naïve café', 'x ' * 200]


@pytest.fixture(scope='module')
def open_clip():
    return require_open_clip()


def make_dual(open_clip, seed=0, vision=None, **settings):
    torch.manual_seed(seed)
    dual = OpenCLIPDual(
        **{**dict(model_name=tiny_settings(**vision or {})), **settings})
    for parameter in dual.parameters():
        parameter.data += .02 * torch.randn_like(parameter)
    return dual.eval()


def make_images(*size, batch=2):
    return torch.randn(
        batch, 3, *size, generator=torch.Generator().manual_seed(0))


def own_model(open_clip, dual, tmp_path, **create):
    """The same weights in a model that open_clip makes itself."""
    settings = tiny_settings()
    path = tmp_path / 'tiny-of-a-test.json'
    path.write_text(json.dumps(settings))
    open_clip.add_model_config(path)
    model = open_clip.create_model('tiny-of-a-test', **create)
    model.load_state_dict(dual.clip.state_dict())
    return model.eval()


@pytest.mark.parametrize('quick_gelu', [False, True])
def test_dual__equals_open_clip(open_clip, tmp_path, quick_gelu):
    dual = make_dual(open_clip, quick_gelu=quick_gelu)
    model = own_model(open_clip, dual, tmp_path, force_quick_gelu=quick_gelu)
    images = make_images(32, 32)
    want = model.encode_image(images)
    got = dual.encode_image(images).image
    assert (cosine_similarity(got, want) > .99999).all()
    assert torch.allclose(got, normalize(want, dim=1), atol=1e-6)
    tokens = open_clip.get_tokenizer('tiny-of-a-test')(TEXTS)
    want = model.encode_text(tokens)
    got = dual.encode_text(TEXTS)
    assert (cosine_similarity(got, want) > .99999).all()
    assert torch.allclose(dual.logit_scale, model.logit_scale.exp())


def test_dual__name_that_open_clip_knows(open_clip, tmp_path):
    own_model(open_clip, make_dual(open_clip), tmp_path)
    named = OpenCLIPDual(model_name='tiny-of-a-test')
    assert named.embed_dims == 24
    assert set(named.clip.state_dict()) == set(
        make_dual(open_clip).clip.state_dict())


@pytest.mark.parametrize('vision', [dict(), dict(ls_init_value=.1)])
@pytest.mark.parametrize('start_layer', [0, -2])
def test_dual__region_of_all_patches_is_the_image(open_clip, vision,
                                                  start_layer):
    dual = make_dual(
        open_clip, vision=vision, regions=dict(start_layer=start_layer))
    ids = torch.zeros(2, 32, 32, dtype=torch.long)
    found = dual.encode_image(make_images(32, 32), ids, 2)
    assert torch.allclose(found.regions[:, 0], found.image, atol=1e-5)
    assert found.valid.tolist() == [[True, False]] * 2
    assert not found.regions[:, 1].any()


def test_dual__regions_leave_the_image_as_it_is(open_clip):
    images = make_images(32, 32)
    ids = torch.randint(-1, 4, (2, 4, 4))
    plain = make_dual(open_clip).encode_image(images).image
    for context in ('hard', 'soft', 'none', 'isolated'):
        dual = make_dual(open_clip, regions=dict(context=context))
        assert torch.allclose(
            dual.encode_image(images, ids, 4).image, plain, atol=1e-6)


def test_dual__without_encoder_patches_are_averaged(open_clip):
    dual = make_dual(open_clip)
    ids = torch.tensor([[0, 0, 1, 1]] * 4)[None].expand(2, -1, -1)
    found = dual.encode_image(make_images(32, 32), ids, 2)
    visual = dual.clip.visual
    tokens = visual.ln_post(visual.transformer(visual._embeds(
        make_images(32, 32)))) @ visual.proj
    want = tokens[:, 1:][:, ids[0].flatten() == 1].mean(1)
    assert torch.allclose(
        found.regions[:, 1], normalize(want, dim=1), atol=1e-5)


@pytest.mark.parametrize('size', [(32, 64), (45, 61), (5, 30)])
@pytest.mark.parametrize('regions', [None, dict(context='hard')])
def test_dual__other_sizes_run(open_clip, size, regions):
    dual = make_dual(open_clip, regions=regions)
    ids = torch.zeros(2, *size, dtype=torch.long)
    ids[:, :, size[1] // 2:] = 1
    found = dual.encode_image(make_images(*size), ids, 3)
    assert found.image.isfinite().all() and found.regions.isfinite().all()
    assert found.valid.tolist() == [[True, True, False]] * 2


def test_dual__448_by_320_of_a_patch_of_16(open_clip):
    dual = make_dual(
        open_clip, vision=dict(patch_size=16, image_size=224, layers=1))
    ids = torch.arange(4).view(2, 2)[None].repeat_interleave(
        224, 1).repeat_interleave(160, 2)
    found = dual.encode_image(make_images(448, 320, batch=1), ids, 4)
    assert found.valid.all()


def test_dual__positions_match_those_that_open_clip_resizes(
        open_clip, tmp_path):
    dual = make_dual(open_clip)
    state = dual.clip.state_dict()
    larger = open_clip.CLIP(**tiny_settings(image_size=48)).eval()
    from open_clip.model import resize_pos_embed
    resize_pos_embed(state, larger)
    larger.load_state_dict(state)
    images = make_images(48, 48)
    assert torch.allclose(
        dual.encode_image(images).image,
        normalize(larger.encode_image(images), dim=1), atol=1e-5)


@pytest.mark.parametrize('freeze, learns', [
    ('all', set()), ('image', {'text', 'scale'}),
    ('text', {'image', 'scale'}), ('none', {'image', 'text', 'scale'})])
def test_dual__frozen_parts(open_clip, freeze, learns):
    dual = make_dual(open_clip, freeze=freeze).train()
    found = dual.encode_image(
        make_images(32, 32), torch.zeros(2, 4, 4, dtype=torch.long), 1)
    loss = (dual.logit_scale * found.image @ dual.encode_text(['a']).T +
            found.regions.sum()).sum()
    assert loss.requires_grad == bool(learns)
    if learns:
        loss.backward()
    parts = {'image': dual.clip.visual.conv1.weight,
             'text': dual.clip.text_projection,
             'scale': dual.clip.logit_scale}
    for name, parameter in parts.items():
        assert (parameter.grad is not None) == (name in learns), name
    assert dual.clip.visual.training == ('image' in learns)
    assert dual.clip.transformer.training == ('text' in learns)
    assert dual.clip.positional_embedding.requires_grad == ('text' in learns)


def test_dual__texts_in_chunks(open_clip, monkeypatch):
    dual = make_dual(open_clip)
    whole = dual.encode_text(TEXTS)
    monkeypatch.setattr('mmpixsort.text.encoders.open_clip_dual.CHUNK', 3)
    assert torch.allclose(dual.encode_text(TEXTS), whole, atol=1e-6)
    assert dual.encode_text([]).shape == (0, 24)
    with pytest.raises(TypeError, match='`texts` must be a sequence'):
        dual.encode_text('dog')


def test_dual__autocast_and_copy(open_clip):
    dual = copy.deepcopy(make_dual(open_clip, regions=dict()))
    ids = torch.zeros(2, 4, 4, dtype=torch.long)
    want = dual.encode_image(make_images(32, 32), ids, 2)
    with torch.autocast('cpu', torch.bfloat16):
        got = dual.encode_image(make_images(32, 32), ids, 2)
        assert dual.encode_text(['a']).dtype == torch.float32
    assert got.image.dtype == torch.float32
    assert (cosine_similarity(got.image, want.image) > .99).all()


def test_dual__builds_from_a_config_under_a_host_scope(open_clip):
    dual = MODELS.build(dict(
        type='mmpixsort.OpenCLIPDual', model_name=tiny_settings(),
        regions=dict(context='late', start_layer=-1), _scope_='mmengine'))
    assert dual.regions.start_layer == -1


@pytest.mark.parametrize('changes, error', [
    (dict(model_name='ViT-Z-99'), "`model_name` must be one of open_clip's"),
    (dict(model_name='hf-hub:some/model'), 'download the model yourself'),
    (dict(model_name='RN50'), 'embeds an image by its CLS'),
    (dict(model_name='ViT-B-16-SigLIP'), 'got timm_model_name'),
    (dict(model_name='roberta-ViT-B-32'), 'got hf_model_name'),
    (dict(model_name='coca_ViT-B-32'), 'got multimodal_cfg'),
    (dict(model_name=dict(embed_dim=3)), '`model_name` must have'),
    (dict(model_name=tiny_settings(pool_type='avg')), 'got avg'),
    (dict(freeze='some'), '`freeze` must be one of all, image'),
    (dict(pretrained='x', init_cfg=dict()), 'one of `pretrained` and'),
])
def test_dual__bad_settings(open_clip, changes, error):
    with pytest.raises(ValueError, match=error):
        OpenCLIPDual(**{**dict(model_name=tiny_settings()), **changes})


def test_dual__weights_that_are_a_tag_are_not_downloaded(open_clip):
    with pytest.raises(FileNotFoundError, match='never downloaded'):
        OpenCLIPDual(model_name=tiny_settings(), pretrained='openai')


def test_dual__without_open_clip(monkeypatch):
    monkeypatch.setitem(sys.modules, 'open_clip', None)
    with pytest.raises(ImportError, match=r'mmpixsort\[text\]'):
        OpenCLIPDual(model_name=tiny_settings())
