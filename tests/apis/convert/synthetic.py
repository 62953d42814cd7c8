"""Random state dicts with the names of other code bases, of small widths.

The names are written out here by their own rules, so that a test compares
two descriptions of a layout. They are those of tfzhou/ContrastiveSeg at
287e5d3 and of twke18/SPML at 0800afd; mmpixsort/apis/convert says from which
files.
"""
import torch
from torch.nn import functional as F

WIDTHS = (2, 4, 8, 16)  # of the branches of HRNet
TOTAL = sum(WIDTHS)
CLASSES = 19
BASE = 4  # of ResNet-50, 64 in the original
DIMS = 6  # of an embedding


class State(dict):
    """A state dict that grows by layers."""

    def conv(self, name, out, into, kernel=1, bias=False):
        self[f'{name}.weight'] = torch.randn(out, into, kernel, kernel) / (
            into * kernel**2)**.5
        if bias:
            self[f'{name}.bias'] = torch.randn(out)

    def norm(self, name, channels):
        self[f'{name}.weight'] = .5 + torch.rand(channels)
        self[f'{name}.bias'] = torch.randn(channels)
        self[f'{name}.running_mean'] = torch.randn(channels)
        self[f'{name}.running_var'] = .5 + torch.rand(channels)
        self[f'{name}.num_batches_tracked'] = torch.tensor(7)

    def block(self, name, into, width, expansion, downsample):
        """A basic block (expansion 1) or a bottleneck (expansion 4)."""
        if expansion == 1:
            layers = [(into, width, 3), (width, width, 3)]
        else:
            layers = [(into, width, 1), (width, width, 3),
                      (width, width * expansion, 1)]
        for i, (before, after, kernel) in enumerate(layers, 1):
            self.conv(f'{name}.conv{i}', after, before, kernel)
            self.norm(f'{name}.bn{i}', after)
        if downsample:
            self.conv(f'{name}.downsample.0', width * expansion, into)
            self.norm(f'{name}.downsample.1', width * expansion)

    def projection(self, into, dims):
        self.conv('proj_head.proj.0', into, into, bias=True)
        self.norm('proj_head.proj.1.0', into)
        self.conv('proj_head.proj.2', dims, into, bias=True)


def hrnet(state):
    """Add an HRNet of one module a stage and one block a branch."""
    for i, into in ((1, 3), (2, 64)):
        state.conv(f'backbone.conv{i}', 64, into, 3)
        state.norm(f'backbone.bn{i}', 64)
    state.block('backbone.layer1.0', 64, 64, 4, True)
    state.conv('backbone.transition1.0.0', WIDTHS[0], 256, 3)
    state.norm('backbone.transition1.0.1', WIDTHS[0])
    for stage, into in ((2, 256), (3, WIDTHS[1]), (4, WIDTHS[2])):
        new = f'backbone.transition{stage - 1}.{stage - 1}.0'
        state.conv(f'{new}.0', WIDTHS[stage - 1], into, 3)
        state.norm(f'{new}.1', WIDTHS[stage - 1])
        module = f'backbone.stage{stage}.0'
        for branch in range(stage):
            width = WIDTHS[branch]
            state.block(f'{module}.branches.{branch}.0', width, width, 1,
                        False)
        for i in range(stage):
            for j in range(stage):
                _fuse(state, f'{module}.fuse_layers.{i}.{j}', i, j)


def _fuse(state, name, i, j):
    """Add the layer from branch j to branch i."""
    if j > i:
        state.conv(f'{name}.0', WIDTHS[i], WIDTHS[j])
        state.norm(f'{name}.1', WIDTHS[i])
    for k in range(i - j):
        out = WIDTHS[i] if k == i - j - 1 else WIDTHS[j]
        state.conv(f'{name}.{k}.0', out, WIDTHS[j], 3)
        state.norm(f'{name}.{k}.1', out)


def resnet(state, stem, stages):
    """Add a ResNet-50 with a deep stem.

    Args:
        stem: Names of the three convolutions and norms of the stem.
        stages: Names of the four stages.
    """
    into = 3
    for conv, norm, width in zip(*stem, (BASE, BASE, 2 * BASE)):
        state.conv(conv, width, into, 3)
        state.norm(norm, width)
        into = width
    for stage, blocks, width in zip(stages, (3, 4, 6, 3), (1, 2, 4, 8)):
        for i in range(blocks):
            state.block(f'{stage}.{i}', into, width * BASE, 4, i == 0)
            into = 4 * width * BASE


def hrnet_contrast():
    state = State()
    hrnet(state)
    state.conv('cls_head.0', TOTAL, TOTAL, 3, bias=True)
    state.norm('cls_head.1.0', TOTAL)
    state.conv('cls_head.3', CLASSES, TOTAL)
    state.projection(TOTAL, DIMS)
    return state


