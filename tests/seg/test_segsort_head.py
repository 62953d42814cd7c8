"""SegSortHead on a tiny host: training, and prediction by retrieval."""
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.structures import SegDataSample
from references import segment_sorting_loop
from torch.nn.functional import normalize

from mmpixsort.functional.contrast.labels import resize_labels
from mmpixsort.functional.random import keyed_generator
from mmpixsort.functional.windows import windows
from mmpixsort.hooks import PrototypeBankHook
from mmpixsort.retrieval import read_bank, relabel, write_bank
from mmpixsort.retrieval.retriever import Votes
from mmpixsort.retrieval.segments import ImageSegments
from mmpixsort.seg import SegSortHead
from mmpixsort.seg.segmentors.retrieval_inference import (Found,
                                                          RetrievalInference,
                                                          paint_segments,
                                                          segment_data,
                                                          vote_logits)
from mmpixsort.seg.transforms import load_oversegmentation


QUEUE = tiny.PROTOTYPE_QUEUE


def train(model, steps=12):
    """Losses of a few steps on two batches."""
    optimizer = torch.optim.SGD(model.parameters(), lr=.05, momentum=.9)
    losses = []
    for step in range(steps):
        parts = model.train().loss(*tiny.batch(4, seed=step % 2))
        optimizer.zero_grad()
        sum(v for k, v in parts.items() if 'loss' in k).backward()
        optimizer.step()
        losses.append(parts['loss_segsort'].item())
    return losses


@pytest.mark.parametrize('source', [1, 'decoder'])
@pytest.mark.parametrize('classifier', ['joint', 'detached', 'none'])
@pytest.mark.parametrize('bank', [None, QUEUE])
def test_training__lowers_the_loss(source, classifier, bank):
    model = tiny.build(tiny.sorting(source, classifier, bank=bank))
    losses = train(model)
    assert sum(losses[-2:]) < sum(losses[:2])
    unused = [n for n, p in model.named_parameters() if p.grad is None]
    if classifier != 'none' and source == 'decoder':
        assert not unused


@pytest.mark.parametrize('sampler', [None, dict(
    type='mmpixsort.HardAnchorSampler', max_samples=64)])
def test_loss__embeddings_of_no_length_take_no_part(sampler):
    head = SegSortHead(**{k: v for k, v in tiny.sorting_head(
        sampler=sampler, bank=QUEUE, projection=dict(
            type='mmpixsort.ProjectionHead', linear=True)).items()
        if k != 'type'})
    torch.nn.init.zeros_(next(
        value for name, value in head.projection.named_parameters()
        if name.endswith('bias')))
    _, samples = tiny.batch(2)
    feature = torch.randn(2, 16, 8, 8)
    feature[:, :, :4] = feature[1] = 0  # embedded as zeros
    feature.requires_grad_()
    for _ in range(2):  # the second with a bank
        head.loss((None, feature), samples)['loss_segsort'].backward()
    assert 0 < feature.grad.abs().max() < 10
    keys, _ = head.bank.entries()
    assert torch.allclose(keys.norm(dim=1), torch.ones(len(keys)))


def test_loss__equals_the_definition():
    module = SegSortHead(**{k: v for k, v in tiny.sorting_head(
        in_channels=4, source=0, projection=dict(
            type='mmpixsort.ProjectionHead', linear=True)).items()
        if k != 'type'})
    _, samples = tiny.batch(2)
    feature = torch.randn(2, 4, 8, 8)
    loss = module.loss([feature], samples)
    embeddings = module.embed([feature]).detach().double()
    labels = resize_labels(torch.stack(
        [s.gt_sem_seg.data[0] for s in samples]), (8, 8), 255)
    clusters = module.segmenter(embeddings.float(), labels >= 0)
    pixels = [(b, y, x) for b in range(2) for y in range(8)
              for x in range(8) if labels[b, y, x] >= 0]
    names = sorted({(b, int(clusters[b, y, x]), int(labels[b, y, x]))
                    for b, y, x in pixels})
    sums = torch.zeros(len(names), 8).double()
    own = []
    for b, y, x in pixels:
        own.append(names.index(
            (b, int(clusters[b, y, x]), int(labels[b, y, x]))))
        sums[own[-1]] += embeddings[b, :, y, x]
    want, _ = segment_sorting_loop(
        torch.stack([embeddings[b, :, y, x] for b, y, x in pixels]),
        [int(labels[p]) for p in pixels],
        torch.nn.functional.normalize(sums, dim=1), [n[2] for n in names],
        own_key=own, concentration=10., positives='same_class')
    assert loss['segsort_segments'] == len(names)
    assert loss['loss_segsort'].item() == pytest.approx(
        sum(want) / len(want), rel=1e-4)


