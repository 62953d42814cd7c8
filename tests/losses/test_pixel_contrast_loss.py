"""The module equals the function."""
import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.functional import masked_mean, pixel_contrast
from mmpixsort.losses import PixelContrastLoss
from mmpixsort.registry import MODELS


def test_pixel_contrast_loss__equals_the_function():
    anchors = normalize(torch.randn(9, 4), dim=1)
    labels = torch.arange(9) % 3 - 1
    loss = PixelContrastLoss(
        temperature=.2, base_temperature=.1, denominator='supcon',
        loss_weight=3.)
    want = masked_mean(*pixel_contrast(
        anchors, labels, anchors, labels, temperature=.2,
        base_temperature=.1, own_key=0, denominator='supcon'))
    got = loss(anchors, labels, anchors, labels, own_key=0)
    torch.testing.assert_close(got, 3 * want)


def test_pixel_contrast_loss__released_defaults():
    loss = MODELS.build(dict(type='mmpixsort.PixelContrastLoss'))
    assert (loss.temperature, loss.base_temperature, loss.loss_weight,
            loss.denominator) == (0.1, 0.07, 0.1, 'per_positive')


def test_pixel_contrast_loss__zero_with_a_gradient():
    anchors = torch.rand(3, 4, requires_grad=True)
    labels = torch.full((3, ), -1)
    loss = PixelContrastLoss()(anchors, labels, anchors, labels, own_key=0)
    loss.backward()
    assert loss.item() == 0 and torch.equal(anchors.grad, torch.zeros(3, 4))


@pytest.mark.parametrize('denominator', ['per_positive', 'supcon'])
def test_pixel_contrast_loss__weight_of_zero(denominator):
    anchors = torch.rand(6, 4, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 2, -1])
    loss = PixelContrastLoss(loss_weight=0., denominator=denominator)(
        anchors, labels, anchors, labels, own_key=0)
    loss.backward()
    assert loss.item() == 0 and (anchors.grad == 0).all()


@pytest.mark.parametrize('change, text', [
    (dict(temperature=0), '`temperature` must be positive, got 0'),
    (dict(base_temperature=-1.), '`base_temperature` must be positive'),
    (dict(loss_weight=-1.), '`loss_weight` must not be negative'),
    (dict(denominator='x'), '`denominator` must be one of'),
])
def test_pixel_contrast_loss__bad_input(change, text):
    with pytest.raises(ValueError, match=text):
        PixelContrastLoss(**change)
