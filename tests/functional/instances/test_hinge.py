"""`functional.instances.hinge`: memory of large maps."""
import pytest
import torch

from mmpixsort.functional.instances.hinge import FRESH_PAGES, empty_map


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('shape', [
    (2, 3, 5), (0, 4), (1, 4, FRESH_PAGES // 4)])
def test_empty_map__is_a_tensor_as_any(shape, dtype):
    maps = empty_map(*shape, like=torch.zeros(1, dtype=dtype))
    assert maps.shape == shape and maps.dtype == dtype
    assert maps.is_contiguous()
    assert (maps.fill_(3) == 3).all()


def test_empty_map__may_be_a_gradient():
    weight = torch.zeros(FRESH_PAGES // 4, requires_grad=True)
    weight.grad = empty_map(*weight.shape, like=weight).fill_(1)
    torch.optim.SGD([weight], lr=.5).step()
    assert (weight == -.5).all()
    other = weight.grad.clone()
    del weight
    assert (other == 1).all()