SAMPLER = dict(type='mmpixsort.HardAnchorSampler', max_samples=40)


@pytest.mark.parametrize('bank', [None, QUEUE])
def test_sampler__training_lowers_the_loss(bank):
    model = tiny.build(tiny.sorting(sampler=SAMPLER, bank=bank))
    losses = train(model)
    assert sum(losses[-2:]) < sum(losses[:2])


@pytest.mark.parametrize('max_samples', [7, 40, 500])
def test_sampler__loss_is_the_mean_over_what_it_draws(max_samples):
    options = dict(in_channels=4, source=0, bank=QUEUE)
    whole, drawn = (
        SegSortHead(**{k: v for k, v in tiny.sorting_head(
            **options, **more).items() if k != 'type'})
        for more in (dict(), dict(sampler=dict(
            SAMPLER, max_samples=max_samples))))
    drawn.load_state_dict(whole.state_dict(), strict=False)
    _, samples = tiny.batch(2)
    feature = torch.randn(2, 4, 8, 8)
    labels = resize_labels(torch.stack(
        [s.gt_sem_seg.data[0] for s in samples]), (8, 8), 255)
    calls = []
    handle = whole.loss_module.register_forward_pre_hook(
        lambda module, args, options: calls.append((args, options)),
        with_kwargs=True)
    whole.loss([feature], samples)
    handle.remove()
    ((anchors, anchor_labels, keys), options), = calls
    # every pixel of the whole, by leaving all others out
    each = []
    for pixel in range(labels.numel()):
        only = torch.full_like(anchor_labels, -1)
        only[pixel] = anchor_labels[pixel]
        each.append(whole.loss_module(anchors, only, keys, **options).item())
    pixel, picked = drawn.sampler.pick(
        labels, generator=keyed_generator(*drawn.clock.tick(), 0, 'cpu'))
    drawn.clock = type(drawn.clock)()
    rows = pixel[picked >= 0].tolist()
    assert 0 < len(rows) <= max_samples
    loss = drawn.loss([feature], samples)['loss_segsort'].item()
    assert loss == pytest.approx(
        sum(each[i] for i in rows) / len(rows), rel=1e-4)


def test_classifier_detached__its_loss_ends_at_the_tap():
    model = tiny.build(tiny.sorting('decoder', 'detached')).train()
    parts = model.loss(*tiny.batch(2))
    parts['decode.loss_ce'].backward()
    assert model.decode_head.conv_seg.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.backbone.parameters())
    model.zero_grad()
    model.loss(*tiny.batch(2))['loss_segsort'].backward()
    assert model.backbone.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('changes', [
    dict(), dict(bank=QUEUE), dict(sampler=SAMPLER)])
def test_loss__all_ignored_is_a_zero_with_gradients(changes):
    model = tiny.build(tiny.sorting(**changes)).train()
    images, samples = tiny.batch(2)
    for sample in samples:
        sample.gt_sem_seg.data[:] = 255
    loss = model.loss(images, samples)['loss_segsort']
    loss.backward()
    assert loss == 0
    for parameter in model.metric_head.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()


