"""Hashes of weights."""
import torch
from torch import nn

from mmpixsort.apis.study.train_hook import part_hashes, same_weights


def model(width=2, value=1., extra=False):
    parts = nn.ModuleDict(dict(
        backbone=nn.ModuleDict(dict(a=nn.Linear(2, 2), b=nn.Linear(2, 2))),
        head=nn.ModuleDict(dict(embed=nn.Linear(2, width)))))
    if extra:
        parts['metric_head'] = nn.Linear(3, 3)
    for parameter in parts.parameters():
        nn.init.constant_(parameter, value)
    return parts


def test_hashes__are_of_parts_and_compare_what_is_common():
    base = part_hashes(model())
    assert list(base) == ['backbone.a', 'backbone.b', 'head.embed']
    assert same_weights(base, part_hashes(model(extra=True)))
    assert same_weights(base, part_hashes(model(width=3)))
    assert not same_weights(base, part_hashes(model(value=2.)))
    one = model()
    with torch.no_grad():
        one['backbone']['b'].bias[1] += 1e-6
    assert not same_weights(base, part_hashes(one))
    wide = model(width=3)
    with torch.no_grad():
        wide['backbone']['a'].weight[0, 0] = 5
    assert not same_weights(base, part_hashes(wide))


def test_hashes__do_not_depend_on_the_layout():
    layer = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)))
    before = part_hashes(layer)
    assert part_hashes(layer.to(memory_format=torch.channels_last)) == before
