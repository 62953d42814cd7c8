"""The segmentor: host names kept, taps, heads in a list, binary heads."""
import copy
import pickle

import pytest
import tiny
import torch


def test_segmentor__keeps_the_names_of_the_host():
    plain = tiny.build(tiny.host()).state_dict()
    model = tiny.build(tiny.attached())
    own = {k: v for k, v in model.state_dict().items()
           if not k.startswith('metric_head.')}
    assert list(own) == list(plain)
    result = model.load_state_dict(plain, strict=False)
    assert not result.unexpected_keys
    assert all(k.startswith('metric_head.') for k in result.missing_keys)


def test_segmentor__logits_reach_the_head(monkeypatch):
    model = tiny.build(tiny.attached()).train()
    seen = {}
    loss = model.metric_head.loss

    def spy(*args, **kwargs):
        seen.update(kwargs)
        return loss(*args, **kwargs)

    monkeypatch.setattr(model.metric_head, 'loss', spy)
    model(*tiny.batch(), mode='loss')
    assert seen['logits'].shape == (2, tiny.CLASSES, 4, 4)
    assert seen['decoder_feature'].shape == (2, 8, 4, 4)
    hooked = [m for m in model.modules() if m._forward_hooks]
    assert hooked == []


def test_segmentor__a_list_of_heads_and_the_decoder_feature():
    config = tiny.attached()
    config.metric_head = [
        tiny.metric_head(),
        tiny.metric_head(source='decoder', in_channels=8, bank=None)
    ]
    model = tiny.build(config).train()
    losses = model(*tiny.batch(), mode='loss')
    assert {'metric_0.loss_pixel_contrast',
            'metric_1.loss_pixel_contrast'} <= set(losses)
    assert model.extract_embedding(
        tiny.batch()[0], index=1).shape == (2, 8, 4, 4)


@pytest.mark.parametrize('num_classes', [1, 2])
def test_segmentor__binary_head(num_classes):
    config = tiny.attached(num_classes=2)
    config.decode_head.update(
        num_classes=num_classes, out_channels=1, threshold=0.4)
    config.decode_head.loss_decode = dict(
        type='CrossEntropyLoss', use_sigmoid=True)
    model = tiny.build(config).train()
    images, samples = tiny.batch()
    for sample in samples:
        labels = sample.gt_sem_seg.data
        sample.gt_sem_seg.data = torch.where(labels == 255, 255, labels % 2)
    losses = model(images, samples, mode='loss')
    assert losses['loss_pixel_contrast'] > 0
    config.metric_head.num_classes = 1
    with pytest.raises(
            ValueError, match='must be 2, for the labels 0 and 1 .* got 1'):
        tiny.build(config)


def test_segmentor__a_head_as_auxiliary_head_of_the_plain_host():
    head = tiny.metric_head()
    model = tiny.build(tiny.host(auxiliary_head=head)).train()
    losses = model(*tiny.batch(), mode='loss')
    assert losses['aux.loss_pixel_contrast'] > 0


def test_segmentor__copies_and_pickles_after_a_step():
    model = tiny.build(tiny.attached()).train()
    model(*tiny.batch(), mode='loss')
    twin = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    for name, value in model.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name]), name


@pytest.mark.parametrize('config, name', [
    (tiny.attached(), 'loss_pixel_contrast'),
    (tiny.sorting(bank=tiny.PROTOTYPE_QUEUE), 'loss_segsort'),
    (tiny.sorting(
        'decoder', loss=dict(type='mmpixsort.SegSortLoss',
                             concentration=64.)), 'loss_segsort')])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_segmentor__autocast(config, name, dtype):
    model = tiny.build(config).train()
    images, samples = tiny.batch()
    with torch.autocast('cpu', dtype=dtype):
        losses = model(images, samples, mode='loss')
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert losses[name].dtype == torch.float32
    assert losses[name] > 0
    assert all(p.grad.isfinite().all() for p in model.parameters()
               if p.grad is not None)


@pytest.mark.parametrize('change, text', [
    (dict(num_classes=7), '`num_classes` of the metric head must be 4'),
    (dict(ignore_index=0), '`ignore_index` of the metric head must be 255'),
])
def test_segmentor__head_that_does_not_fit(change, text):
    with pytest.raises(ValueError, match=text):
        tiny.build(tiny.attached(**change))