@pytest.mark.parametrize('kappa', [10., 64.])
def test_loss__of_the_same_embeddings_does_not_change_under_autocast(
        kappa, monkeypatch):
    """Of the same: in half precision another pixel may join a cluster."""
    model = tiny.build(tiny.sorting(loss=dict(
        type='mmpixsort.SegSortLoss', concentration=kappa)))
    embeddings = normalize(torch.randn(2, 8, 16, 16), dim=1)
    head = model.metric_head
    monkeypatch.setattr(head, 'embed', lambda *inputs: embeddings)
    _, samples = tiny.batch()
    exact = head.loss((), samples)['loss_segsort']
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast('cpu', dtype=dtype):
            assert head.loss((), samples)['loss_segsort'] == exact


def test_warm_up__fills_the_bank_only():
    model = tiny.build(tiny.sorting(bank=QUEUE, warmup_iters=1)).train()
    losses = train(model, steps=2)
    assert losses[0] == 0 and losses[1] > 0
    assert model.metric_head.bank.written > 0


def test_head__nan_is_noted_and_never_enters_the_bank():
    model = tiny.build(tiny.sorting(bank=QUEUE)).train()
    images, samples = tiny.batch(2)
    images[0, :, 4:12] = float('nan')
    model.loss(images, samples)
    assert model.metric_head.nonfinite_iter == 0
    assert model.metric_head.bank.keys.isfinite().all()


def test_head__copies_and_pickles():
    model = tiny.build(tiny.sorting(bank=QUEUE, retrieval=dict()))
    train(model, steps=1)
    copied = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    for name, value in model.state_dict().items():
        assert torch.equal(value, copied.state_dict()[name]), name
    assert copied.retrieval.model is copied
    assert train(copied, steps=1)[0] > 0


@pytest.mark.parametrize('changes, error', [
    (dict(segments='regions'), '`segments` must be one of'),
    (dict(source='neck'), "`source` must be 'decoder'"),
    (dict(segments='oversegmentation', bank=QUEUE), '`bank` must be None'),
    (dict(segments='oversegmentation', sampler=SAMPLER),
     '`sampler` must be None'),
    (dict(segmenter=dict(type='mmpixsort.KMeansSegmenter', max_segments=0)),
     '`max_segments` must be at least 1'),
    (dict(bank=dict(QUEUE, embed_dims=5)), '`embed_dims` of'),
])
def test_head__bad_options(changes, error):
    with pytest.raises(ValueError, match=error):
        tiny.build(tiny.sorting(**changes))


def test_segmentor__bad_classifier():
    with pytest.raises(ValueError, match='`classifier` must be one of'):
        tiny.build(tiny.sorting(classifier='frozen'))


# -- prediction by retrieval

RETRIEVAL = dict(num_neighbors=3, grid=(8, 8), stride=2)


@pytest.fixture(scope='module')
def trained():
    """A trained model and a bank of its training images."""
    model = tiny.build(tiny.sorting(
        'decoder', 'joint', retrieval=RETRIEVAL, bank=QUEUE))
    np.random.seed(0)
    train(model, steps=120)
    return model.eval(), fill(model)


def fill(model):
    data = dict(type='NoisyBlocks', _scope_='mmengine', num_images=12)
    bank = model.build_bank(Config(), dataset=data)
    model.retrieval.use(bank)
    return bank


def predict(model, images, samples):
    return model.predict(images, copy.deepcopy(samples))


def accuracy(results, samples):
    hits = total = 0
    for result, sample in zip(results, samples):
        truth = sample.gt_sem_seg.data
        known = truth != 255
        hits += int((result.pred_sem_seg.data == truth)[known].sum())
        total += int(known.sum())
    return hits / total


def test_retrieval__predicts(trained):
    model, _ = trained
    images, samples = tiny.batch(4, seed=5)
    results = predict(model, images, samples)
    assert accuracy(results, samples) > .6  # chance: .25
    for result in results:
        shares = result.seg_logits.data.softmax(0)
        assert torch.allclose(shares.sum(0), torch.ones(32, 32))
        segments = result.pred_segments
        assert segments.data.shape == (1, 32, 32)
        assert segments.neighbors.shape[1] == 3
        assert int(segments.data.max()) < len(segments.neighbors)


