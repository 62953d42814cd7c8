"""DiscriminativeLoss: equals the function, builds, and is zero for nothing."""
import pytest
import torch

from mmpixsort.functional import discriminative_loss
from mmpixsort.losses import DiscriminativeLoss
from mmpixsort.registry import MODELS


def case():
    g = torch.Generator().manual_seed(0)
    return (torch.randn(3, 4, 6, 6, generator=g),
            torch.randint(0, 4, (3, 6, 6), generator=g))


def test_discriminative_loss__weights_and_mean_over_images_with_instances():
    maps, ids = case()
    ids[1] = 0
    loss = MODELS.build(dict(
        type='mmpixsort.DiscriminativeLoss', pull_weight=2., push_weight=3.,
        reg_weight=.5))
    got = loss(maps, ids)
    terms = discriminative_loss(maps, ids)[:3]
    for name, weight, term in zip(('pull', 'push', 'reg'), (2, 3, .5), terms):
        want = weight * (term[0] + term[2]) / 2
        assert torch.allclose(got[f'loss_{name}'], want)
    assert got['num_instances'] == 3
    assert not got['active_pixels'].requires_grad


def test_discriminative_loss__nothing_is_a_zero_with_a_gradient():
    maps, ids = case()
    losses = DiscriminativeLoss()(maps.requires_grad_(), 0 * ids)
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert total == 0 and (maps.grad == 0).all()


def test_discriminative_loss__lowers_itself():
    maps, ids = case()
    maps = torch.nn.Parameter(maps)
    optimizer = torch.optim.SGD([maps], lr=10.)
    values = []
    for _ in range(60):
        losses = DiscriminativeLoss()(maps, ids)
        total = losses['loss_pull'] + losses['loss_push']
        values.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert values[-1] < 1e-2 < values[0]


@pytest.mark.parametrize('options, error', [
    (dict(delta_var=-.1), '`delta_var` must'),
    (dict(pull_weight=-1), '`pull_weight` must'),
    (dict(overlap='min'), '`overlap` must be one of'),
    (dict(distance='angle'), '`distance` must be one of'),
    (dict(min_pixels=0), '`min_pixels` must')])
def test_discriminative_loss__bad_options(options, error):
    with pytest.raises(ValueError, match=error):
        DiscriminativeLoss(**options)
