"""Layouts of the released code of SPML, which sorts segments.

The names are those of twke18/SPML at commit 0800afd. They come from the files
spml/models/embeddings/resnet_pspnet.py and resnet_deeplab.py, and, for the
modules in these, from spml/models/heads/spp.py,
spml/models/backbones/resnet.py and spml/models/embeddings/local_model.py; the
classifier is that of spml/models/predictions/softmax_classifier.py and
segsort_softmax.py. pyscripts/train/train.py shows that a file holds the two
state dicts `embedding_model` and `prediction_model`.
"""
from typing import Any, Mapping

from torch import Tensor

from .layout import Conversion, Layout, apply_layout

BACKBONE = {
    'resnet_backbone.conv1.conv1.': 'backbone.stem.',
    'resnet_backbone.conv1.bn1.': 'backbone.stem.7.',
    **{f'resnet_backbone.res{i}.': f'backbone.layer{i - 1}.'
       for i in range(2, 6)},
}
LEFT_OUT = {
    'lfn.': 'a fixed filter that smooths colours, which are not clustered '
    'here',
    'semantic_classifier.': 'a classifier of embeddings, for which there is '
    'no place: predict by retrieval, or train the classifier of the host',
}
INITIAL = {'metric_head.bank.': 'the queue starts empty'}
CLASSIFIER = 'the classifier of the host, which the source does not have'

PSPNET = Layout(
    name='resnet_pspnet of twke18/SPML',
    prefixes={
        **BACKBONE,
        **{f'pspp.0.pspp_{i}.{j}.':
           f'decode_head.psp_modules.{i - 1}.1.{part}.'
           for i in range(1, 5) for j, part in ((1, 'conv'), (2, 'bn'))},
        'pspp.0.conv.0.': 'decode_head.bottleneck.conv.',
        'pspp.0.conv.1.': 'decode_head.bottleneck.bn.',
        'pspp.1.': 'metric_head.projection.0.',
    },
    left_out=LEFT_OUT,
    initial={**INITIAL, 'decode_head.conv_seg.': CLASSIFIER})

DEEPLAB = Layout(
    name='resnet_deeplab of twke18/SPML',
    prefixes={
        **BACKBONE,
        **{f'aspp.aspp_{i}.0.': f'metric_head.projection.convs.{i - 1}.'
           for i in range(1, 5)},
    },
    left_out=LEFT_OUT,
    initial={**INITIAL, 'decode_head.': CLASSIFIER})


def convert_spml(content: Mapping[str, Any],
                 expected: Mapping[str, Tensor]) -> Conversion:
    """Convert a checkpoint of twke18/SPML.

    The model is told from the names: PSPNet has `pspp.*`, DeepLab `aspp.*`.
    The embedding is converted; the softmax classifier on top of it, which
    their second stage trains, is not. The memory bank of SPML is not in its
    files.

    Args:
        content: Content of the file: a dict with `embedding_model` and
            `prediction_model`, or the first of these alone.
        expected: State dict of our model.

    Raises:
        ValueError: If the layout is another, or the weights do not fit the
            model.

    Example:
        >>> convert_spml({'embedding_model': {}}, {})
        Traceback (most recent call last):
        ValueError: the state dict must be an embedding model of twke18/SPML\
, got neither `pspp.*` nor `aspp.*`
    """
    state = dict(content.get('embedding_model', content))
    state.update(content.get('prediction_model') or {})
    state = {name.removeprefix('module.'): value
             for name, value in state.items()}
    for mark, layout in (('pspp.', PSPNET), ('aspp.', DEEPLAB)):
        if any(name.startswith(mark) for name in state):
            return apply_layout(layout, state, expected)
    raise ValueError('the state dict must be an embedding model of '
                     'twke18/SPML, got neither `pspp.*` nor `aspp.*`')
