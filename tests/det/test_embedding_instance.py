"""The detector and its head: modes, targets, decoders, bad input."""
import copy

import pytest
import tiny_instances as tiny
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

from mmpixsort.det.heads.embedding_trunk import cell_coordinates
from mmpixsort.det.heads.instance_results import instances_of_image
from mmpixsort.det.heads.instance_targets import instance_targets, shrink
from mmpixsort.layers import MeanShiftBackend
from mmpixsort.registry import MODELS

SIZES = ((32, 32), (24, 40))
DECODER = dict(
    _scope_='mmseg', type='FCNHead', in_channels=16, in_index=1, channels=8,
    num_convs=1, concat_input=False, num_classes=3, norm_cfg=dict(type='BN'))


@pytest.mark.parametrize('head', [
    dict(), dict(label_size='feature'),
    dict(trunk=dict(coordinates='relative', num_convs=0)),
    dict(trunk=dict(decoder=DECODER), in_channels=8),
    dict(loss=dict(type='mmpixsort.DiscriminativeLoss', push_scope='class'))])
def test_loss__mixed_sizes_touch_every_parameter(head):
    model = tiny.build(head).train()
    losses = model(*tiny.batch(*SIZES, model=model), mode='loss')
    total, log = model.parse_losses(losses)
    total.backward()
    unused = [name for name, p in model.named_parameters() if p.grad is None]
    assert not unused
    assert log['loss_pull'] >= 0 and log['loss_semantic'] > 0
    assert log['num_instances'] > 1
    assert ('instances_lost' in log) == ('label_size' in head)


def test_training__lowers_the_loss_and_finds_the_squares():
    model = tiny.build().train()
    inputs, samples = tiny.batch((32, 32), (32, 32), model=model)
    optimizer = torch.optim.Adam(model.parameters(), lr=.01)
    totals = []
    for _ in range(150):
        total, _ = model.parse_losses(
            model(inputs, copy.deepcopy(samples), mode='loss'))
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < .2 * totals[0]
    found = model.train()(inputs, copy.deepcopy(samples), mode='predict')
    for result, sample in zip(found, samples):
        truth = sample.gt_instance_map.data[0]
        for k in range(1, int(truth.max()) + 1):
            masks = result.pred_instances.masks
            inter = (masks & (truth == k)).flatten(1).sum(1)
            union = (masks | (truth == k)).flatten(1).sum(1)
            best = (inter / union).argmax()
            assert (inter / union)[best] > .5
            assert result.pred_instances.labels[best] == (
                sample.gt_instances.labels[k - 1])


def test_coordinates__of_a_crop_and_a_larger_image():
    small, large = (torch.zeros(1, 3, n, 2 * n) for n in (5, 9))
    for kind, same in (('absolute', True), ('relative', False)):
        places = [cell_coordinates(feature, kind)
                  for feature in (small, large)]
        assert torch.allclose(*(p[..., :5, :9] for p in places)) == same
    absolute = cell_coordinates(small, 'absolute')
    assert absolute[0, 1, 0, 7] * 64 == pytest.approx(7)
    assert cell_coordinates(small, 'relative').max() == .5


@pytest.mark.parametrize('rescale', [True, False])
@pytest.mark.parametrize('class_split', ['class', 'vote'])
def test_predict__mixed_sizes(rescale, class_split):
    model = tiny.build(dict(class_split=class_split)).eval()
    inputs, samples = tiny.batch(*SIZES, training=False, model=model)
    for sample in samples:
        sample.set_metainfo(dict(ori_shape=(20, 50)))
    results = model.predict(inputs, samples, rescale=rescale)
    for result, size in zip(results, SIZES):
        shape = (20, 50) if rescale else size
        found = result.pred_instances
        assert found.masks.shape[1:] == shape
        assert found.masks.dtype == torch.bool
        assert len(found.masks) == len(found.scores) == len(
            found.labels) == len(found.bboxes)
        assert (found.scores.diff() <= 0).all()
        assert found.masks.sum(0).max() <= 1  # no pixel twice


def test_tensor_mode__gives_logits_and_embeddings():
    model = tiny.build().eval()
    inputs, _ = tiny.batch(*SIZES, training=False, model=model)
    logits, embeddings = model(inputs, mode='tensor')
    assert logits.shape == (2, 3, 8, 10)
    assert embeddings.shape == (2, 4, 8, 10)


