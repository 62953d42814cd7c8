"""Projection, features of the host, schedule."""
import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from mmpixsort.layers import ProjectionHead, select_feature, tap


def test_projection_head__equals_the_equation():
    head = ProjectionHead(
        in_channels=16, embed_dims=4, norm_cfg=dict(type='BN')).eval()
    x = torch.sin(torch.arange(256.)).view(1, 16, 4, 4)
    first, norm, _, last = head
    hidden = torch.einsum('oc,bchw->bohw', first.weight[..., 0, 0], x)
    hidden = (hidden - norm.running_mean.view(-1, 1, 1)) / (
        norm.running_var.view(-1, 1, 1) + norm.eps).sqrt()
    out = torch.einsum('oc,bchw->bohw', last.weight[..., 0, 0],
                       hidden.relu()) + last.bias.view(-1, 1, 1)
    want = out / out.norm(dim=1, keepdim=True)
    torch.testing.assert_close(head(x), want)
    torch.testing.assert_close(head(x).norm(dim=1), torch.ones(1, 4, 4))


def test_projection_head__linear_and_half():
    head = ProjectionHead(in_channels=8, embed_dims=4, linear=True)
    assert len(head) == 1
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert head(torch.rand(1, 8, 2, 2)).dtype == torch.float32


def test_select_feature__concatenates_at_the_first_level():
    levels = [torch.rand(1, 2, 8, 8), torch.rand(1, 3, 4, 4)]
    joint = select_feature(levels, (0, 1), 5)
    assert joint.shape == (1, 5, 8, 8)
    assert torch.equal(joint[:, :2], levels[0])
    assert torch.equal(select_feature(levels, -1, 3), levels[1])


@pytest.mark.parametrize('in_index, in_channels, text', [
    (2, 3, r'`in_index` must lie in \[0, 2\), the levels .* got 2'),
    (0, 3, '`in_channels` must be 2, the channels of `in_index` 0, got 3'),
    (1, 3, r'must name a feature map \(B, C, h, w\), got a tensor of shape'),
])
def test_select_feature__bad_input(in_index, in_channels, text):
    levels = [torch.rand(1, 2, 8, 8), torch.rand(1, 3)]
    with pytest.raises(ValueError, match=text):
        select_feature(levels, in_index, in_channels)


def test_tap__leaves_nothing_behind():
    module = nn.Conv2d(2, 3, 1)
    x = torch.rand(1, 2, 4, 4)
    with pytest.raises(RuntimeError, match='stop'), tap(module) as calls:
        module(x)
        raise RuntimeError('stop')
    assert torch.equal(calls[0][0], x) and calls[0][1].shape[1] == 3
    assert not module._forward_hooks
    pickle.dumps(copy.deepcopy(module))
    with tap(None) as calls:
        module(x)
    assert calls == []


def test_tap__calls_of_other_threads_are_theirs():
    class Slow(nn.Module):

        def forward(self, x):
            meet.wait()  # both threads are in the module, with hooks on it
            return x * 2

    module, meet = Slow(), threading.Barrier(2)

    def call(value):
        with tap(module, detach=value == 1) as calls:
            module(torch.full((1, ), float(value), requires_grad=True))
            meet.wait()
        (given, output), = calls
        return given.item(), output.item(), output.requires_grad

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(call, range(2)))
    assert found == [(0., 0., True), (1., 2., False)]
    assert not module._forward_hooks and not module._forward_pre_hooks