def test_vote_logits__bilinear_votes_lie_between_those_of_the_cells():
    shares = torch.tensor([[1., 0.], [0., 1.], [.25, .75]])
    none = torch.zeros(3, 1)
    found = Found(
        ImageSegments(torch.tensor([[0, 1, 2]]), none, none[:, 0]),
        Votes(shares, none, none, none))
    size = 2, 9 + 4
    near, smooth = (vote_logits(found, size, (1, 3, 0, 0), resize=resize)
                    for resize in ('nearest', 'bilinear'))
    assert near.shape == smooth.shape == (2, *size)
    assert not near[..., [0, -3, -2, -1]].any()
    assert not smooth[..., [0, -3, -2, -1]].any()
    # centres of three pixels a cell, on the axis of the centres of cells
    places = (np.arange(9) + .5) / 3 - .5
    want = np.interp(places, range(3), [0., 1., .75])
    assert smooth[1, 0, 1:10].exp().numpy() == pytest.approx(want, abs=2e-3)
    assert near[1, 0, 1:10].exp().numpy() == pytest.approx(
        np.repeat([0., 1., .75], 3), abs=2e-3)


def test_retrieval__resize_changes_only_the_borders_of_segments(trained):
    model, _ = trained
    other = copy.deepcopy(model)
    other.retrieval.resize = 'bilinear'
    images, samples = tiny.batch(2, seed=5)
    for one, two in zip(*(predict(m, images, samples)
                          for m in (model, other))):
        ids = one.pred_segments.data[0].float()[None, None]
        assert torch.equal(one.pred_segments.data, two.pred_segments.data)
        low, high = (torch.nn.functional.max_pool2d(sign * ids, 5, 1, 2)
                     for sign in (-1, 1))
        inside = (-low == high)[0]
        changed = one.pred_sem_seg.data != two.pred_sem_seg.data
        assert changed.any() and not changed[inside].any()


@pytest.mark.parametrize('mode', [dict(), dict(
    mode='slide', crop_size=(24, 24), stride=(8, 8))])
def test_retrieval__mixed_with_the_classifier(trained, mode):
    votes, plain, mixed = (copy.deepcopy(trained[0]) for _ in range(3))
    images, samples = tiny.batch(2, seed=5)
    for model in (votes, plain, mixed):
        model.test_cfg.update(mode)
    plain.retrieval = None
    mixed.retrieval.classifier_weight = .25
    logits = [
        torch.stack([r.seg_logits.data for r in predict(m, images, samples)])
        for m in (votes, plain, mixed)]
    shares = .75 * logits[0].softmax(1) + .25 * logits[1].softmax(1)
    assert torch.allclose(logits[2].exp(), shares, atol=1e-6)
    without = mixed.predict(images)
    assert torch.allclose(
        without[0].seg_logits.data.exp(), shares[0], atol=1e-6)


def test_retrieval__mixed_with_the_classifier_of_one_output():
    plain, votes, mixed = (
        tiny.build(binary(r)).eval() for r in (
            None, RETRIEVAL, dict(RETRIEVAL, classifier_weight=.5)))
    images, samples = tiny.batch(2)
    two_classes(samples)
    bank = fill(votes)
    bank.meta['classes'] = ['background', 'thing']
    for model in (votes, mixed):
        model.load_state_dict(votes.state_dict())
        model.retrieval.use(bank)
    plain.load_state_dict(votes.state_dict())
    # the host stores the sigmoid in place of the logit
    chances = [
        torch.stack([r.seg_logits.data for r in predict(m, images, samples)])
        for m in (plain, votes, mixed)]
    # the host's threshold is 0.3, that of a mixture of two classes 0.5
    odds = [c / (1 - c) * (.7 / .3) for c in chances]
    shares = [o / (1 + o) for o in odds]
    assert torch.allclose(
        shares[2], (shares[0] + shares[1]) / 2, atol=1e-5)