def test_batch_without_instances__is_finite():
    model = tiny.build().train()
    inputs, samples = tiny.batch(*SIZES, model=model)
    for sample in samples:
        sample.gt_instance_map.data[:] = 0
        sample.gt_instances = InstanceData(labels=torch.zeros(0).long())
    total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    total.backward()
    assert total.isfinite()
    for sample in samples:
        sample.gt_instance_map.data[:] = -1
    total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    total.backward()
    assert total == 0
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_loss__autocast(dtype):
    model = tiny.build().train()
    inputs, samples = tiny.batch(*SIZES, model=model)
    exact, _ = model.parse_losses(
        copy.deepcopy(model)(inputs, samples, mode='loss'))
    with torch.autocast('cpu', dtype=dtype):
        total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    assert total.item() == pytest.approx(exact.item(), rel=.05)


def test_detector__builds_under_the_scope_of_mmseg():
    init_default_scope('mmseg')
    config = tiny.config()
    config['data_preprocessor']['type'] = 'mmdet.DetDataPreprocessor'
    config['backbone']['_scope_'] = 'mmdet'
    assert MODELS.build(config).neck is None


def test_detector__neck():
    neck = dict(type='FPN', in_channels=[8, 16], out_channels=6, num_outs=2)
    model = tiny.build(dict(in_channels=12), neck=neck)
    total, _ = model.parse_losses(
        model(*tiny.batch(*SIZES, model=model), mode='loss'))
    assert total.isfinite()


def targets():
    samples = [tiny.item(size, seed)[1] for seed, size in enumerate(SIZES)]
    return samples, instance_targets(samples, (32, 40), 2)


def test_instance_targets__classes_padding_and_void():
    samples, found = targets()
    assert found.num_ids == 1 + max(
        len(s.gt_instances.labels) for s in samples)
    for b, (sample, (height, width)) in enumerate(zip(samples, SIZES)):
        ids = sample.gt_instance_map.data[0]
        assert torch.equal(found.ids[b, :height, :width], ids.long())
        assert (found.ids[b, height:] == -1).all()
        assert (found.ids[b, :, width:] == -1).all()
        for y in range(0, height, 3):
            for x in range(0, width, 3):
                k = int(ids[y, x])
                want = 255 if k < 0 else 2 if k == 0 else int(
                    sample.gt_instances.labels[k - 1])
                assert found.classes[b, y, x] == want


def test_shrink__keeps_ids_and_classes_together():
    _, found = targets()
    small = shrink(found, (8, 10))
    assert small.ids.shape == (2, 8, 10)
    assert torch.equal(small.ids, found.ids[:, ::4, ::4])
    assert torch.equal(small.classes, found.classes[:, ::4, ::4])


def test_instances_of_image__by_class_and_by_vote():
    embeddings = torch.zeros(1, 4, 8)
    embeddings[0, :, 4:] = 9.
    probabilities = torch.zeros(3, 4, 8)
    probabilities[0, :, :3] = .9
    probabilities[1, :, 3:] = .8  # one column of the left blob
    probabilities[2, 0] = 1.  # background above
    clusters = MeanShiftBackend(min_pixels=1)
    options = dict(foreground=None)
    vote = instances_of_image(
        embeddings, probabilities, clusters, class_split='vote', **options)
    assert vote.labels.tolist() == [1, 0]
    assert vote.bboxes.tolist() == [[4, 1, 8, 4], [0, 1, 4, 4]]
    assert vote.scores.tolist() == pytest.approx([.8, .9 * .75])
    apart = instances_of_image(
        embeddings, probabilities, clusters, class_split='class', **options)
    assert sorted(apart.labels.tolist()) == [0, 1, 1]
    assert apart.masks.sum(0).max() == 1
    empty = instances_of_image(
        embeddings, probabilities, clusters, class_split='vote',
        foreground=torch.zeros(4, 8).bool())
    assert empty.masks.shape == (0, 4, 8) and empty.bboxes.shape == (0, 4)


def test_predict__annotated_foreground():
    model = tiny.build(dict(foreground='annotated')).eval()
    inputs, samples = tiny.batch(*SIZES, training=False, model=model)
    for result in model.predict(inputs, copy.deepcopy(samples)):
        outside = result.gt_instance_map.data[0] <= 0
        assert not (result.pred_instances.masks & outside).any()
    samples[0].gt_instance_map = PixelData(data=torch.zeros(1, 5, 5).int())
    with pytest.raises(ValueError, match='load annotations after Resize'):
        model.predict(inputs, samples)
    del samples[0].gt_instance_map
    with pytest.raises(ValueError, match='PaintInstanceMap'):
        model.predict(inputs, samples)


