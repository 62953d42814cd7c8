"""Windows of an image: one is the whole, many are a mean."""
import pytest
import tiny_instances as tiny
import torch
from calls import count_calls
from torch.nn.functional import normalize

from mmpixsort.det.detectors.slide import SlideRules, slide_maps

CELL = 4


def embed(crop):
    """Logits and unit embeddings that depend on the window as a whole."""
    maps = torch.nn.functional.avg_pool2d(crop, CELL)
    maps = maps + crop.mean((2, 3), keepdim=True)
    return maps[:, :2], normalize(maps, dim=1)


def slide_loop(inputs, crop_size, stride):
    """Cell by cell: the mean over the windows that hold it."""
    size = [side // CELL for side in inputs.shape[2:]]
    starts = [sorted({min(s, max(0, side - crop)) for s in range(
        0, max(1, side - crop + step), step)})
        for side, crop, step in zip(inputs.shape[2:], crop_size, stride)]
    logits = torch.zeros(len(inputs), 2, *size)
    embeddings = torch.zeros(len(inputs), 3, *size)
    for i in range(size[0]):
        for j in range(size[1]):
            parts = []
            for top in starts[0]:
                for left in starts[1]:
                    y, x = i - top // CELL, j - left // CELL
                    crop = inputs[:, :, top:top + crop_size[0],
                                  left:left + crop_size[1]]
                    inside = (0 <= y < crop.shape[2] // CELL
                              and 0 <= x < crop.shape[3] // CELL)
                    if inside:
                        parts.append([m[:, :, y, x] for m in embed(crop)])
            logits[:, :, i, j] = sum(p[0] for p in parts) / len(parts)
            embeddings[:, :, i, j] = sum(p[1] for p in parts) / len(parts)
    return logits, embeddings


@pytest.mark.parametrize('crop, stride', [
    ((16, 16), (8, 12)), ((12, 20), (12, 4)), ((64, 16), (64, 16))])
def test_slide_maps__equals_a_loop(crop, stride):
    inputs = torch.randn(
        2, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    rules = SlideRules('slide', crop, stride).check()
    logits, units = slide_maps(embed, inputs, rules, unit=True)
    means = slide_maps(embed, inputs, rules, unit=False)[1]
    want = slide_loop(inputs, crop, stride)
    assert torch.allclose(logits, want[0], atol=1e-5)
    assert torch.allclose(means, want[1], atol=1e-5)
    assert torch.allclose(units, normalize(want[1], dim=1), atol=1e-5)


def maps_of(model, inputs, samples, patch):
    """Predict; return the logits and embeddings that the head was given."""
    calls = count_calls(type(model.head), 'results', patch)
    model.predict(inputs, samples)
    (_, logits, embeddings, *_), _ = calls.pop()
    return logits, embeddings


def test_predict__windows_keep_the_length_of_discriminative_embeddings(
        monkeypatch):
    model = tiny.build_config(tiny.panoptic_discriminative(
        ) | dict(test_cfg=dict(mode='slide', crop_size=(32, 32),
                               stride=(16, 16)))).eval()
    inputs, samples = tiny.batch((32, 32), training=False, model=model)
    with torch.no_grad():
        whole = model.head.embed(model.extract_feat(inputs))
        found = maps_of(model, inputs, samples, monkeypatch.setattr)
    for part, want in zip(found, whole):
        assert torch.allclose(part, want, atol=1e-5)
    assert (whole[1].norm(dim=1) - 1).abs().max() > .1


@pytest.mark.parametrize('crop', [(32, 40), (96, 96)])
def test_predict__one_window_is_the_whole(crop):
    results = []
    for test_cfg in (None, dict(mode='whole'), dict(
            mode='slide', crop_size=crop, stride=(8, 8))):
        model = tiny.build_config(tiny.panoptic(
            dict(rules=dict(threshold=.5)), test_cfg=test_cfg)).eval()
        inputs, samples = tiny.batch(
            (32, 32), (24, 40), training=False, model=model)
        results.append(model.predict(inputs, samples))
    for other in results[1:]:
        for a, b in zip(results[0], other):
            for name in ('pred_panoptic_seg', 'pred_sem_seg'):
                assert torch.equal(a.get(name).sem_seg, b.get(name).sem_seg)


def test_predict__windows_overlap(monkeypatch):
    model = tiny.build_config(tiny.panoptic(
        dict(rules=dict(threshold=.5)), test_cfg=dict(
            mode='slide', crop_size=(16, 24), stride=(8, 16)))).eval()
    inputs, samples = tiny.batch(
        (32, 32), (24, 40), training=False, model=model)
    logits, embeddings = maps_of(
        model, inputs, samples, monkeypatch.setattr)
    whole = model.head.embed(model.extract_feat(inputs))
    assert logits.shape == whole[0].shape
    norms = embeddings.norm(dim=1)
    assert torch.allclose(norms, torch.ones_like(norms), atol=1e-5)
    for sample in model.predict(inputs, samples):
        assert sample.pred_panoptic_seg.sem_seg.shape[1:] == \
            sample.ori_shape


def test_slide_maps__window_between_cells():
    with pytest.raises(ValueError, match='multiple of 4 pixels'):
        slide_maps(embed, torch.zeros(1, 3, 32, 32),
                   SlideRules('slide', (16, 16), (6, 6)), unit=True)


@pytest.mark.parametrize('test_cfg, error', [
    (dict(mode='part'), '`test_cfg.mode` must be one of'),
    (dict(mode='slide'), '`test_cfg.crop_size` must be'),
    (dict(mode='slide', crop_size=(8, 8), stride=4), '`test_cfg.stride` must'),
    (dict(mode='slide', crop_size=(0, 8), stride=(1, 1)), 'at least 1'),
    (dict(mode='slide', crop_size=(8, 8), stride=(8, 9)), 'at most `crop_s')])
def test_detector__bad_test_cfg(test_cfg, error):
    with pytest.raises(ValueError, match=error):
        tiny.build_config(tiny.panoptic(test_cfg=test_cfg))
