"""Layouts of the released code of pixel contrast.

The names are those of tfzhou/ContrastiveSeg at commit 287e5d3. They come from
the files lib/models/nets/hrnet.py (`HRNet_W48_CONTRAST`,
`HRNet_W48_OCR_CONTRAST`, `HRNet_W48_MEM`), lib/models/nets/deeplab.py
(`DeepLabV3Contrast`), and, for the modules in these, from
lib/models/modules/projection.py, decoder_block.py and spatial_ocr_block.py
and from lib/models/backbones/hrnet/hrnet_backbone.py and
resnet/resnet_models.py. segmentor/tools/module_runner.py shows that a file
holds `config_dict` and `state_dict`, with the prefix `module.` if it was
trained on several devices.
"""
from typing import Any, Dict, Mapping

import torch
from torch import Tensor

from mmpixsort.functional.checks import check_choice

from .layout import Conversion, Layout, apply_layout

QUEUES = ('drop', 'before_pointer', 'all')
SECTIONS = ('pixel', 'segment')  # in the order of the sections of our bank
BANK = 'metric_head.bank.'

PROJECTION = {
    'proj_head.proj.': 'metric_head.projection.0.',  # the linear one
    'proj_head.proj.0.': 'metric_head.projection.0.',
    'proj_head.proj.1.0.': 'metric_head.projection.1.',
    'proj_head.proj.2.': 'metric_head.projection.3.',
}
PROJECTION_FOLDED = {
    'proj_head.proj.0.bias': 'proj_head.proj.1.0.running_mean'}
IMAGENET = {f'backbone.{part}': 'classifier of ImageNet, not used'
            for part in ('incre_modules.', 'downsamp_modules.',
                         'final_layer.')}
INITIAL = {BANK: 'the bank starts empty'}

HRNET = Layout(
    name='hrnet_w48_contrast of tfzhou/ContrastiveSeg',
    prefixes={
        'backbone.': 'backbone.',
        'cls_head.0.': 'decode_head.convs.0.conv.',
        'cls_head.1.0.': 'decode_head.convs.0.bn.',
        'cls_head.3.': 'decode_head.conv_seg.',
        **PROJECTION
    },
    folded={'cls_head.0.bias': 'cls_head.1.0.running_mean',
            **PROJECTION_FOLDED},
    zeros=('decode_head.conv_seg.bias', ),
    left_out=IMAGENET,
    initial=INITIAL)

_OCR = 'ocr_distri_head.object_context_block.'
_OUR_OCR = 'decode_head.1.object_context_block.'
HRNET_OCR = Layout(
    name='hrnet_w48_ocr_contrast of tfzhou/ContrastiveSeg',
    prefixes={
        'backbone.': 'backbone.',
        'aux_head.0.': 'decode_head.0.convs.0.conv.',
        'aux_head.1.0.': 'decode_head.0.convs.0.bn.',
        'aux_head.2.': 'decode_head.0.conv_seg.',
        'conv3x3.0.': 'decode_head.1.bottleneck.conv.',
        'conv3x3.1.0.': 'decode_head.1.bottleneck.bn.',
        f'{_OCR}f_pixel.0.': f'{_OUR_OCR}query_project.0.conv.',
        f'{_OCR}f_pixel.1.0.': f'{_OUR_OCR}query_project.0.bn.',
        f'{_OCR}f_pixel.2.': f'{_OUR_OCR}query_project.1.conv.',
        f'{_OCR}f_pixel.3.0.': f'{_OUR_OCR}query_project.1.bn.',
        f'{_OCR}f_object.0.': f'{_OUR_OCR}key_project.0.conv.',
        f'{_OCR}f_object.1.0.': f'{_OUR_OCR}key_project.0.bn.',
        f'{_OCR}f_object.2.': f'{_OUR_OCR}key_project.1.conv.',
        f'{_OCR}f_object.3.0.': f'{_OUR_OCR}key_project.1.bn.',
        f'{_OCR}f_down.0.': f'{_OUR_OCR}value_project.conv.',
        f'{_OCR}f_down.1.0.': f'{_OUR_OCR}value_project.bn.',
        f'{_OCR}f_up.0.': f'{_OUR_OCR}out_project.conv.',
        f'{_OCR}f_up.1.0.': f'{_OUR_OCR}out_project.bn.',
        'ocr_distri_head.conv_bn_dropout.0.': f'{_OUR_OCR}bottleneck.conv.',
        'ocr_distri_head.conv_bn_dropout.1.0.': f'{_OUR_OCR}bottleneck.bn.',
        'cls_head.': 'decode_head.1.conv_seg.',
        **PROJECTION
    },
    folded={
        'aux_head.0.bias': 'aux_head.1.0.running_mean',
        'conv3x3.0.bias': 'conv3x3.1.0.running_mean',
        **{f'{_OCR}{part}.{i}.bias': f'{_OCR}{part}.{i + 1}.0.running_mean'
           for part, i in (('f_pixel', 0), ('f_pixel', 2), ('f_object', 0),
                           ('f_object', 2), ('f_down', 0), ('f_up', 0))},
        'ocr_distri_head.conv_bn_dropout.0.bias':
        'ocr_distri_head.conv_bn_dropout.1.0.running_mean',
        **PROJECTION_FOLDED
    },
    left_out=IMAGENET,
    initial=INITIAL)