def detectors():
    """A detector of every kind that reads an instance map, and its name."""
    return dict(instances=tiny.config(), panoptic=tiny.panoptic(),
                discriminative=tiny.panoptic_discriminative())


@pytest.mark.parametrize('name', detectors())
def test_loss__map_of_another_size_than_its_image(name):
    model = tiny.build_config(detectors()[name]).train()
    inputs, samples = tiny.batch((32, 32), (24, 32), model=model)
    tiny.with_stuff(samples)
    model(inputs, samples, mode='loss')
    ids = samples[1].gt_instance_map.data
    samples[1].gt_instance_map = PixelData(data=ids[:, ::2, ::2])
    with pytest.raises(ValueError, match='gt_instance_map.* must have the '
                       r'size of its image, .*\(24, 32\).* got \(12, 16\)'):
        model(inputs, samples, mode='loss')


@pytest.mark.parametrize('name', detectors())
def test_loss__ids_without_a_label_take_no_part(name):
    model = tiny.build_config(detectors()[name]).train()
    # the other image has more labels
    inputs, samples = tiny.batch((32, 32), (32, 32), model=model)
    tiny.with_stuff(samples)
    samples.sort(key=lambda sample: len(sample.gt_instances.labels))
    ids = samples[0].gt_instance_map.data
    labels = samples[0].gt_instances.labels
    last = ids == len(labels)
    assert len(samples[1].gt_instances.labels) >= len(labels)

    def losses():
        parts = model(inputs, samples, mode='loss')
        return torch.stack([value for key, value in parts.items()
                            if 'loss' in key and 'semantic' not in key])

    samples[0].gt_instances = InstanceData(labels=labels[:-1])
    first = losses()  # the last id has no label
    ids[last] = -1
    assert first.sum() > 0 and torch.equal(first, losses())


def test_loss__without_maps():
    model = tiny.build()
    inputs, samples = tiny.batch(*SIZES, model=model)
    del samples[1].gt_instance_map
    with pytest.raises(ValueError, match='`gt_instance_map` must be in'):
        model(inputs, samples, mode='loss')


@pytest.mark.parametrize('head, error', [
    (dict(label_size='pixel'), '`label_size` must be one of'),
    (dict(class_split='all'), '`class_split` must be one of'),
    (dict(foreground='given'), '`foreground` must be one of'),
    (dict(embed_dims=0), '`embed_dims` must'),
    (dict(trunk=dict(coordinates='polar')),
     '`trunk.coordinates` must be one of'),
    (dict(trunk=dict(width=3)), r'`trunk` takes .* got .*width'),
    (dict(semantic_weight=-1.), '`semantic_weight` must'),
    (dict(trunk=dict(decoder=dict(DECODER, num_classes=2))),
     '`num_classes` of the dec')])
def test_head__bad_options(head, error):
    with pytest.raises(ValueError, match=error):
        tiny.build(head)


def test_runner__pictures_of_instances(tmp_path):
    """The picture hook shows instances in colours, background black."""
    from mmengine.registry import DATASETS, DefaultScope
    from mmengine.runner import Runner

    @DATASETS.register_module(force=True)
    class Blobs(torch.utils.data.Dataset):
        metainfo = dict(classes=('a', 'b'))

        def __len__(self):
            return 2

        def __getitem__(self, index):
            image, sample = tiny.item((24, 40), index)
            return dict(inputs=image, data_samples=sample)

    DefaultScope._instance_dict.pop('mmdet', None)
    run = Runner(
        model=tiny.config(), work_dir=str(tmp_path), default_scope='mmdet',
        experiment_name='blobs', test_cfg=dict(),
        test_evaluator=dict(type='mmpixsort.InstanceMapMetric'),
        test_dataloader=dict(
            dataset=dict(type='Blobs', _scope_='mmengine'), batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False)),
        custom_hooks=[dict(type='mmpixsort.EmbeddingVisualizationHook')],
        log_level='WARNING', visualizer=dict(
            type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]))
    scores = run.test()
    assert 0 <= scores['SBD'] <= 100
    assert len(list(tmp_path.rglob('*panel*.png'))) == 2
