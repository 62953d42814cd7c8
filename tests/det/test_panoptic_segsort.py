"""The panoptic detector: targets, loss, merging, modes, bad input."""
import copy

import pytest
import tiny_instances as tiny
import torch
from dispatch import CallCounter
from references import segment_sorting_loop

from mmpixsort.det.heads.panoptic_results import (PanopticRules,
                                                  panoptic_of_image)
from mmpixsort.det.heads.panoptic_targets import panoptic_ids, panoptic_targets
from mmpixsort.det.heads.panoptic_partition import (largest_clusters,
                                                    partition_batch)
from mmpixsort.functional.segments.graph import pair_statistics
from mmpixsort.metrics import PanopticQualityMetric

SIZES = ((32, 32), (24, 40))
QUEUE = dict(type='mmpixsort.PrototypeQueue', capacity=64, num_iterations=1)
DECODER = dict(
    _scope_='mmseg', type='FCNHead', in_channels=16, in_index=1, channels=8,
    num_convs=1, concat_input=False, num_classes=4, norm_cfg=dict(type='BN'))


def batch(model, *sizes, training=True):
    inputs, samples = tiny.batch(*sizes, training=training, model=model)
    return inputs, tiny.with_stuff(samples)


@pytest.mark.parametrize('head', [
    dict(), dict(bank=QUEUE), dict(stuff_across_images='positive', bank=QUEUE),
    dict(stuff_across_images='negative', bank=QUEUE),
    dict(trunk=dict(coordinates='absolute')),
    dict(trunk=dict(decoder=DECODER), in_channels=8)])
def test_loss__mixed_sizes_touch_every_parameter(head):
    model = tiny.build_config(tiny.panoptic(head)).train()
    for _ in range(2):  # the second against a bank
        losses = model(*batch(model, *SIZES), mode='loss')
    total, log = model.parse_losses(losses)
    total.backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None]
    assert log['loss_panoptic_segsort'] > 0 and log['panoptic_segments'] > 6


def test_loss__embeddings_of_no_length_take_no_part():
    head = tiny.build_config(tiny.panoptic(dict(bank=QUEUE))).train().head
    for name, value in head.named_parameters():
        if name.endswith('bias'):
            torch.nn.init.zeros_(value)
    _, samples = batch(tiny.build(), (32, 32), (32, 32))
    levels = [torch.randn(2, size, 16, 16) for size in (8, 16)]
    for level in levels:
        level[:, :, :8] = level[1] = 0  # embedded as zeros
        level.requires_grad_()
    head.eval()  # batch norm would move the zeros
    for _ in range(2):  # the second with a bank
        head.loss(levels, samples)['loss_panoptic_segsort'].backward()
    assert 0 < levels[0].grad.abs().max() < 10
    keys, _ = head.bank.entries()
    assert torch.allclose(keys.norm(dim=1), torch.ones(len(keys)))


@pytest.mark.parametrize('stuff', ['negative', 'ignore', 'positive'])
def test_loss__equals_the_definition(stuff):
    model = tiny.build_config(tiny.panoptic(dict(
        stuff_across_images=stuff,
        loss=dict(type='mmpixsort.PanopticSegSortLoss', concentration=6.,
                  area_power=.5)))).train()
    inputs, samples = batch(model, *SIZES)
    head = model.head
    _, embeddings = head.embed(model.extract_feat(inputs))
    targets = panoptic_targets(samples, (32, 40), num_things=2, num_classes=4)
    cut = partition_batch(embeddings, targets, cut=head.cut)
    got = head.sorting_loss(cut, targets)
    labels, groups = [], []
    for region, image in zip(cut.regions.tolist(), cut.images.tolist()):
        kind = region - targets.num_things_seen
        shared = kind >= 0 and stuff == 'positive'
        labels.append(-1 if region < 0 else
                      kind if shared else 1000 * (1 + image) + region)
        groups.append(kind if kind >= 0 and stuff == 'ignore' else -1)
    own = cut.segment_ids.tolist()
    take = torch.arange(0, len(own), 3)  # a third is enough
    pick = [own[i] for i in take]
    losses, valid = segment_sorting_loop(
        cut.rows[take].double().detach(),
        [labels[k] if k >= 0 else -1 for k in pick],
        cut.prototypes.double().detach(), labels, own_key=pick,
        concentration=6., positives='same_class',
        anchor_groups=[groups[k] if k >= 0 else -1 for k in pick],
        key_groups=groups)
    want = weight = 0.
    for i, loss, ok in zip(take.tolist(), losses, valid):
        if ok:
            area = ((cut.pixel_regions == cut.pixel_regions[i]) &
                    (cut.pixel_images == cut.pixel_images[i])).sum().item()
            want += loss / area**.5
            weight += 1 / area**.5
    kept = head.loss_module
    subset = cut._replace(
        rows=cut.rows[take], segment_ids=cut.segment_ids[take],
        pixel_regions=cut.pixel_regions[take],
        pixel_images=cut.pixel_images[take])
    assert kept is head.loss_module and got > 0
    assert head.sorting_loss(subset, targets).item() == pytest.approx(
        want / weight, rel=1e-4)


