"""The sum of dilated convolutions."""
import pytest
import torch
from torch.nn import functional as F

from mmpixsort.layers import AtrousProjection


def test_projection__is_the_normalised_sum():
    torch.manual_seed(0)
    layer = AtrousProjection(in_channels=3, embed_dims=4, dilations=(1, 2))
    feature = torch.randn(2, 3, 5, 6)
    summed = sum(F.conv2d(feature, conv.weight, conv.bias, padding=dilation,
                          dilation=dilation)
                 for conv, dilation in zip(layer.convs, (1, 2)))
    assert torch.allclose(layer(feature), F.normalize(summed, dim=1))
    layer.upsample = 2
    assert torch.allclose(layer(feature).norm(dim=1), torch.ones(2, 10, 12))


@pytest.mark.parametrize('options, message', [
    (dict(dilations=()), '`dilations` must hold at least one'),
    (dict(dilations=(0, )), '`dilations` must be at least 1'),
    (dict(upsample=0), '`upsample` must be at least 1'),
])
def test_projection__errors(options, message):
    with pytest.raises(ValueError, match=message):
        AtrousProjection(in_channels=3, **options)