def ocr_contrast():
    state = State()
    hrnet(state)
    state.conv('conv3x3.0', 12, TOTAL, 3, bias=True)
    state.norm('conv3x3.1.0', 12)
    attention = 'ocr_distri_head.object_context_block'
    for part, into, out, count in (('f_pixel', 12, 5, 2),
                                   ('f_object', 12, 5, 2),
                                   ('f_down', 12, 5, 1), ('f_up', 5, 12, 1)):
        for i in range(count):
            state.conv(f'{attention}.{part}.{2 * i}', out,
                       out if i else into, bias=True)
            state.norm(f'{attention}.{part}.{2 * i + 1}.0', out)
    state.conv('ocr_distri_head.conv_bn_dropout.0', 12, 24, bias=True)
    state.norm('ocr_distri_head.conv_bn_dropout.1.0', 12)
    state.conv('cls_head', CLASSES, 12, bias=True)
    state.conv('aux_head.0', TOTAL, TOTAL, 3, bias=True)
    state.norm('aux_head.1.0', TOTAL)
    state.conv('aux_head.2', CLASSES, TOTAL, bias=True)
    state.projection(TOTAL, DIMS)
    return state


def deeplab_contrast():
    state = State()
    init = 'backbone.resinit'
    resnet(state, ([f'{init}.conv{i}' for i in (1, 2, 3)],
                   [f'{init}.bn{i}' for i in (1, 2, 3)]),
           [f'backbone.layer{i}' for i in (1, 2, 3, 4)])
    state.projection(32 * BASE, DIMS)
    state.conv('decoder.layer_dsn.0', 6, 16 * BASE, 3, bias=True)
    state.norm('decoder.layer_dsn.1.0', 6)
    state.conv('decoder.layer_dsn.2', CLASSES, 6, bias=True)
    aspp = 'decoder.layer_aspp'
    for i in range(5):
        conv, norm = ('0', '1.0') if i < 4 else ('1', '2.0')
        state.conv(f'{aspp}.b{i}.{conv}', 8, 32 * BASE,
                   3 if 0 < i < 4 else 1)
        state.norm(f'{aspp}.b{i}.{norm}', 8)
    state.conv(f'{aspp}.project.0', 8, 40, 3)
    state.norm(f'{aspp}.project.1.0', 8)
    state.conv('decoder.refine.0', 8, 8, 3)
    state.norm('decoder.refine.1', 8)
    state.conv('decoder.refine.2', CLASSES, 8, bias=True)
    return state


def with_queues(state, capacity=5):
    """Return the state dict of hrnet_w48_mem around a network."""
    outer = State({f'encoder_q.{name}': value
                   for name, value in state.items()})
    for i, section in enumerate(('segment', 'pixel')):
        outer[f'{section}_queue'] = F.normalize(
            torch.randn(CLASSES, capacity, DIMS), dim=2)
        outer[f'{section}_queue_ptr'] = (
            torch.arange(CLASSES) + i) % capacity
        outer[f'{section}_queue_ptr'][0] = 0
    return outer


def spml(kind):
    """Return the embedding model of SPML, 'pspnet' or 'deeplab'."""
    state = State()
    stem = 'resnet_backbone.conv1'
    resnet(state, ([f'{stem}.conv1.{i}' for i in (0, 3, 6)],
                   [f'{stem}.conv1.1', f'{stem}.conv1.4', f'{stem}.bn1']),
           [f'resnet_backbone.res{i}' for i in (2, 3, 4, 5)])
    top = 32 * BASE
    if kind == 'deeplab':
        for i in (1, 2, 3, 4):
            state.conv(f'aspp.aspp_{i}.0', DIMS, top, 3, bias=True)
        return state
    for i in (1, 2, 3, 4):
        state.conv(f'pspp.0.pspp_{i}.1', 8, top)
        state.norm(f'pspp.0.pspp_{i}.2', 8)
    state.conv('pspp.0.conv.0', 8, top + 32, 3)
    state.norm('pspp.0.conv.1', 8)
    state.conv('pspp.1', DIMS, 8, bias=True)
    return state


def spml_classifier():
    state = State()
    state.conv('semantic_classifier.0', 2 * DIMS, DIMS, 3)
    state.norm('semantic_classifier.1', 2 * DIMS)
    state.conv('semantic_classifier.4', 21, 2 * DIMS, bias=True)
    return state


def run(state, x, conv, norm=None, relu=True, dilation=1):
    """Apply a convolution, and a batch norm and ReLU if it is named."""
    weight = state[f'{conv}.weight']
    x = F.conv2d(x, weight, state.get(f'{conv}.bias'), dilation=dilation,
                 padding=dilation * (weight.shape[2] // 2))
    if norm is not None:
        x = F.batch_norm(
            x, state[f'{norm}.running_mean'], state[f'{norm}.running_var'],
            state[f'{norm}.weight'], state[f'{norm}.bias'])
        x = x.relu() if relu else x
    return x


def project(state, feature):
    """Return what their projection gives: embeddings of length 1."""
    hidden = run(state, feature, 'proj_head.proj.0', 'proj_head.proj.1.0')
    return F.normalize(run(state, hidden, 'proj_head.proj.2'), dim=1)


def enlarge(x, size, align_corners):
    return F.interpolate(x, size=size, mode='bilinear',
                         align_corners=align_corners)