DEEPLAB = Layout(
    name='deeplab_v3_contrast of tfzhou/ContrastiveSeg',
    prefixes={
        'backbone.': 'backbone.',
        'backbone.resinit.conv1.': 'backbone.stem.0.',
        'backbone.resinit.bn1.': 'backbone.stem.1.',
        'backbone.resinit.conv2.': 'backbone.stem.3.',
        'backbone.resinit.bn2.': 'backbone.stem.4.',
        'backbone.resinit.conv3.': 'backbone.stem.6.',
        'backbone.resinit.bn3.': 'backbone.stem.7.',
        'decoder.layer_dsn.0.': 'auxiliary_head.convs.0.conv.',
        'decoder.layer_dsn.1.0.': 'auxiliary_head.convs.0.bn.',
        'decoder.layer_dsn.2.': 'auxiliary_head.conv_seg.',
        **{f'decoder.layer_aspp.b{i}.{j}.':
           f'decode_head.aspp_modules.{i}.{part}.'
           for i in range(4) for j, part in (('0', 'conv'), ('1.0', 'bn'))},
        'decoder.layer_aspp.b4.1.': 'decode_head.image_pool.1.conv.',
        'decoder.layer_aspp.b4.2.0.': 'decode_head.image_pool.1.bn.',
        'decoder.layer_aspp.project.0.': 'decode_head.bottleneck.conv.',
        'decoder.layer_aspp.project.1.0.': 'decode_head.bottleneck.bn.',
        'decoder.refine.0.': 'decode_head.refine.conv.',
        'decoder.refine.1.': 'decode_head.refine.bn.',
        'decoder.refine.2.': 'decode_head.conv_seg.',
        **PROJECTION
    },
    folded={'decoder.layer_dsn.0.bias': 'decoder.layer_dsn.1.0.running_mean',
            **PROJECTION_FOLDED},
    # their pooled branch comes last, ours first
    rotated={'decoder.layer_aspp.project.0.weight': 5},
    initial=INITIAL)


def convert_contrastiveseg(content: Mapping[str, Any],
                           expected: Mapping[str, Tensor],
                           *,
                           queues: str = 'drop') -> Conversion:
    """Convert a state dict of tfzhou/ContrastiveSeg.

    The model is told from the names: `hrnet_w48_contrast`,
    `hrnet_w48_ocr_contrast`, `deeplab_v3_contrast`, or one of them inside of
    `hrnet_w48_mem`, whose queues are then in the file.

    Their queues are not sound (see docs/pixel_contrast.md): rows that were
    never written hold random numbers, nothing tells them apart, class 0 is
    never written, and rows of the pixel queue come from pixels of any class.
    By default they are therefore left out, and our bank fills itself during
    the warm-up.

    Args:
        content: Content of the file: a state dict, or a dict with
            `state_dict`.
        expected: State dict of our model.
        queues: What becomes of the queues. 'drop' leaves them out.
            'before_pointer' takes the rows before the write pointer, which
            are known to have been written. 'all' takes all rows of all
            classes but 0, for a file from the end of a long training.

    Raises:
        ValueError: If the layout is another, if the weights do not fit the
            model, or if queues are asked for that one of the two lacks.

    Example:
        >>> convert_contrastiveseg({'fc.weight': torch.zeros(1)}, {})
        Traceback (most recent call last):
        ValueError: the state dict must be of a model of tfzhou/ContrastiveSeg\
 with a projection, got no `proj_head.*`
    """
    check_choice('queues', queues, QUEUES)
    state = _state_of(content)
    state, queued = _split_queues(state)
    layout = _layout_of(state)
    if not queued:
        if queues != 'drop':
            raise ValueError(
                f"`queues` must be 'drop' for a file without queues, got "
                f'{queues!r}')
        return apply_layout(layout, state, expected)
    layout = layout._replace(
        name=f'{layout.name}, in hrnet_w48_mem with queues')
    done = apply_layout(layout, state, expected)
    if queues == 'drop':
        why = 'their queues; the bank fills itself during the warm-up'
        return done._replace(
            left_out={**done.left_out, **{name: why for name in queued}})
    bank = _bank_of(queued, expected, queues)
    rows = int(bank[f'{BANK}written'].clamp(
        max=queued['segment_queue'].shape[1]).sum())
    return done._replace(
        weights={**done.weights, **bank},
        pairs=[*done.pairs, *((f'{section}_queue', f'{BANK}keys')
                              for section in SECTIONS)],
        notes=[*done.notes, f'bank: {rows} rows, taken by queues={queues!r}'],
        initial={name: why for name, why in done.initial.items()
                 if not name.startswith(BANK)})


