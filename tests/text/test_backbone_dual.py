"""`BackboneDual` and `BackboneFeature`, with a small MobileNetV2 of mmseg."""
import copy

import numpy as np
import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from torch import nn

from mmpixsort.apis.text_bank import import_matrix
from mmpixsort.text import BackboneDual, BackboneFeature, RegionGrouper
from mmpixsort.text.bank import TextBank
from mmpixsort.registry import MODELS

WORDS = ['cat', 'traffic light', 'dog']


class Levels(BaseModule):
    """A backbone of two levels, with batch normalisation."""

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.first = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Conv2d(4, 6, 3, 2, 1)

    def forward(self, images):
        first = self.first(images)
        return first, self.second(first)


@pytest.fixture(autouse=True)
def registered():
    MODELS.register_module('Levels', module=Levels, force=True)
    yield
    MODELS.module_dict.pop('Levels')


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(3, 5)).astype(np.float16)


@pytest.fixture
def text_file(tmp_path, rows):
    np.save(tmp_path / 'rows.npy', rows)
    (tmp_path / 'names.txt').write_text('\n'.join(WORDS))
    bank = import_matrix(tmp_path / 'rows.npy', tmp_path / 'names.txt')
    bank.save(tmp_path / 'words.npz')
    return tmp_path / 'words.npz'


def make_dual(text_file, seed=0, **settings):
    torch.manual_seed(seed)
    return BackboneDual(**{**dict(
        backbone=dict(type='mmpixsort.Levels'), in_channels=6,
        text_file=text_file), **settings}).eval()


def make_batch(size=(20, 28)):
    g = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, *size, generator=g)
    return images, torch.randint(-1, 3, (2, 5, 7), generator=g)


def test_encode_text__rows_of_the_file(text_file, rows):
    dual = make_dual(text_file)
    found = dual.encode_text(['dog', ' cat ', 'dog'])
    want = rows[[2, 0, 2]].astype(np.float64)
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    assert np.allclose(found.numpy(), want, atol=1e-6)
    assert dual.embed_dims == 5
    assert not found.requires_grad


def test_encode_text__unknown_word_names_it_and_the_file(text_file):
    dual = make_dual(text_file)
    with pytest.raises(ValueError, match="3 words.*'a photo of a cat.'"):
        dual.encode_text(['cat', 'a photo of a cat.'])
    with pytest.raises(TypeError, match='texts'):
        dual.encode_text('cat')


@pytest.mark.parametrize('in_index, in_channels', [(1, 6), (0, 4), ([0, 1],
                                                                    10)])
def test_encode_image__area_means_by_loops(text_file, in_index, in_channels):
    dual = make_dual(text_file, in_index=in_index, in_channels=in_channels)
    dual.norm.running_mean.normal_()
    images, ids = make_batch()
    found = dual.encode_image(images, ids, 4)
    levels = dual.backbone(images)
    if in_index == [0, 1]:
        large = nn.functional.interpolate(
            levels[1], levels[0].shape[2:], mode='bilinear')
        level = torch.cat([levels[0], large], 1)
    else:
        level = levels[in_index]
    level = ((level - dual.norm.running_mean[:, None, None]) /
             (dual.norm.running_var[:, None, None] + dual.norm.eps).sqrt())
    ratio = level.shape[2] // 5
    for b in range(2):
        points = dual.projection(level[b].permute(1, 2, 0))
        own = ids[b].repeat_interleave(ratio, 0).repeat_interleave(ratio, 1)
        close(found.image[b], points.mean((0, 1)))
        for k in range(4):
            assert found.valid[b, k] == (own == k).any()
            if found.valid[b, k]:
                close(found.regions[b, k], points[own == k].mean(0))
            else:
                assert not found.regions[b, k].any()


def close(unit, row):
    assert torch.allclose(unit, row / row.norm(), atol=1e-5)


def test_encode_image__without_regions_is_the_same(text_file):
    dual = make_dual(text_file)
    images, ids = make_batch()
    found = dual.encode_image(images)
    assert found.regions is None and found.valid is None
    assert torch.equal(found.image, dual.encode_image(images, ids, 3).image)