def test_retrieval__refuses_to_mix_what_does_not_fit(trained):
    for weight in (-.1, 1.):
        with pytest.raises(ValueError, match='`classifier_weight` must be'):
            tiny.build(tiny.sorting(
                retrieval=dict(classifier_weight=weight)))
    with pytest.raises(ValueError, match="which does not train the class"):
        tiny.build(tiny.sorting(
            classifier='none', retrieval=dict(classifier_weight=.5)))
    model, bank = copy.deepcopy(trained[0]), trained[1]
    model.retrieval.use(relabel(bank, rows=[0, 1], new='new'))
    model.retrieval.classifier_weight = .5
    with pytest.raises(ValueError, match='a bank of 5 classes'):
        model.predict(*tiny.batch(1))


def test_retrieval__unknown_resize():
    with pytest.raises(ValueError, match='`resize` must be one of nearest,'):
        tiny.build(tiny.sorting(retrieval=dict(resize='cubic')))


def test_retrieval__by_the_embedding_of_pixel_contrast():
    config = tiny.attached(in_channels=8, source='decoder', warmup_iters=0)
    config.test_cfg.retrieval = dict(RETRIEVAL, grid=(3, 3))
    model = tiny.build(config)
    np.random.seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=.05, momentum=.9)
    for step in range(60):
        losses = model.train().loss(*tiny.batch(4, seed=step % 2))
        optimizer.zero_grad()
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        optimizer.step()
    assert fill(model.eval()).meta['clustering']['grid'] == [3, 3]
    images, samples = tiny.batch(4, seed=5)
    assert accuracy(predict(model, images, samples), samples) > .6


def test_retrieval__image_does_not_depend_on_its_batch(trained):
    model, _ = trained
    images, samples = tiny.batch(3, seed=6)
    together = predict(model, images, samples)
    for i in range(3):
        alone = predict(model, images[i:i + 1], samples[i:i + 1])
        assert torch.equal(alone[0].pred_sem_seg.data,
                           together[i].pred_sem_seg.data)


def test_retrieval__in_several_threads(trained):
    model, _ = trained
    jobs = [tiny.batch(2, seed=i) for i in range(12)]
    alone = [predict(model, *job)[0].pred_sem_seg.data for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda job: predict(model, *job), jobs))
    for one, (other, _) in zip(alone, found):
        assert torch.equal(one, other.pred_sem_seg.data)


def test_retrieval__one_window_equals_the_whole(trained):
    model, _ = trained
    images, samples = tiny.batch(2, seed=7)
    whole = predict(model, images, samples)
    before = copy.deepcopy(model.test_cfg)
    model.test_cfg.update(mode='slide', crop_size=(32, 32), stride=(16, 16))
    try:
        slide = predict(model, images, samples)
        model.test_cfg.update(crop_size=(24, 24), stride=(8, 8))
        assert accuracy(predict(model, images, samples), samples) > .5
    finally:
        model.test_cfg = before
    same = [torch.equal(a.pred_segments.data, b.pred_segments.data)
            for a, b in zip(whole, slide)]
    assert all(same)


def test_windows__are_those_of_the_host():
    assert [(w.start, w.stop) for w in windows(10, 4, 3)] == [
        (0, 4), (3, 7), (6, 10)]
    assert [(w.start, w.stop) for w in windows(3, 4, 3)] == [(0, 3)]


def test_retrieval__padding_is_not_cut(trained):
    model, _ = trained
    images, samples = tiny.batch(6, seed=8)
    padded = torch.nn.functional.pad(images, (0, 8, 0, 16), value=9.)
    for sample in samples:
        sample.set_metainfo(dict(padding_size=(0, 8, 0, 16)))
    results = predict(model, padded, samples)
    assert results[0].pred_sem_seg.data.shape == (1, 32, 32)
    # four classes; 0.73 without padding, whose border changes its surroundings
    assert accuracy(results, samples) > .45


@pytest.mark.parametrize('direction, dim', [
    ('horizontal', 2), ('vertical', 1)])
