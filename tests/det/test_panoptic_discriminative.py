import pytest
import tiny_instances
import torch


def build(**head):
    return tiny_instances.build_config(
        tiny_instances.panoptic_discriminative(**head))


def batch(model, *sizes):
    inputs, samples = tiny_instances.batch(*sizes, model=model)
    return inputs, tiny_instances.with_stuff(samples)


def test_loss__falls():
    model = build().train()
    inputs, samples = batch(model, (32, 32), (32, 40))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    totals = []
    for _ in range(10):
        losses = model(inputs, samples, mode='loss')
        total, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < .8 * totals[0]
    assert {'loss_pull', 'loss_push', 'loss_reg',
            'loss_semantic'} <= set(losses)


def test_loss__without_things_is_finite():
    model = build().train()
    inputs, samples = batch(model, (32, 32))
    for sample in samples:
        sample.gt_instance_map.data[:] = -1
        sample.gt_sem_seg.sem_seg[:] = 255
    total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    total.backward()
    assert total.item() == 0


def maps(labels, centers):
    """Return sure logits (1, C, h, w) and embeddings (1, D, h, w)."""
    logits = 10. * torch.eye(4)[labels].permute(2, 0, 1)[None]
    return logits, centers.permute(2, 0, 1)[None]


def touching():
    """Return two squares of class 0 that touch, and one of class 1."""
    labels = torch.full((12, 16), 2)
    labels[2:8, 2:8] = labels[2:8, 8:14] = 0
    labels[9:12, 2:8] = 1
    centers = torch.zeros(12, 16, 4)
    centers[2:8, 8:14, 0] = 5.
    return labels, centers


@pytest.mark.parametrize('clusters, expected', [
    (dict(type='mmpixsort.MeanShiftBackend', min_pixels=2), [0, 0, 1]),
    (dict(type='mmpixsort.ComponentsBackend', min_pixels=2), [0, 1]),
])
def test_results__clusters_part_what_touches(clusters, expected):
    model = build(clusters=clusters)
    labels, centers = touching()
    _, samples = batch(model, (24, 32))
    samples[0].set_metainfo(dict(
        img_shape=(24, 32), ori_shape=(24, 32), batch_input_shape=(24, 32)))
    found, = model.head.results(*maps(labels, centers), samples)
    assert sorted(found['ins_results'].labels.tolist()) == expected
    panoptic = found['pan_results'].sem_seg[0]
    assert panoptic.shape == (24, 32)
    assert (panoptic[0] == 2).all() and (panoptic[10, 6] % 1000) == 0
    apart = panoptic[10, 6] != panoptic[10, 22]
    assert bool(apart) == (len(expected) == 3)


def test_predict__mixed_sizes():
    model = build().eval()
    inputs, samples = batch(model, (32, 32), (24, 40))
    results = model(inputs, samples, mode='predict')
    for result, size in zip(results, ((32, 32), (24, 40))):
        assert result.pred_panoptic_seg.sem_seg.shape == (1, *size)
        assert result.pred_sem_seg.sem_seg.shape == (1, *size)


@pytest.mark.parametrize('head, message', [
    (dict(num_things=0), 'num_things'), (dict(num_stuff=-1), 'num_stuff'),
    (dict(semantic_weight=-1.), 'semantic_weight'),
])
def test_head__bad_input(head, message):
    with pytest.raises(ValueError, match=message):
        build(**head)