@pytest.mark.parametrize('frozen', [False, True])
def test_training__moves_what_is_not_frozen(text_file, frozen):
    dual = make_dual(text_file, freeze_backbone=frozen).train()
    before = copy.deepcopy(dual.state_dict())
    images, ids = make_batch()
    optimizer = torch.optim.SGD(
        [p for p in dual.parameters() if p.requires_grad], 1.)
    found = dual.encode_image(images, ids, 3)
    loss = dual.logit_scale * (
        found.regions @ dual.encode_text(WORDS).T).square().sum()
    loss.backward()
    optimizer.step()
    changed = {name for name, value in dual.state_dict().items()
               if not torch.equal(value, before[name])}
    assert {'projection.weight', 'log_scale'} <= changed
    assert any(name.startswith('backbone') for name in changed) != frozen
    assert dual.backbone.training != frozen
    assert dual.logit_scale <= 100


def test_checkpoint__fits_another_list_of_words(text_file, tmp_path, rows):
    dual = make_dual(text_file)
    assert 'text' not in dual.state_dict()
    bank = TextBank(file=text_file, classes=['dog', 'cat'])
    bank.save(tmp_path / 'two.npz')
    other = make_dual(tmp_path / 'two.npz', seed=1)
    other.load_state_dict(dual.state_dict())
    images, _ = make_batch()
    assert torch.equal(other.encode_image(images).image,
                       dual.encode_image(images).image)
    assert torch.allclose(other.encode_text(['dog']),
                          dual.encode_text(['dog']))


def test_bank__is_the_file(text_file):
    dual = make_dual(text_file)
    bank = TextBank(classes=WORDS[:2], templates='none')
    bank.ensure(dual.encode_text)
    same = TextBank(file=text_file, classes=WORDS[:2])
    assert torch.allclose(bank.embeddings, same.embeddings)


def test_bad_settings(text_file):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        make_dual('nowhere.npz')
    with pytest.raises(ValueError, match='in_channels'):
        make_dual(text_file, in_channels=0)
    with pytest.raises(ValueError, match='`in_channels` must be 6'):
        make_dual(text_file, in_channels=7).encode_image(make_batch()[0])
    with pytest.raises(ValueError, match='in_index'):
        make_dual(text_file, in_index=2).encode_image(make_batch()[0])
    with pytest.raises(ValueError, match='images'):
        make_dual(text_file).encode_image(torch.zeros(1, 4, 8, 8))


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(3)
    source = Levels()
    source.first[1].running_mean.normal_()
    torch.save(source.state_dict(), tmp_path / 'levels.pth')
    return tmp_path / 'levels.pth'


def pretrained(path) -> dict:
    return dict(type='mmpixsort.Levels', init_cfg=dict(
        type='Pretrained', checkpoint=str(path)))


def test_feature__loads_its_weights_in_silence(weights, capsys):
    feature = BackboneFeature(
        backbone=pretrained(weights), in_channels=4, in_index=0)
    source = torch.load(weights)
    for name, value in feature.backbone.state_dict().items():
        assert torch.equal(value, source[name])
    assert 'init_weights' not in capsys.readouterr().err


def test_feature__stays_as_it_is_in_a_grouper(weights):
    grouper = RegionGrouper(grid=2, feature=dict(
        type='mmpixsort.BackboneFeature', backbone=pretrained(weights),
        in_channels=6))
    images, _ = make_batch()
    before = copy.deepcopy(grouper.state_dict())
    ids = grouper.train()(images)
    assert ids.shape == (2, 5, 7) and int(ids.max()) < 4
    assert not any(p.requires_grad for p in grouper.parameters())
    for name, value in grouper.state_dict().items():
        assert torch.equal(value, before[name])


def test_feature__bad_settings(tmp_path):
    with pytest.raises(ValueError, match='init_cfg'):
        BackboneFeature(
            backbone=dict(type='mmpixsort.Levels'), in_channels=6)
    with pytest.raises(FileNotFoundError):
        BackboneFeature(
            backbone=pretrained(tmp_path / 'nowhere.pth'), in_channels=6)


def test_dual__backbone_of_mmseg_with_its_weights(text_file, tmp_path):
    pytest.importorskip('mmseg')
    init_default_scope('mmseg')
    spec = dict(type='mmseg.MobileNetV2', out_indices=(2, 6))
    source = MODELS.build(spec)
    torch.save(source.state_dict(), tmp_path / 'mobilenet.pth')
    dual = make_dual(text_file, in_channels=320, backbone=dict(
        spec, init_cfg=dict(type='Pretrained',
                            checkpoint=str(tmp_path / 'mobilenet.pth'))))
    dual.init_weights()
    for name, value in dual.backbone.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])
    found = dual.encode_image(torch.rand(1, 3, 65, 65))
    assert found.image.shape == (1, 5)