def test_panoptic_targets__regions_and_void():
    samples = tiny.with_stuff([
        tiny.item(size, seed)[1] for seed, size in enumerate(SIZES)])
    found = panoptic_targets(samples, (32, 40), num_things=2, num_classes=4)
    seen = max(len(s.gt_instances.labels) for s in samples)
    assert (found.num_things_seen, found.num_regions) == (seen, seen + 2)
    for b, (sample, (height, width)) in enumerate(zip(samples, SIZES)):
        ids = sample.gt_instance_map.data[0]
        inner = found.regions[b, :height, :width]
        assert (inner[ids > 0] == ids[ids > 0] - 1).all()
        assert (inner[ids < 0] == -1).all()
        assert set(inner[ids == 0].tolist()) == {seen, seen + 1}
        assert (found.regions[b, height:] == -1).all()
        assert (found.semantic[b, height:] == 255).all()


def test_panoptic_ids__stuff_over_images():
    targets = panoptic_targets(
        tiny.with_stuff([tiny.item((32, 32), 0)[1]]), (32, 32), num_things=2,
        num_classes=4)
    seen = targets.num_things_seen
    regions = torch.tensor([0, seen, 0, seen, -1])
    images = torch.tensor([0, 0, 1, 1, 1])
    for stuff, same, groups in (('negative', False, -1), ('ignore', False, 0),
                                ('positive', True, -1)):
        found = panoptic_ids(
            regions, images, targets, stuff_across_images=stuff)
        assert found.ids[0] != found.ids[2]
        assert (found.ids[1] == found.ids[3]) == same
        assert found.groups.tolist() == [-1, groups, -1, groups, -1]
        assert found.ids[4] == -1


def perfect(size=(24, 36)):
    """Logits and embeddings of two touching things of one class."""
    labels = torch.full(size, 2)
    ids = torch.zeros(size).long()
    ids[4:14, 4:16], ids[4:14, 16:30] = 1, 2
    ids[16:22, 4:12] = 3
    labels[ids > 0] = 0
    labels[ids == 3] = 1
    logits = 20. * torch.nn.functional.one_hot(labels, 4).permute(2, 0, 1)
    embeddings = torch.nn.functional.one_hot(ids, 8).permute(2, 0, 1).float()
    return logits, embeddings, labels, ids


CUT = dict(cell_area=16., max_clusters=32, num_iters=5, location_weight=.2)


@pytest.mark.parametrize('merge', ['linkage', 'meanshift'])
@pytest.mark.parametrize('scale', [1, 2])
def test_panoptic_of_image__perfect_input_is_a_pq_of_100(merge, scale):
    logits, embeddings, labels, ids = perfect()
    size = tuple(scale * s for s in ids.shape)
    result = panoptic_of_image(
        logits, embeddings, size, num_things=2, cut=CUT,
        rules=PanopticRules(merge=merge, threshold=.5, concentration=20.))
    labels, ids = (part.repeat_interleave(scale, 0).repeat_interleave(
        scale, 1) for part in (labels, ids))
    metric = PanopticQualityMetric(num_things=2)
    metric.dataset_meta = dict(classes=('a', 'b', 'c', 'd'))
    metric.process({}, [dict(
        pred_panoptic_seg=dict(sem_seg=result['pan_results'].sem_seg),
        gt_sem_seg=dict(sem_seg=labels[None]),
        gt_instance_map=dict(data=ids[None]))])
    scores = metric.evaluate(1)
    assert scores['RQ'] == 100 and scores['PQ'] > (99 if scale == 1 else 80)
    assert sorted(result['ins_results'].labels.tolist()) == [0, 0, 1]


