"""Let open_clip and timm import where torchvision does not.

A wheel of torchvision does not load its C library against another build of
torch, and there it breaks the hosts too: it is better not installed. Both
libraries take nothing from it but preparation of images, which no test
calls. Use `open_clip = require('open_clip')` in a test.
"""
import enum
import importlib
import importlib.util
import sys
import types

import pytest
import torch

PARTS = ('', '.transforms', '.transforms.functional', '.transforms.v2',
         '.ops', '.ops.misc', '.models', '.models.feature_extraction',
         '.datasets')


class InterpolationMode(enum.Enum):
    """The one name of torchvision that is used at the import."""

    NEAREST = 'nearest'
    NEAREST_EXACT = 'nearest-exact'
    BILINEAR = 'bilinear'
    BICUBIC = 'bicubic'
    BOX = 'box'
    HAMMING = 'hamming'
    LANCZOS = 'lanczos'


class _Anything(type):
    """A class of which any attribute is the class itself."""

    def __getattr__(cls, name: str) -> type:
        if name.startswith('__'):
            raise AttributeError(name)
        return cls


class _StandIn(metaclass=_Anything):

    def __init__(self, *args, **kwargs) -> None:
        raise RuntimeError('torchvision is not installed')


def _stand_ins() -> dict:
    modules = {}
    for part in PARTS:
        module = types.ModuleType(f'torchvision{part}')
        module.__path__ = []
        module.__getattr__ = lambda name: getattr(_StandIn, name)
        module.__spec__ = importlib.util.spec_from_loader(
            module.__name__, loader=None)
        module.InterpolationMode = InterpolationMode
        modules[module.__name__] = module
    return modules


def require(name: str):
    """Return open_clip or timm, or skip the test: it is not installed."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f'{name} is not installed (mmpixsort[text])')
    if name in sys.modules or importlib.util.find_spec('torchvision'):
        return importlib.import_module(name)
    modules = _stand_ins()
    sys.modules.update(modules)
    try:
        return importlib.import_module(name)
    finally:
        # the hosts ask for torchvision and cope without
        for module in modules:
            del sys.modules[module]


def require_open_clip():
    """Return open_clip, or skip the test where it is not installed."""
    return require('open_clip')


def tiny_settings(**vision) -> dict:
    """Return the settings of a CLIP of 4 layers that runs in no time."""
    return dict(
        embed_dim=24,
        vision_cfg={**dict(
            image_size=32, layers=4, width=32, patch_size=8, head_width=8),
            **vision},
        text_cfg=dict(
            context_length=77, vocab_size=49408, width=16, heads=2,
            layers=2))


def random_clip(**vision):
    """Return a tiny CLIP of open_clip with random weights."""
    open_clip = require_open_clip()
    torch.manual_seed(0)
    model = open_clip.CLIP(**tiny_settings(**vision)).eval()
    for parameter in model.parameters():
        parameter.data += .02 * torch.randn_like(parameter)
    return model


def assert_same_clip(dual, model) -> None:
    """Assert that a dual encoder has the weights of a CLIP, and says so."""
    for name, tensor in model.state_dict().items():
        assert torch.equal(dual.clip.state_dict()[name], tensor), name
    images = torch.randn(
        2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    got = dual.eval().encode_image(images).image
    want = model.encode_image(images)
    assert (torch.cosine_similarity(got, want) > .99999).all()
    tokens = dual.tokenizer(['a dog', 'two cats'])
    got = dual.encode_text(['a dog', 'two cats'])
    want = model.encode_text(tokens)
    assert (torch.cosine_similarity(got, want) > .99999).all()
