"""`SSLFeature` against timm's own ways to features, random weights."""
import importlib.util
import sys

import pytest
import torch
from open_clip_shim import require
from torch.nn.functional import interpolate

from mmpixsort.text.groupers.region_grouper import RegionGrouper
from mmpixsort.text.groupers.ssl_feature import MEAN, STD, SSLFeature

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('timm') is None,
    reason='timm is not installed (mmpixsort[text])')
NAME = 'test_vit'


@pytest.fixture(autouse=True, scope='module')
def _timm():
    require('timm')


def make(**options):
    torch.manual_seed(0)
    return SSLFeature(**{**dict(name=NAME), **options})


def as_map(tokens, height, width):
    """(B, P, C) -> (B, C, h, w), patch by patch."""
    rows = torch.zeros(len(tokens), tokens.shape[2], height, width)
    for y in range(height):
        for x in range(width):
            rows[:, :, y, x] = tokens[:, y * width + x]
    return rows


def test_ssl_feature__tokens_are_those_of_timm():
    feature = make()
    images = torch.randn(2, 3, 48, 80)
    tokens = feature.network.get_intermediate_layers(
        images, n=1, norm=True)[0]
    got = feature(images)
    assert got.shape == (2, tokens.shape[2], 3, 5)
    assert torch.allclose(got, as_map(tokens, 3, 5), atol=1e-6)


@pytest.mark.parametrize('name', [NAME, 'test_vit2', 'test_vit3'])
def test_ssl_feature__keys_by_hand(name):
    feature = make(name=name, facet='key')
    images = torch.randn(2, 3, 32, 48)
    network = feature.network
    with torch.no_grad():
        x = network._pos_embed(network.patch_embed(images))
        x = network.norm_pre(network.patch_drop(x))
        for block in network.blocks[:-1]:
            x = block(x)
        attention = network.blocks[-1].attn
        x = network.blocks[-1].norm1(x)
        weight = attention.qkv.weight
        dims = weight.shape[0] // 3
        bias = attention.qkv.bias
        keys = x @ weight[dims:2 * dims].T
        if bias is not None:
            keys = keys + bias[dims:2 * dims]
        heads = keys.unflatten(2, (attention.num_heads, -1))
        keys = attention.k_norm(heads).flatten(2)
    want = as_map(keys[:, network.num_prefix_tokens:], 2, 3)
    assert torch.allclose(feature(images), want, atol=1e-5)


def test_ssl_feature__own_normalisation():
    pixels = torch.rand(1, 3, 32, 32) * 255
    mean, std = (122.77, 116.75, 104.09), (68.5, 66.63, 70.32)  # of CLIP

    def normalised(mean, std):
        return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(
            std).view(3, 1, 1)

    plain = make()(normalised(MEAN, STD))
    got = make(input_mean=mean, input_std=std)(normalised(mean, std))
    assert torch.allclose(got, plain, atol=1e-5)


def test_ssl_feature__sides_are_resized_to_whole_patches():
    feature, images = make(), torch.randn(1, 3, 40, 47)
    want = feature(interpolate(
        images, size=(48, 48), mode='bilinear', antialias=True))
    assert torch.equal(feature(images), want)
    fixed = make(size=(64, 32))
    assert fixed(images).shape[2:] == (4, 2)


def test_ssl_feature__frozen():
    feature = make().train()
    assert not any(m.training for m in feature.modules())
    assert not any(p.requires_grad for p in feature.parameters())
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    assert not feature(images).requires_grad


def test_ssl_feature__weights_from_a_file(tmp_path):
    first = make()
    path = tmp_path / 'vit.pth'
    torch.save(first.network.state_dict(), path)
    torch.manual_seed(1)
    second = SSLFeature(name=NAME, checkpoint=str(path))
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(second(images), first(images))
    assert not torch.equal(SSLFeature(name=NAME)(images), first(images))


@pytest.mark.parametrize('facet', ['token', 'key'])
def test_ssl_feature__in_a_grouper(facet):
    torch.manual_seed(0)
    grouper = RegionGrouper(
        feature=dict(type='mmpixsort.SSLFeature', name=NAME, facet=facet),
        grid=2)
    ids = grouper(torch.randn(2, 3, 64, 96))
    assert ids.shape == (2, 4, 6) and 0 <= ids.min() <= ids.max() < 4


@pytest.mark.parametrize('options, kind, error', [
    (dict(facet='query'), ValueError, '`facet` must be one of token, key'),
    (dict(name='vit_none'), ValueError, '`name` must be a model of timm'),
    (dict(name='test_resnet'), ValueError, '`name` must be a ViT of timm'),
    (dict(checkpoint='none.pth'), FileNotFoundError, "'none.pth' not found"),
    (dict(size=3), ValueError, r'`size` must be \(height, width\)'),
    (dict(std=(1., 2.)), ValueError, '`std` must be three numbers'),
    (dict(input_std=(1., 0., 1.)), ValueError, '`input_std` must be pos'),
])
def test_ssl_feature__bad_options(options, kind, error):
    with pytest.raises(kind, match=error):
        make(**options)


def test_ssl_feature__says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ImportError, match=r'pip install mmpixsort\[text\]'):
        make()
