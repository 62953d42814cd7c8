"""`TinyDual`, and the tower of a ViT in its place; the table of words."""
import pytest
import torch
from tiny_vit import TinyViTDual
from torch.nn.functional import normalize

from mmpixsort.functional.words.regions import resize_ids
from mmpixsort.text.encoders.tiny_dual import TinyDual
from mmpixsort.registry import MODELS

WORDS = ['disk', 'Square', 'traffic light']


def make_dual(seed=0, **settings):
    torch.manual_seed(seed)
    kind = TinyViTDual if settings.pop('vit', False) else TinyDual
    return kind(**{**dict(vocabulary=WORDS), **settings}).eval()


def make_batch(seed=0, batch=2, size=(64, 64), regions=5):
    g = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, 3, *size, generator=g)
    ids = torch.randint(-1, regions, (batch, 4, 4), generator=g)
    return images, ids.repeat_interleave(8, 1).repeat_interleave(8, 2)


KINDS = [dict(), dict(vit=True, width=8),
         dict(vit=True, width=8, regions=dict(context='hard'))]


@pytest.mark.parametrize('settings', KINDS)
def test_encode_image__unit_rows_and_zeros(settings):
    images, ids = make_batch()
    found = make_dual(**settings).encode_image(images, ids, 7)
    ones = torch.ones(2)
    assert torch.allclose(found.image.norm(dim=1), ones)
    assert found.regions.shape == (2, 7, 64)
    assert found.valid.dtype == torch.bool
    assert torch.allclose(found.regions.norm(dim=2), found.valid.float())
    want = [[k in image for k in range(7)] for image in ids.tolist()
            for image in [set(sum(image, []))]]
    assert found.valid.tolist() == want


@pytest.mark.parametrize('settings', KINDS)
def test_encode_image__image_does_not_depend_on_regions_or_batch(settings):
    images, ids = make_batch()
    dual = make_dual(**settings)
    both = dual.encode_image(images, ids, 5)
    plain = dual.encode_image(images)
    assert plain.regions is None and plain.valid is None
    assert torch.allclose(plain.image, both.image, atol=1e-6)
    for i in range(2):
        one = dual.encode_image(images[i:i + 1], ids[i:i + 1], 5)
        assert torch.allclose(one.image[0], both.image[i], atol=1e-6)
        assert torch.allclose(one.regions[0], both.regions[i], atol=1e-6)


@pytest.mark.parametrize('settings', KINDS)
def test_encode_image__odd_sizes(settings):
    images, _ = make_batch(size=(50, 71))
    ids = torch.zeros(2, 13, 17, dtype=torch.long)
    ids[:, :, 9:] = 1
    found = make_dual(**settings).encode_image(images, ids, 2)
    assert found.valid.all() and found.regions.isfinite().all()


def test_encode_image__conv_regions_are_means_of_features():
    images, ids = make_batch(1)
    dual = make_dual()
    found = dual.encode_image(images, ids, 5)
    features = dual.image.head(dual.image.features(images).movedim(1, 3))
    for b in range(2):
        for k in range(5):
            inside = features[b][ids[b] == k]
            if len(inside):
                want = normalize(inside.mean(0), dim=0)
                assert torch.allclose(found.regions[b, k], want, atol=1e-5)
    assert torch.allclose(
        found.image, normalize(features.mean((1, 2)), dim=1), atol=1e-5)


@pytest.mark.parametrize('context, reach', [(True, 33), (False, 3)])
def test_encode_image__receptive_field(context, reach):
    images = torch.randn(1, 3, 129, 129, requires_grad=True)
    features = make_dual(context=context).image.features(images)
    features[0, :, 32, 32].sum().backward()
    rows = images.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows.min() == 64 - reach and rows.max() == 64 + reach


def test_encode_image__size_of_the_network():
    count = sum(p.numel() for p in make_dual().image.parameters())
    assert 27_000 < count < 30_000


def test_encode_image__vit_region_of_all_patches_is_the_image():
    images, _ = make_batch()
    dual = make_dual(vit=True, width=8, regions=dict(context='hard'))
    found = dual.encode_image(
        images, torch.zeros(2, 64, 64, dtype=torch.long), 1)
    assert torch.allclose(found.regions[:, 0], found.image, atol=1e-5)


def test_encode_image__vit_without_encoder_pools_patches():
    images, ids = make_batch()
    dual = make_dual(vit=True, width=8)
    found = dual.encode_image(images, ids, 5)
    grid = resize_ids(ids, (16, 16), 5).flatten(1)
    from mmpixsort.text.encoders.tower import embed_patches
    tokens, _ = embed_patches(dual.image, images)
    for block in dual.image.blocks:
        tokens = block(tokens)
    patches = (dual.image.ln_post(tokens) @ dual.image.proj)[:, 1:]
    want = normalize(patches[0][grid[0] == 2].mean(0), dim=0)
    assert torch.allclose(found.regions[0, 2], want, atol=1e-5)


