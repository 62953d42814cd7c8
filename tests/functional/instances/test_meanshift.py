"""`functional.seed_mean_shift` against loops, scikit-learn and geometry."""
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.functional.instances import (meanshift, meanshift_search,
                                            meanshift_windows)
from mmpixsort.functional.instances.clusters import (Clusters, assign_nearest,
                                                     keep_large)
from mmpixsort.functional.instances.meanshift import seed_mean_shift


def balls(seed, num_clusters=6, num_points=400, dims=3, outliers=0.):
    """Zero loss: radius below 0.5 around means more than 3 apart.

    Returns embeddings (N, D), ball (N,) from 1 or 0, true means (K, D).
    """
    g = torch.Generator().manual_seed(seed)
    centers = torch.empty(0, dims)
    while len(centers) < num_clusters:
        new = (torch.rand(1, dims, generator=g) - .5) * 16
        if not (torch.cdist(new, centers) <= 3.2).any():
            centers = torch.cat([centers, new])
    labels = torch.randint(num_clusters, (num_points, ), generator=g)
    offsets = normalize(torch.randn(num_points, dims, generator=g), dim=1)
    offsets *= .45 * torch.rand(num_points, 1, generator=g)
    embeddings = centers[labels] + offsets
    scattered = torch.rand(num_points, generator=g) < outliers
    anywhere = (torch.rand(num_points, dims, generator=g) - .5) * 60
    embeddings[scattered] = anywhere[scattered]
    means = torch.stack([
        embeddings[(labels == k) & ~scattered].mean(0)
        for k in range(num_clusters)
    ])
    return embeddings, (labels + 1).masked_fill(scattered, 0), means


def same_partition(a, b):
    """Equal up to the names, 0 is 0."""
    pairs = set(zip(a.tolist(), b.tolist()))
    return len(pairs) == len({x for x, _ in pairs}) == len(
        {y for _, y in pairs}) and all((x == 0) == (y == 0) for x, y in pairs)


def paper_loop(embeddings, bandwidth, min_pixels, seed=0):
    """One random seed at a time, in float64, hygiene of the authors' code."""
    rows = embeddings.double().numpy()
    rng = np.random.default_rng(seed)
    labels = np.zeros(len(rows), dtype=int)
    failures = 0
    while (labels == 0).sum() >= min_pixels and failures < 100:
        rest = rows[labels == 0]
        center = rest[rng.integers(len(rest))]
        for _ in range(100):
            near = np.linalg.norm(rest - center, axis=1) <= bandwidth
            before, center = center, rest[near].mean(0)
            if np.linalg.norm(center - before) <= 1e-4:
                break
        mask = np.linalg.norm(rows - center, axis=1) <= bandwidth
        owned = (labels[mask] > 0).mean()
        if mask.sum() < min_pixels or owned >= .5:
            failures += 1
            continue
        failures = 0
        labels[mask & (labels == 0)] = labels.max() + 1
    return torch.from_numpy(labels)


@pytest.mark.parametrize('seed', range(4))
def test_seed_mean_shift__equals_the_loop_of_the_paper(seed):
    embeddings, truth, means = balls(seed, dims=2 + seed, outliers=.03)
    labels, centers = seed_mean_shift(
        embeddings, bandwidth=1.5, min_pixels=8, num_seeds=16)
    want = paper_loop(embeddings, 1.5, 8)
    assert same_partition(labels, want)
    inside = truth > 0
    assert same_partition(labels[inside], truth[inside])
    # an outlier may lie within the bandwidth, where it moves the mean
    assert torch.cdist(means, centers).amin(1).max() < .1


@pytest.mark.parametrize('bandwidth', [.51, .7, 1.5, 2.49])
def test_seed_mean_shift__exact_from_given_centres(bandwidth):
    for case in range(3):
        embeddings, truth, means = balls(case)
        labels, centers = seed_mean_shift(
            embeddings, bandwidth=bandwidth, seeds=means)
        assert same_partition(labels, truth)
        assert torch.allclose(centers, _means(embeddings, labels), atol=1e-5)


def _means(embeddings, labels):
    return torch.stack([
        embeddings[labels == k].mean(0) for k in range(1, labels.max() + 1)])