def _state_of(content: Mapping[str, Any]) -> Dict[str, Tensor]:
    """Return the state dict of a file, without the prefix of wrappers."""
    for key in ('state_dict', 'model'):
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    state = {name: value for name, value in content.items()
             if isinstance(value, Tensor)}
    if state and all(name.startswith('module.') for name in state):
        state = {name[len('module.'):]: value
                 for name, value in state.items()}
    return state


def _split_queues(state: Dict[str, Tensor]) -> tuple:
    """Return the state dict of the network, and the queues around it."""
    encoder = 'encoder_q.'
    if not any(name.startswith(encoder) for name in state):
        return state, {}
    queued = {f'{section}_queue{end}' for section in SECTIONS
              for end in ('', '_ptr')}
    missing = sorted(queued - set(state))
    if missing:
        raise ValueError('a state dict with `encoder_q.*` must hold its '
                         f'queues; missing: {", ".join(missing)}')
    inside = {name[len(encoder):] if name.startswith(encoder) else name: value
              for name, value in state.items() if name not in queued}
    return inside, {name: state[name] for name in sorted(queued)}


def _layout_of(state: Mapping[str, Tensor]) -> Layout:
    """Tell the layout from names that only one of them has."""
    if not any(name.startswith('proj_head.') for name in state):
        raise ValueError(
            'the state dict must be of a model of tfzhou/ContrastiveSeg with '
            'a projection, got no `proj_head.*`')
    for mark, layout in (('ocr_distri_head.', HRNET_OCR),
                         ('decoder.', DEEPLAB)):
        if any(name.startswith(mark) for name in state):
            break
    else:
        layout = HRNET
    if 'proj_head.proj.weight' in state:  # linear: a bias of its own
        folded = {bias: mean for bias, mean in layout.folded.items()
                  if bias not in PROJECTION_FOLDED}
        prefixes = {theirs: ours for theirs, ours in layout.prefixes.items()
                    if not theirs.startswith('proj_head.proj.')}
        prefixes['proj_head.proj.'] = 'metric_head.projection.0.'
        return layout._replace(folded=folded, prefixes=prefixes)
    prefixes = dict(layout.prefixes)
    prefixes.pop('proj_head.proj.')
    return layout._replace(prefixes=prefixes)


def _bank_of(queued: Mapping[str, Tensor], expected: Mapping[str, Tensor],
             queues: str) -> Dict[str, Tensor]:
    """Return the buffers of our bank, filled with rows of their queues."""
    if f'{BANK}keys' not in expected:
        raise ValueError(
            "`queues` must be 'drop' for a config without a bank, got "
            f"{queues!r}; or give the metric head bank=dict("
            "type='mmpixsort.ClassQueue', capacity=...)")
    keys = torch.stack([queued[f'{s}_queue'] for s in SECTIONS], 1)
    pointers = torch.stack([queued[f'{s}_queue_ptr'] for s in SECTIONS], 1)
    num_classes, sections, capacity, dims = keys.shape
    wanted = expected[f'{BANK}keys'].shape
    if wanted != (1 + num_classes * sections * capacity, dims):
        raise ValueError(
            f'wrong shape: the queues hold {num_classes} classes of '
            f'{capacity} rows of {dims} dims each, and the bank of the '
            f'config has {wanted[0] - 1} rows of {wanted[1]} dims for both; '
            'set `capacity`, `num_classes` and `embed_dims` alike')
    written = pointers.long().clone()
    if queues == 'all':
        written += capacity  # full; the next slot stays the same
    written[0] = 0  # never written there, whatever the rows hold
    slot = torch.arange(capacity)
    filled = slot < written[..., None]
    keys = torch.where(filled[..., None], keys, 0.)
    rows = torch.cat([keys.new_zeros(1, dims), keys.flatten(0, 2)])
    return {f'{BANK}keys': rows.to(expected[f'{BANK}keys'].dtype),
            f'{BANK}written': written.flatten()}