def test_retrieval__flipped_images_come_back(trained, direction, dim):
    model, _ = trained
    images, samples = tiny.batch(1, seed=9)
    samples[0].set_metainfo(dict(flip=True, flip_direction=direction))
    result = predict(model, images.flip(dim + 1), samples)[0]
    segments = result.pred_segments
    votes = torch.stack([
        result.seg_logits.data[:, y, x]
        for y, x in ((3, 4), (20, 11))])
    ids = torch.stack([segments.data[0, 3, 4], segments.data[0, 20, 11]])
    labels = segments.neighbor_labels[ids]
    for vote, row in zip(votes, labels):
        assert int(vote.argmax()) in row.tolist()


@pytest.mark.parametrize('direction, dims', [
    ('horizontal', (1, )), ('vertical', (0, )), ('diagonal', (0, 1))])
def test_segment_data__flipped_back(direction, dims):
    ids = torch.randint(9, (6, 8))
    found = Found(ImageSegments(ids.flip(dims), None, None), Votes(
        *[torch.zeros(9, 1)] * len(Votes._fields)))
    sample = SegDataSample(metainfo=dict(
        flip=True, flip_direction=direction, ori_shape=(6, 8)))
    sample.seg_logits = PixelData(data=torch.zeros(1, 6, 8))
    assert torch.equal(segment_data(found, sample).data[0], ids)


def test_retrieval__unknown_mode(trained):
    model = copy.deepcopy(trained[0])
    model.test_cfg.mode = 'slides'
    with pytest.raises(ValueError, match='`test_cfg.mode` must be one of'):
        predict(model, *tiny.batch(1))


def test_retrieval__augmented_test_averages_the_shares(trained):
    model, _ = trained
    images, samples = tiny.batch(1, seed=3)
    views, single = dict(inputs=[], data_samples=[]), []
    for flip in (False, True):
        sample = copy.deepcopy(samples[0])
        sample.set_metainfo(dict(
            flip=flip, flip_direction='horizontal' if flip else None))
        image = images.flip(3) if flip else images
        views['inputs'].append([image[0]])
        views['data_samples'].append([sample])
        single.append(predict(model, image, [sample])[0])
    augmented = SegTTAModel(module=model).test_step(views)[0]
    mean = sum(r.seg_logits.data.softmax(0) for r in single) / 2
    assert torch.equal(augmented.pred_sem_seg.data[0], mean.argmax(0))


def test_retrieval__bank_file_and_relabelled_class(trained, tmp_path):
    model, bank = trained
    images, samples = tiny.batch(2, seed=5)
    plain = predict(model, images, samples)
    path = tmp_path / 'x.bank'
    write_bank(relabel(bank, old='1', new='novel'), path)
    other = copy.deepcopy(model)
    other.retrieval.use(read_bank(path))
    results = predict(other, images, samples)
    for before, after in zip(plain, results):
        assert after.seg_logits.data.shape[0] == tiny.CLASSES + 1
        ones = before.pred_sem_seg.data == 1
        # all but ties, which the smallest class wins
        found = after.pred_sem_seg.data[ones] == tiny.CLASSES
        assert found.float().mean() > .9
        assert (after.pred_sem_seg.data != 1).all()


def test_retrieval__bank_of_other_weights_is_refused(trained):
    model, bank = trained
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.backbone.conv1.weight.add_(.1)
    assert other.retrieval.fingerprint() != model.retrieval.fingerprint()
    with pytest.raises(ValueError, match='made with the loaded weights'):
        other.retrieval.use(bank)


def test_retrieval__too_many_neighbours(trained):
    model, bank = trained
    other = copy.deepcopy(model)
    other.retrieval.num_neighbors = len(bank.labels) + 1
    with pytest.raises(ValueError, match='`num_neighbors` must be at most'):
        other.retrieval.use(bank)


def test_retrieval__no_bank():
    model = tiny.build(tiny.sorting(retrieval=dict())).eval()
    with pytest.raises(ValueError, match='retrieval.bank` must be the path'):
        model.predict(*tiny.batch(1))


def test_retrieval__image_smaller_than_grid_and_stride(trained):
    model, _ = trained
    _, samples = tiny.batch(1)
    samples[0].set_metainfo(dict(ori_shape=(3, 2), img_shape=(3, 2)))
    result = predict(model, torch.randn(1, 3, 3, 2), samples)[0]
    assert result.pred_sem_seg.data.shape == (1, 3, 2)