@pytest.mark.parametrize('bandwidth', [1.01, 1.5, 1.99])
@pytest.mark.parametrize('num_seeds', [1, 5, 1000])
def test_seed_mean_shift__exact_from_any_seed(bandwidth, num_seeds):
    embeddings, truth, _ = balls(0)
    results = [
        seed_mean_shift(
            embeddings, bandwidth=bandwidth, num_seeds=num_seeds,
            generator=torch.Generator().manual_seed(draw))
        for draw in range(5)
    ]
    assert same_partition(results[0].labels, truth)
    for labels, centers in results[1:]:
        assert torch.equal(labels, results[0].labels)
        assert torch.allclose(centers, results[0].centers, atol=1e-5)


def test_seed_mean_shift__sizes_fall():
    labels, centers = seed_mean_shift(balls(1)[0], bandwidth=1.5)
    sizes = labels.bincount()
    assert sizes[0] == 0 and len(centers) == len(sizes) - 1 == 6
    assert sizes[1:].tolist() == sorted(sizes[1:].tolist(), reverse=True)


def test_seed_mean_shift__permutation_equivariant_and_repeatable():
    embeddings, _, _ = balls(2, outliers=.05)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    options = dict(bandwidth=1.5, min_pixels=8)
    first = seed_mean_shift(embeddings, **options).labels
    torch.rand(1)  # the global generator takes no part
    assert torch.equal(seed_mean_shift(embeddings, **options).labels, first)
    moved = seed_mean_shift(embeddings[order], **options).labels
    assert same_partition(moved, first[order])


@pytest.mark.parametrize('seed', range(3))
def test_seed_mean_shift__outliers(seed):
    embeddings, truth, _ = balls(
        seed, num_clusters=20, num_points=3000, dims=8, outliers=.05)
    labels, centers = seed_mean_shift(
        embeddings, bandwidth=1.5, min_pixels=10)
    inside = truth > 0
    assert len(centers) == labels.max() == 20
    assert same_partition(labels[inside], truth[inside])
    distance = torch.cdist(embeddings, centers)
    kept = labels > 0
    own = distance[kept].gather(1, labels[kept, None] - 1)
    assert own.max() <= 1.5 + 1e-4
    assert (distance[~kept] >= 1.5 - 1e-4).all()
    assert torch.equal(labels[kept], distance[kept].argmin(1) + 1)


def test_seed_mean_shift__reassign_nearest():
    embeddings, _, _ = balls(0, outliers=.1)
    labels, centers = seed_mean_shift(
        embeddings, bandwidth=1.5, min_pixels=10, reassign='nearest')
    assert (labels > 0).all() and len(centers) == 6
    nearest = torch.cdist(embeddings, centers).argmin(1) + 1
    assert torch.equal(labels, nearest)


def test_seed_mean_shift__max_instances():
    embeddings, truth, _ = balls(3)
    for count in (1, 4, 6, 9):
        labels, centers = seed_mean_shift(
            embeddings, bandwidth=1.5, max_instances=count)
        assert len(centers) == labels.max() == min(count, 6)
        inside = labels > 0
        assert same_partition(labels[inside], truth[inside])


def test_seed_mean_shift__same_as_sklearn():
    cluster = pytest.importorskip('sklearn.cluster')
    metrics = pytest.importorskip('sklearn.metrics')
    embeddings, _, _ = balls(
        4, num_clusters=10, num_points=1000, dims=8)
    want = cluster.MeanShift(
        bandwidth=1.5, bin_seeding=True).fit(embeddings.numpy()).labels_
    labels, _ = seed_mean_shift(embeddings, bandwidth=1.5)
    assert metrics.adjusted_rand_score(want, labels) >= .999


@pytest.mark.parametrize('seed', range(5))
def test_seed_mean_shift__centre_of_sklearn(seed):
    cluster = pytest.importorskip('sklearn.cluster')
    g = torch.Generator().manual_seed(seed)
    cloud = torch.randn(500, 4, generator=g)  # dense: many steps
    start = torch.randn(1, 4, generator=g)
    want = cluster.MeanShift(bandwidth=1., seeds=start.double().numpy()).fit(
        cloud.double().numpy()).cluster_centers_
    _, center = seed_mean_shift(cloud, bandwidth=1., seeds=start)
    assert np.allclose(center, want, atol=1e-4)


