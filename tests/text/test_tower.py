"""The image tower: positional embeddings at another grid."""
import pytest
import torch

from mmpixsort.text.encoders.tower import resize_positions


def test_resize_positions__same_grid_is_the_same_tensor():
    positions = torch.randn(7, 4)
    assert resize_positions(positions, (2, 3), (2, 3)) is positions


def test_resize_positions__keeps_cls_constants_and_the_order_of_axes():
    positions = torch.zeros(1 + 4 * 6, 3)
    positions[0] = 9.
    grid = positions[1:].view(4, 6, 3)
    grid[..., 0] = 5.
    grid[..., 1] = torch.arange(4.)[:, None]
    grid[..., 2] = torch.arange(6.)
    got = resize_positions(positions, (4, 6), (8, 3))
    assert got.shape == (25, 3) and (got[0] == 9).all()
    grid = got[1:].view(8, 3, 3)
    assert torch.allclose(grid[..., 0], torch.full((8, 3), 5.))
    assert (grid[1:, :, 1] > grid[:-1, :, 1]).all()
    assert (grid[:, 1:, 2] > grid[:, :-1, 2]).all()


def test_resize_positions__gradient_and_half_precision():
    positions = torch.randn(5, 4, requires_grad=True)
    resize_positions(positions, (2, 2), (3, 5)).sum().backward()
    assert positions.grad.abs().sum() > 0
    got = resize_positions(positions.detach().bfloat16(), (2, 2), (3, 5))
    assert got.dtype == torch.bfloat16


def test_resize_positions__bad_grid():
    with pytest.raises(ValueError, match=r'must have 1 \+ 2 \* 2 rows'):
        resize_positions(torch.zeros(4, 8), (2, 2), (3, 3))