def test_panoptic_of_image__small_parts_are_void():
    logits, embeddings, labels, ids = perfect()
    rules = PanopticRules(
        threshold=.5, min_area=60, min_stuff_area=10**6)
    result = panoptic_of_image(
        logits, embeddings, ids.shape, num_things=2, cut=CUT, rules=rules)
    panoptic = result['pan_results'].sem_seg[0]
    assert (panoptic[(ids == 3) | (ids == 0)] == 4).all()
    assert len(result['ins_results'].masks) == 2


def test_panoptic_of_image__only_stuff():
    logits = torch.zeros(4, 6, 6)
    logits[3] = 5.
    result = panoptic_of_image(
        logits, torch.ones(8, 6, 6) / 8**.5, (12, 12), num_things=2, cut=CUT,
        rules=PanopticRules(threshold=.5))
    assert (result['pan_results'].sem_seg == 3).all()
    assert result['ins_results'].masks.shape == (0, 12, 12)


def test_training__finds_the_squares():
    model = tiny.build_config(tiny.panoptic(
        dict(rules=dict(min_area=4),
             cut=dict(cell_area=1., test_cell_area=1.))
        )).train()
    inputs, samples = batch(model, (32, 32), (32, 32))
    optimizer = torch.optim.Adam(model.parameters(), lr=.01)
    totals = []
    for _ in range(120):
        total, _ = model.parse_losses(
            model(inputs, copy.deepcopy(samples), mode='loss'))
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < .5 * totals[0]
    sums = model.head.pair_statistics(
        model.extract_feat(inputs), samples, touching=False)
    within, between = (sums[0] / sums[1]).tolist()
    assert within > between + .2
    model.head.threshold.fill_((within + between) / 2)
    metric = PanopticQualityMetric(num_things=2)
    metric.dataset_meta = dict(classes=('a', 'b', 'c', 'd'))
    found = model(inputs, samples, mode='predict')
    metric.process({}, [sample.to_dict() for sample in found])
    assert metric.evaluate(2)['PQ'] > 50


def test_predict__mixed_sizes_and_no_threshold():
    model = tiny.build_config(tiny.panoptic()).eval()
    inputs, samples = batch(model, *SIZES, training=False)
    with pytest.raises(ValueError, match='LinkageThresholdHook'):
        model.predict(inputs, samples)
    model.head.threshold.fill_(.5)
    for sample in samples:
        sample.set_metainfo(dict(ori_shape=(20, 50)))
    for result in model.predict(inputs, samples):
        assert result.pred_panoptic_seg.sem_seg.shape == (1, 20, 50)
        assert result.pred_instances.masks.shape[1:] == (20, 50)
        classes = result.pred_sem_seg.sem_seg
        assert classes.shape == (1, 20, 50) and classes.max() < 4
        panoptic = result.pred_panoptic_seg.sem_seg
        stuff = (panoptic == 2) | (panoptic == 3)
        assert (classes[stuff] == panoptic[stuff]).all()


def test_loss__nothing_annotated_is_zero():
    model = tiny.build_config(tiny.panoptic(dict(bank=QUEUE))).train()
    inputs, samples = batch(model, *SIZES)
    for sample in samples:
        sample.gt_instance_map.data[:] = -1
        sample.gt_sem_seg.sem_seg[:] = 255
    total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    total.backward()
    assert total == 0
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert model.head.bank.written == 0


@pytest.mark.parametrize('head, error', [
    (dict(stuff_across_images='none'), '`stuff_across_images` must be one'),
    (dict(rules=dict(merge='greedy')), '`merge` must be one of'),
    (dict(rules=dict(threshold=2.)), '`threshold` must'),
    (dict(cut=dict(max_segments=0)), '`cut.max_segments` must'),
    (dict(cut=dict(cell_area=0.)), '`cut.cell_area` must be positive'),
    (dict(cut=dict(area=1.)), r'`cut` takes .* got .*area'),
    (dict(num_things=0), '`num_things` must'),
    (dict(num_things=200, num_stuff=56), 'must be at most 255')])
def test_head__bad_options(head, error):
    with pytest.raises(ValueError, match=error):
        tiny.build_config(tiny.panoptic(head))


def test_loss__without_semantic_maps():
    model = tiny.build_config(tiny.panoptic())
    inputs, samples = tiny.batch(*SIZES, model=model)
    with pytest.raises(ValueError, match='`gt_sem_seg` must be in every'):
        model(inputs, samples, mode='loss')