def test_seed_mean_shift__seed_of_the_highest_score():
    # one seed and one instance: the scores say which
    embeddings, truth, means = balls(5)
    for k in range(1, 7):
        scores = torch.rand(400) + 2 * (truth == k)
        labels, centers = seed_mean_shift(
            embeddings, bandwidth=1.5, scores=scores, num_seeds=1,
            max_instances=1)
        assert torch.equal(labels > 0, truth == k)
        assert torch.allclose(centers[0], means[k - 1], atol=1e-5)
    labels, _ = seed_mean_shift(embeddings, bandwidth=1.5, scores=scores)
    assert same_partition(labels, truth)


@pytest.mark.parametrize('num_seeds', [1, 7, 64, 399])
def test_pick__highest_score_of_each_run(num_seeds):
    g = torch.Generator().manual_seed(num_seeds)
    scores = torch.rand(500, generator=g)
    candidates = torch.randperm(500, generator=g)[:400].sort().values
    picks = meanshift_search.pick_seeds(candidates, scores, num_seeds, g)
    length = -(-400 // num_seeds)
    want = [max(run.tolist(), key=lambda i: scores[i])
            for run in candidates.split(length)]
    assert picks.tolist() == want and len(picks) <= num_seeds


def _two_heaps_and_a_bridge():
    # heaps at 0 and 4 and seven pixels at 2
    places = torch.tensor([0.] * 20 + [4.] * 20 + [2.] * 7)[:, None]
    return places, torch.tensor([[0.], [4.], [2.]])


def test_join__owned_share_by_hand():
    points, centers = _two_heaps_and_a_bridge()
    joined = torch.ones(3, dtype=torch.bool)
    unowned, total = meanshift_windows.count_unowned(
        points, centers, joined, 2.)
    assert total.tolist() == [27, 27, 47]
    assert unowned.tolist() == [27, 20, 0]
    joined[0] = False
    unowned, _ = meanshift_windows.count_unowned(
        points, centers, joined, 2.)
    assert unowned.tolist() == [27, 27, 20]


@pytest.mark.parametrize('purity, count', [(.5, 2), (.75, 1), (0., 2)])
def test_join__min_purity(purity, count):
    points, centers = _two_heaps_and_a_bridge()
    rules = meanshift_search.SearchRules(
        2., 1, 1, 0., 1, purity, None, 1)
    # the bridge is not closer than the bandwidth, and owns no pixel
    joined = meanshift_search.join_modes(centers[:0], centers, points, rules)
    assert joined.flatten().tolist() == [0., 4.][:count]
    again = meanshift_search.join_modes(joined, centers, points, rules)
    assert torch.equal(again, joined)


def test_distinct__is_greedy():
    places = torch.tensor([[0.], [.9], [1.8], [2.7], [.1]])
    keep = meanshift_search.are_distinct(places, 1.)
    assert keep.tolist() == [True, False, True, False, False]


def test_seed_mean_shift__chunks_do_not_matter(monkeypatch):
    embeddings, _, _ = balls(6, outliers=.05)
    options = dict(bandwidth=1.5, min_pixels=8)
    whole = seed_mean_shift(embeddings, **options)
    monkeypatch.setattr(meanshift_windows, 'MAX_SIMILARITIES', 1000)
    parts = seed_mean_shift(embeddings, **options)
    assert torch.equal(parts.labels, whole.labels)
    assert torch.allclose(parts.centers, whole.centers, atol=1e-5)


@pytest.mark.parametrize('seeds', [None, torch.zeros(2, 3)])
def test_seed_mean_shift__no_pixel(seeds):
    labels, centers = seed_mean_shift(
        torch.empty(0, 3), bandwidth=1.5, seeds=seeds, min_pixels=5)
    assert labels.shape == (0, ) and labels.dtype == torch.int64
    assert centers.shape == (0, 3)


def test_seed_mean_shift__one_pixel_and_too_few():
    one = torch.ones(1, 3)
    labels, centers = seed_mean_shift(one, bandwidth=1.)
    assert labels.tolist() == [1] and torch.allclose(centers, one)
    labels, centers = seed_mean_shift(
        one, bandwidth=1., min_pixels=2, reassign='nearest')
    assert labels.tolist() == [0] and centers.shape == (0, 3)


def test_seed_mean_shift__equal_pixels():
    labels, centers = seed_mean_shift(torch.full((500, 3), 7.), bandwidth=.5)
    assert (labels == 1).all() and torch.allclose(
        centers, torch.full((1, 3), 7.))


def test_seed_mean_shift__given_seed_where_nothing_is():
    embeddings, truth, means = balls(0)
    away = torch.full((2, 3), 1e3)
    labels, _ = seed_mean_shift(
        embeddings, bandwidth=1.5, seeds=torch.cat([away, means]))
    assert same_partition(labels, truth)
    labels, centers = seed_mean_shift(embeddings, bandwidth=1.5, seeds=away)
    assert (labels == 0).all() and not len(centers)


@pytest.mark.parametrize('shift', [0., 1e3])
def test_seed_mean_shift__not_finite_and_far_from_zero(shift):
    embeddings, truth, _ = balls(1)
    embeddings = embeddings + shift
    embeddings[3, 1] = torch.nan
    embeddings[7, 0] = torch.inf
    for reassign in meanshift.REASSIGN:
        labels, centers = seed_mean_shift(
            embeddings, bandwidth=1.5, reassign=reassign)
        assert labels[[3, 7]].tolist() == [0, 0]
        assert centers.isfinite().all()
        fine = embeddings.isfinite().all(1)
        assert same_partition(labels[fine], truth[fine])


def test_seed_mean_shift__precision_and_gradient():
    embeddings, truth, _ = balls(2)
    embeddings.requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        labels, centers = seed_mean_shift(embeddings, bandwidth=1.5)
    assert centers.dtype == torch.float32 and not centers.requires_grad
    assert same_partition(labels, truth)
    for dtype in (torch.float64, torch.bfloat16):
        low, _ = seed_mean_shift(embeddings.to(dtype), bandwidth=1.5)
        assert torch.equal(low, labels)


def visits_of(monkeypatch):
    """Count pixels times seeds of every step."""
    seen = []
    step = meanshift_windows.sums_within

    def counted(points, centers, bandwidth):
        seen.append(len(points) * len(centers))
        return step(points, centers, bandwidth)

    monkeypatch.setattr(meanshift_search, 'sums_within', counted)
    return seen


@pytest.mark.parametrize('dims, scale', [(8, 1.), (2, 1.), (2, 10.)])
def test_seed_mean_shift__untrained_is_bounded_and_said(monkeypatch, dims,
                                                        scale):
    g = torch.Generator().manual_seed(0)
    cloud = scale * torch.randn(3000, dims, generator=g)
    options = dict(bandwidth=1.5, min_pixels=10)
    seen, texts = visits_of(monkeypatch), []
    seed_mean_shift(cloud, report=texts.append, **options)
    whole = sum(seen)
    seen.clear()
    few = whole // 10
    labels, centers = seed_mean_shift(
        cloud, max_visits=few, report=texts.append, **options)
    # it stops after the step that went over, and a last join
    assert sum(seen) < few + 2 * 3000 * 128
    assert labels.max() == len(centers)
    text, = texts
    assert f'stopped at `max_visits` {few} with' in text
    assert f'{(labels == 0).sum()} of 3000 pixels belong to none' in text
    with pytest.warns(UserWarning, match='stopped at `max_visits` 1 with'):
        seed_mean_shift(cloud, max_visits=1, **options)


@pytest.mark.parametrize('count', [6, 300])
def test_seed_mean_shift__clumps_need_little(monkeypatch, count):
    embeddings, _, _ = balls(
        7, num_clusters=count, num_points=3000, dims=8, outliers=.05)
    options = dict(bandwidth=1.5, min_pixels=3)
    want = seed_mean_shift(embeddings, **options)
    seen, texts = visits_of(monkeypatch), []
    # outliers take up to 8 rounds of 128 seeds
    enough = (10 * 128 + 5 * count) * 3000
    got = seed_mean_shift(embeddings, max_visits=enough,
                          report=texts.append, **options)
    assert not texts and torch.equal(got.labels, want.labels)
    assert torch.equal(got.centers, want.centers)
    assert sum(seen) < enough


@pytest.mark.parametrize('seed', range(4))
def test_seed_mean_shift__rounds_do_not_look_again(seed):
    # what has joined is compared once: the same as all at once
    embeddings, _, _ = balls(
        seed, num_clusters=40, num_points=2000, dims=4, outliers=.2)
    rules = meanshift_search.SearchRules(
        1.5, 16, 100, 1e-4, 5, .5, None, 5)
    points = embeddings - embeddings.mean(0)
    work = meanshift_search.Work(None)
    centers = meanshift_search.search_centers(
        points, None, rules, torch.Generator().manual_seed(seed), work)
    for k in range(1, len(centers) + 1):
        free = meanshift_windows.nearest_center(
            points, centers[:k - 1], 1.5) == 0
        inside = torch.cdist(points, centers[k - 1:k])[:, 0] <= 1.5
        assert (inside & free).sum() >= 5
        assert (inside & free).sum() > .5 * inside.sum()
    assert meanshift_search.are_distinct(centers, 1.5).all()


def test_assign_nearest__equals_a_full_table():
    g = torch.Generator().manual_seed(0)
    embeddings = torch.randn(300, 5, generator=g)
    centers = torch.randn(7, 5, generator=g)
    distance, want = torch.cdist(embeddings.double(), centers.double()).min(1)
    assert torch.equal(assign_nearest(embeddings, centers), want + 1)
    near = assign_nearest(embeddings, centers, max_distance=2.)
    assert torch.equal(near, (want + 1).masked_fill(distance > 2, 0))


def test_assign_nearest__ties_nan_and_no_centre():
    embeddings = torch.tensor([[0.], [torch.nan]])
    ties = torch.tensor([[-2.], [2.], [2.], [-2.]])
    assert assign_nearest(embeddings, ties).tolist() == [1, 0]
    assert assign_nearest(embeddings, ties[:0]).tolist() == [0, 0]
    assert assign_nearest(embeddings[:0], ties).shape == (0, )


def test_keep_large__order_of_equal_sizes_and_nothing():
    labels = torch.tensor([3, 1, 2, 2, 1, 0])
    kept = keep_large(Clusters(3 - labels, torch.eye(3)), min_pixels=2)
    assert kept.labels.tolist() == [0, 1, 2, 2, 1, 0]
    assert torch.equal(kept.centers, torch.eye(3)[[1, 0]])
    none = keep_large(Clusters(labels * 0, torch.empty(0, 3)))
    assert none.labels.tolist() == [0] * 6


@pytest.mark.parametrize('changes, kind, error', [
    (dict(bandwidth=0.), ValueError, '`bandwidth` must be positive'),
    (dict(num_seeds=0), ValueError, '`num_seeds` must be at least 1'),
    (dict(num_iters=0), ValueError, '`num_iters` must be at least 1'),
    (dict(tolerance=-1.), ValueError, '`tolerance` must not be negative'),
    (dict(min_pixels=2.), TypeError, '`min_pixels` must be an integer'),
    (dict(min_purity=1.), ValueError, '`min_purity` must be below 1'),
    (dict(max_instances=0), ValueError, '`max_instances` must be at least'),
    (dict(max_failures=0), ValueError, '`max_failures` must be at least 1'),
    (dict(max_visits=0), ValueError, '`max_visits` must be at least 1'),
    (dict(reassign='all'), ValueError, '`reassign` must be one of'),
    (dict(seeds=torch.zeros(2, 4)), ValueError, '`seeds` must have shape'),
    (dict(scores=torch.zeros(4)), ValueError, '`scores` must be a floating'),
    (dict(scores=torch.zeros(400), seeds=torch.zeros(1, 3)), ValueError,
     '`scores` must be None'),
    (dict(embeddings=torch.zeros(3, 4, 5)), ValueError, r'shape \(N, D\)'),
    (dict(embeddings=torch.zeros(3, 4).long()), ValueError, 'floating'),
])
def test_seed_mean_shift__bad_input(changes, kind, error):
    options = dict(embeddings=balls(0)[0], bandwidth=1.5)
    with pytest.raises(kind, match=error):
        seed_mean_shift(**{**options, **changes})


@pytest.mark.gpu
def test_seed_mean_shift__same_labels_on_a_gpu():
    embeddings, _, _ = balls(
        0, num_clusters=20, num_points=3000, dims=8, outliers=.05)
    options = dict(bandwidth=1.5, min_pixels=10)
    want = seed_mean_shift(embeddings, **options)
    got = seed_mean_shift(embeddings.cuda(), **options)
    assert got.labels.is_cuda and torch.equal(got.labels.cpu(), want.labels)
    assert torch.allclose(got.centers.cpu(), want.centers, atol=1e-4)
