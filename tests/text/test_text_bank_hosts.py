"""The bank against the text encoder of MMSegmentation, on equal weights."""
import pytest
import torch
from mmengine.registry import init_default_scope
from open_clip_shim import require, tiny_settings

from mmpixsort.text.bank import TextBank
from mmpixsort.registry import MODELS

WORDS = ['cat', 'traffic light', 'Straße']
TEMPLATES = ['a photo of a {}.', 'the {}, seen from afar']
NAMES = [('ln_1.', 'norms.0.'), ('ln_2.', 'norms.1.'),
         ('attn.', 'attentions.0.attn.'), ('mlp.c_fc.', 'ffns.0.layers.0.0.'),
         ('mlp.c_proj.', 'ffns.0.layers.1.')]


def host_names(state: dict) -> dict:
    """Rename the text tower of open_clip as the host has it."""
    found = {}
    for name, value in state.items():
        if name.startswith('visual.') or name in ('attn_mask', 'logit_bias'):
            continue
        name = name.replace('transformer.resblocks.', 'transformer.')
        for ours, theirs in NAMES:
            name = name.replace(f'.{ours}', f'.{theirs}')
        found[name] = value
    return found


@pytest.mark.parametrize('words', [WORDS, WORDS[:1]])
def test_text_bank__equals_the_host(words):
    require('open_clip')
    from mmseg.models.text_encoder import CLIPTextEncoder
    init_default_scope('mmseg')
    torch.manual_seed(0)
    # as the host has it: quick activation, a head for 64 dims
    settings = dict(tiny_settings(), quick_gelu=True)
    dual = MODELS.build(dict(
        type='mmpixsort.OpenCLIPDual', model_name=settings)).eval()
    for parameter in dual.parameters():
        parameter.data += .02 * torch.randn_like(parameter)
    text = settings['text_cfg']
    host = CLIPTextEncoder(
        vocabulary=words, templates=TEMPLATES, embed_dims=text['width'],
        num_layers=text['layers'], num_heads=text['heads'],
        output_dims=settings['embed_dim'], cat_bg=False).eval()
    missing = host.load_state_dict(
        host_names(dual.clip.state_dict()), strict=False)
    assert not missing.unexpected_keys
    assert not missing.missing_keys
    bank = TextBank(classes=words, templates=TEMPLATES)
    bank.ensure(dual.encode_text)
    with torch.no_grad():
        expected = host() / host.logit_scale.exp()
    cosine = torch.cosine_similarity(bank.embeddings, expected)
    assert (cosine > .99999).all()
    assert torch.allclose(bank.embeddings, expected, atol=1e-5)