def test_head__as_many_classes_as_a_map_of_bytes_holds():
    head = tiny.build_config(tiny.panoptic(
        dict(num_things=200, num_stuff=55))).head
    assert head.num_classes == 255


def test_head__concentration_of_the_loss_unless_given():
    loss = dict(type='mmpixsort.PanopticSegSortLoss', concentration=7.)
    for given, want in ((None, 7.), (3., 3.)):
        head = tiny.build_config(tiny.panoptic(dict(loss=loss, rules=dict(
            merge='meanshift', threshold=.5, concentration=given)))).head
        assert head.test_rules().concentration == want


def test_partition__takes_the_centre_of_a_cell():
    """As resized logits do: a thing that covers the centres is one."""
    model = tiny.build_config(tiny.panoptic())
    samples = tiny.with_stuff([tiny.item((32, 32), 0)[1]])
    ids = samples[0].gt_instance_map.data
    ids[ids > 0] = 0
    ids[0, 9:12, 9:12] = 1  # not the corner of a cell of four, its centre
    targets = panoptic_targets(samples, (32, 32), num_things=2, num_classes=4)
    cut = partition_batch(
        torch.ones(1, 8, 8, 8), targets, cut=model.head.cut)
    things = (cut.pixel_regions == 0).nonzero().flatten()
    assert things.tolist() == [2 * 8 + 2]


def test_largest_clusters__image_by_image():
    g = torch.Generator().manual_seed(0)
    regions = torch.randint(-1, 3, (2, 6, 7), generator=g)
    clusters = torch.randint(0, 4, (2, 6, 7), generator=g).masked_fill(
        regions < 0, -1)
    regions[1, :4], clusters[1, :4] = -1, -1  # few pixels
    kept, found = largest_clusters(regions, clusters, 3, 4, 5)
    number = 0
    for b in range(2):
        pairs = list(zip(regions[b].flatten().tolist(),
                         clusters[b].flatten().tolist()))
        areas = {pair: pairs.count(pair) for pair in pairs if pair[0] >= 0}
        number += len(areas)
        stay = {pair for pair, k in zip(
            pairs, kept[b].flatten().tolist()) if k >= 0}
        assert len(stay) == 5
        smallest = min(areas[pair] for pair in stay)
        assert all(area <= smallest for pair, area in areas.items()
                   if pair not in stay)
        assert {k for p, k in zip(pairs, kept[b].flatten().tolist())
                if p in stay and k != p[1]} == set()
    assert found == number


def test_loss__does_not_wait_for_the_device():
    model = tiny.build_config(tiny.panoptic()).train()
    inputs, samples = batch(model, *SIZES)
    levels = model.extract_feat(inputs)
    counts = []
    for _ in range(2):
        with CallCounter() as counter:
            model.head.loss(levels, samples)
        counts.append(counter.syncs)
    assert counts == [0, 0], counter.counts


@pytest.mark.parametrize('touching', [True, False])
def test_pair_statistics__segments_that_touch(touching):
    model = tiny.build_config(tiny.panoptic(
        dict(cut=dict(cell_area=1.)))).eval()
    inputs, samples = batch(model, *SIZES)
    head, levels = model.head, model.extract_feat(inputs)
    got = head.pair_statistics(levels, samples, touching=touching)
    targets = panoptic_targets(samples, (32, 40), num_things=2, num_classes=4)
    _, embeddings = head.embed(levels)
    cut = partition_batch(embeddings, targets, cut=head.cut)
    maps = cut.segment_ids.view(2, *embeddings.shape[2:]).tolist()
    want = 0.
    for b, rows in enumerate(maps):
        edges = torch.zeros(len(cut.regions), len(cut.regions)).bool()
        sides = [pair for line in (*rows, *zip(*rows))
                 for pair in zip(line, line[1:])]
        for own, other in sides:
            if own != other and min(own, other) >= 0:
                edges[own, other] = edges[other, own] = True
        things = (cut.images == b) & (cut.regions < targets.num_things_seen)
        areas = torch.tensor([sum(row.count(k) for row in rows)
                              for k in range(len(cut.regions))])
        want = want + pair_statistics(
            cut.prototypes, (cut.regions + 1).masked_fill(~things, 0), areas,
            adjacency=edges if touching else None)
    assert torch.allclose(got, want) and (got[1, 0] > 0)