@pytest.mark.parametrize('settings', KINDS)
def test_encode_image__gradient_and_autocast(settings):
    images, ids = make_batch()
    dual = make_dual(**settings).train()
    with torch.autocast('cpu', torch.bfloat16):
        found = dual.encode_image(images, ids, 5)
        texts = dual.encode_text(['disk', 'light'])
    assert found.regions.dtype == texts.dtype == torch.float32
    logits = dual.logit_scale * torch.cat(
        [found.regions.flatten(0, 1), found.image]) @ texts.T
    logits.sin().sum().backward()
    missing = [name for name, parameter in dual.named_parameters()
               if parameter.grad is None or not parameter.grad.isfinite().all()
               ]
    assert not missing


def test_encode_text__means_of_words():
    dual = make_dual()
    got = dual.encode_text(
        ['a photo of a DISK.', 'a square and a disk', 'square, disk',
         'traffic light', 'light'])
    assert got.shape == (5, 64)
    assert torch.allclose(got.norm(dim=1), torch.ones(5))
    rows = dual.text.table.weight
    for row, words in ((0, [0]), (1, [0, 1]), (3, [2, 3]), (4, [3])):
        want = dual.text.linear(rows[words].mean(0))
        assert torch.allclose(got[row], normalize(want, dim=0), atol=1e-6)
    assert torch.allclose(got[1], got[2], atol=1e-6)
    assert dual.encode_text([]).shape == (0, 64)


@pytest.mark.parametrize('text, error', [
    ('a big disk', "got 'big' in 'a big disk'"),
    ('disks', "got 'disks'"),
    ('', 'must contain a word'),
    ('...', 'must contain a word'),
])
def test_encode_text__unknown_word_is_named(text, error):
    with pytest.raises(ValueError, match=error):
        make_dual().encode_text(['disk', text])


def test_encode_text__ignored_words_alone():
    got = make_dual().encode_text(['a picture', 'disk', 'an image'])
    assert torch.equal(got[0], got[2]) and got.norm(dim=1).allclose(
        torch.ones(3))


def test_encode_text__single_string():
    with pytest.raises(TypeError, match='`texts` must be a sequence'):
        make_dual().encode_text('disk')


def test_encode_text__ignored_words_are_a_setting():
    dual = make_dual(ignored_words=['one'])
    assert dual.encode_text(['one disk']).shape == (1, 64)
    with pytest.raises(ValueError, match="got 'a'"):
        dual.encode_text(['a disk'])
    # what is in the vocabulary counts
    dual = make_dual(vocabulary=['disk', 'image'])
    assert not torch.allclose(*dual.encode_text(['disk', 'image disk']))


def test_logit_scale__starts_as_in_clip_and_is_bounded():
    dual = make_dual()
    assert dual.logit_scale.item() == pytest.approx(1 / .07)
    assert dual.logit_scale.shape == ()
    dual.log_scale.data.fill_(5.)
    assert dual.logit_scale.item() == 100.
    dual.logit_scale.backward()
    assert dual.log_scale.grad > 0  # it can come back


def test_tiny_dual__builds_from_a_config_and_reloads():
    config = dict(
        type=TinyViTDual, vocabulary=WORDS, width=8,
        regions=dict(context='soft', soft_bias=3.))
    one, other = MODELS.build(config).eval(), MODELS.build(config).eval()
    assert one.encoder.soft_bias == 3.
    other.load_state_dict(one.state_dict())
    images, ids = make_batch()
    for a, b in zip(one.encode_image(images, ids, 5),
                    other.encode_image(images, ids, 5)):
        assert torch.equal(a, b)


@pytest.mark.parametrize('changes, error', [
    (dict(embed_dims=0), '`embed_dims` must be at least 1'),
    (dict(vocabulary=[]), '`vocabulary` must name at least one word'),
    (dict(width=0), '`width` must be at least 1'),
    (dict(vit=True, patch_size=5), '`patch_size` `image_size`, got'),
])
def test_tiny_dual__bad_settings(changes, error):
    with pytest.raises(ValueError, match=error):
        make_dual(**changes)


def test_tiny_dual__vocabulary_is_no_string():
    with pytest.raises(TypeError, match='`vocabulary` must be a list'):
        make_dual(vocabulary='disk')


def test_encode_image__bad_input():
    dual, (images, ids) = make_dual(), make_batch()
    with pytest.raises(ValueError, match=r'shape \(B, 3, H, W\)'):
        dual.encode_image(images[:, :1])
    with pytest.raises(ValueError, match='`num_regions` must be at least 1'):
        dual.encode_image(images, ids)
    with pytest.raises(ValueError, match=r'`ids` must have shape \(2, h, w'):
        dual.encode_image(images, ids[:1], 5)