def test_runner__trains_and_validates_by_retrieval(tmp_path):
    model = tiny.sorting('decoder', 'none', retrieval=RETRIEVAL, bank=QUEUE)
    hook = dict(
        type='mmpixsort.PrototypeBankHook', max_images=4,
        dataset=dict(type='NoisyBlocks', _scope_='mmengine', num_images=6))
    run = tiny.runner(tmp_path, model, iters=2, hooks=[hook])
    run.train()
    assert (tmp_path / 'iter_2.pth').exists()
    assert run.model.retrieval.is_loaded


@pytest.mark.parametrize('ema_first', [True, False])
def test_runner__bank_is_of_the_averaged_weights(tmp_path, ema_first):
    """In whatever order the hooks stand."""
    model = tiny.sorting('decoder', 'none', retrieval=RETRIEVAL)
    hooks = [dict(type='EMAHook', momentum=.1), dict(
        type='mmpixsort.PrototypeBankHook', dataset=dict(
            type='NoisyBlocks', _scope_='mmengine', num_images=6))]
    run = tiny.runner(tmp_path, model, iters=4,
                      hooks=hooks[::1 if ema_first else -1])
    seen = []
    use = RetrievalInference.use

    def spy(self, bank):
        seen.append(self.model.backbone.conv1.weight.clone())
        use(self, bank)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RetrievalInference, 'use', spy)
        run.train()
    averaged = next(hook for hook in run.hooks if type(
        hook).__name__ == 'EMAHook').ema_model.module.backbone.conv1.weight
    assert torch.equal(seen[-1], averaged)
    assert not torch.equal(averaged, run.model.backbone.conv1.weight)


def test_retrieval__after_the_weights_have_changed(trained, tmp_path):
    model, bank = trained
    images, samples = tiny.batch(2, seed=5)
    model = copy.deepcopy(model)
    predict(model, images, samples)
    other = copy.deepcopy(model.state_dict())
    for value in other.values():
        if value.is_floating_point():
            value *= 1.01
    model.load_state_dict(other)
    with pytest.raises(ValueError, match='weights of the model must be those'):
        predict(model, images, samples)
    fill(model)
    predict(model, images, samples)
    # a bank of a file is compared in full, and read anew where it fits
    write_bank(bank, tmp_path / 'x.npz')
    model.retrieval.bank = str(tmp_path / 'x.npz')
    model.load_state_dict(trained[0].state_dict())
    predict(model, images, samples)
    model.load_state_dict(other)
    with pytest.raises(ValueError, match='made with the loaded weights'):
        predict(model, images, samples)


@pytest.mark.parametrize('ignored', [0, 2])
def test_bank__of_a_class_that_is_ignored_has_no_rows(ignored):
    config = tiny.sorting('decoder', retrieval=RETRIEVAL,
                          ignore_index=ignored)
    config.decode_head.ignore_index = ignored
    bank = fill(tiny.build(config).eval())
    found = set(bank.labels.tolist())
    assert ignored not in found and len(found) == tiny.CLASSES - 1


def binary(retrieval=RETRIEVAL):
    """Config of the host with one output for two classes."""
    config = tiny.sorting('decoder', retrieval=retrieval, num_classes=2)
    config.decode_head.update(num_classes=2, out_channels=1, threshold=.3)
    config.decode_head.loss_decode = dict(
        type='CrossEntropyLoss', use_sigmoid=True)
    return config


def two_classes(samples):
    for sample in samples:
        labels = sample.gt_sem_seg.data
        labels[(labels != 255)] %= 2
    return samples


