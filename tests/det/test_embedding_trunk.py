"""The part that heads of instances share: branches of the feature."""
import pytest
import tiny_instances as tiny
import torch

SIZES = ((32, 32), (24, 40))
CONFIGS = {
    'instances': lambda trunk: tiny.config(dict(trunk=trunk)),
    'sorting': lambda trunk: tiny.panoptic(dict(trunk=trunk)),
    'discriminative': lambda trunk: tiny.panoptic_discriminative(trunk=trunk)
}


def decoder(kind):
    return dict(
        _scope_='mmseg', type='FCNHead', in_channels=16, in_index=1,
        channels=24, num_convs=1, concat_input=False,
        num_classes=3 if kind == 'instances' else 4,
        norm_cfg=dict(type='BN'))


def gradients(kind, part, **trunk):
    """Gradients of a part of the loss, by name of the parameter."""
    model = tiny.build_config(CONFIGS[kind](trunk)).train()
    inputs, samples = tiny.batch(*SIZES, model=model)
    losses = model(inputs, tiny.with_stuff(samples), mode='loss')
    chosen = [value for name, value in losses.items() if 'loss' in name and (
        name == 'loss_semantic') == (part == 'classes')]
    sum(chosen).backward()
    return {name: p.grad for name, p in model.named_parameters()
            if p.grad is not None}


@pytest.mark.parametrize('kind', CONFIGS)
@pytest.mark.parametrize('options', [
    dict(), dict(num_convs=2, coordinates='absolute'), dict(num_convs=0),
    dict(decoder=True)])
def test_isolated__embedding_does_not_change_the_classes(kind, options):
    if options.get('decoder'):
        options = dict(decoder=decoder(kind))
    own = gradients(kind, 'embedding', isolated=True, **options)
    classes = gradients(kind, 'classes', isolated=True, **options)
    assert set(own) and not set(own) & set(classes)
    assert all(name.startswith(('head.embed_convs', 'head.convs',
                                'head.conv_embed')) for name in own)
    # weight and bias, and those of each convolution and its norm
    assert len(own) == 2 + 3 * options.get('num_convs', 1)
    # a loss of both goes through the shared layers
    shared = gradients(kind, 'embedding', **options)
    assert 'backbone.conv1.weight' in shared


@pytest.mark.parametrize('kind', CONFIGS)
def test_isolated__classes_are_those_of_a_network_without_embedding(kind):
    shared, isolated = (tiny.build_config(CONFIGS[kind](dict(isolated=own)))
                        for own in (False, True))
    isolated.load_state_dict(shared.state_dict(), strict=False)
    inputs, _ = tiny.batch(*SIZES, model=shared)
    outputs = [m.eval().head(m.extract_feat(inputs))
               for m in (shared, isolated)]
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert not torch.equal(outputs[0][1], outputs[1][1])