def test_retrieval__of_one_output_has_the_shape_of_the_host():
    plain, model = (tiny.build(binary(r)).eval() for r in (None, RETRIEVAL))
    images, samples = tiny.batch(3)
    two_classes(samples)
    bank = fill(model)
    bank.meta['classes'] = ['background', 'thing']
    model.retrieval.use(bank)
    found = predict(model, images, samples)
    for one, other in zip(found, predict(plain, images, samples)):
        assert one.seg_logits.data.shape == other.seg_logits.data.shape
        assert one.pred_sem_seg.data.shape == other.pred_sem_seg.data.shape
    # the class of the larger vote
    votes = model.retrieval(images, [{}] * 3)
    for result, item in zip(found, votes):
        want = item.votes.fractions.argmax(1)[paint_segments(
            item.segments.segment_ids, (32, 32))]
        assert torch.equal(result.pred_sem_seg.data[0].long(), want)


def test_retrieval__of_one_output_is_averaged_over_views():
    model = SegTTAModel(module=tiny.build(binary())).eval()
    images, samples = tiny.batch(2)
    bank = fill(model.module)
    bank.meta['classes'] = ['background', 'thing']
    model.module.retrieval.use(bank)
    views = [predict(model.module, images, two_classes(samples))
             for _ in range(2)]
    found = model.merge_preds([list(pair) for pair in zip(*views)])
    assert found[0].pred_sem_seg.data.shape[-2:] == (32, 32)


def test_retrieval__names_the_classes_of_its_bank(trained):
    model, bank = copy.deepcopy(trained[0]), trained[1]
    more = relabel(bank, rows=[0, 1], new='new')
    model.retrieval.use(more)
    assert model.dataset_meta['classes'][-1] == 'new'
    colours = model.dataset_meta['palette']
    assert len(colours) == len(model.dataset_meta['classes'])
    visualizer = type('Visualizer', (), dict(dataset_meta=dict(classes=())))()
    run = type('Run', (), dict(model=model, visualizer=visualizer))()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.retrieval, 'bank', 'x.bank')
        patch.setattr(RetrievalInference, 'use', lambda *_: None)
        PrototypeBankHook().before_test_epoch(run)
    assert visualizer.dataset_meta['classes'][-1] == 'new'


def test_prediction__by_a_classifier_that_nothing_trains_is_named():
    model = tiny.build(tiny.sorting('decoder', 'none')).eval()
    images, samples = tiny.batch(1)
    with pytest.warns(UserWarning, match="`classifier='none'` does not train"):
        predict(model, images, samples)


def test_runner__augmented_test_with_pictures_and_segment_scores(tmp_path):
    """The hooks reach the model inside SegTTAModel; the metric its segments.
    """
    model = tiny.sorting('decoder', 'none', retrieval=RETRIEVAL)
    data = dict(type='NoisyBlocks', _scope_='mmengine', num_images=6)
    tiny.runner(tmp_path, model, iters=2, hooks=[
        dict(type='mmpixsort.PrototypeBankHook', dataset=data)]).train()
    run = tiny.tester(
        tmp_path / 'test', dict(type='SegTTAModel', module=model),
        checkpoint=tmp_path / 'iter_2.pth',
        dataset=dict(data, type='BlockViews'),
        metric=dict(type='mmpixsort.SegmentMetric'),
        hooks=[
            dict(type='mmpixsort.PrototypeBankHook', dataset=data),
            dict(type='mmpixsort.EmbeddingVisualizationHook', num_images=2)])
    scores = run.test()
    assert 25 < scores['segment_purity'] <= 100
    assert 0 <= scores['retrieval_acc@3'] <= scores['retrieval_any@3'] <= 100
    pictures = sorted(p.name for p in tmp_path.rglob('test_*panel*.png'))
    assert len(pictures) == 2


@pytest.mark.parametrize('cache_size', [0, 1])
def test_make_oversegmentation__too_many_regions_are_said(monkeypatch,
                                                          cache_size):
    ids = np.arange(300 * 300).reshape(300, 300)
    monkeypatch.setattr(load_oversegmentation, 'felzenszwalb_segments',
                        lambda image, **options: ids)
    cut = load_oversegmentation.MakeOverSegmentation(cache_size=cache_size)
    image = dict(img_path='a.png', img=np.zeros((300, 300, 3), np.uint8))
    for _ in range(2):  # from the cache, too
        with pytest.raises(ValueError, match='must be below .* got 89999'):
            cut(dict(image))
