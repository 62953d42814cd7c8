"""`functional.segment_graph` against loops, SciPy and cases by hand."""
import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.functional.segments.graph import (linkage_threshold,
                                                 merge_segments,
                                                 pair_statistics,
                                                 segment_neighbors)


def random_graph(seed, count=24, dims=4, share=.2):
    """Return prototypes, areas and adjacency."""
    g = torch.Generator().manual_seed(seed)
    rows = normalize(torch.randn(count, dims, generator=g), dim=1)
    areas = torch.randint(1, 50, (count, ), generator=g)
    edges = torch.rand(count, count, generator=g) < share
    edges = (edges | edges.T).fill_diagonal_(False)
    return rows, areas, edges


def merge_loop(rows, areas, edges, threshold, far_threshold=None,
               classes=None):
    """By the definition: clusters are lists, every mean is made anew."""
    rows = rows.double().numpy()
    areas = areas.tolist()
    count = len(areas)

    def joined(p, q):
        far = far_threshold is not None and rows[p] @ rows[q] > far_threshold
        same = classes is None or classes[p] == classes[q]
        return same and (edges[p, q] or far)

    clusters = [[i] for i in range(count)]
    while True:
        best = threshold, None
        for a, b in itertools.combinations(range(len(clusters)), 2):
            pairs = list(itertools.product(clusters[a], clusters[b]))
            if not any(joined(p, q) for p, q in pairs):
                continue
            weights = [areas[p] * areas[q] for p, q in pairs]
            mean = np.average([rows[p] @ rows[q] for p, q in pairs],
                              weights=weights)
            if mean > best[0]:
                best = mean, (a, b)
        if best[1] is None:
            break
        a, b = best[1]
        clusters[a] += clusters.pop(b)
    labels = np.zeros(count, dtype=int)
    for k, cluster in enumerate(sorted(clusters, key=min)):
        labels[cluster] = k
    return labels.tolist()


def complete(count):
    return ~torch.eye(count, dtype=torch.bool)


def same_partition(a, b):
    pairs = set(zip(list(a), list(b)))
    return len(pairs) == len(set(a)) == len(set(b))


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('dtype', [torch.uint8, torch.int32, torch.int64])
def test_segment_neighbors__equals_loop(seed, dtype):
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 9, (7, 8), generator=g).to(dtype)
    if dtype != torch.uint8:
        ids[torch.rand(7, 8, generator=g) < .3] = -1
    want = torch.zeros(10, 10, dtype=torch.bool)
    for y, x in itertools.product(range(7), range(8)):
        for v, u in ((y + 1, x), (y, x + 1)):
            if v < 7 and u < 8:
                a, b = int(ids[y, x]), int(ids[v, u])
                if a >= 0 and b >= 0 and a != b:
                    want[a, b] = want[b, a] = True
    assert torch.equal(segment_neighbors(ids, 10), want)


def test_segment_neighbors__corners_do_not_touch():
    ids = torch.tensor([[0, -1], [-1, 1]])
    assert not segment_neighbors(ids, 2).any()
    assert segment_neighbors(torch.empty(0, 3).long(), 0).shape == (0, 0)
    assert not segment_neighbors(torch.zeros(1, 1).long(), 1).any()


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('threshold', [-.2, .2, .6])
@pytest.mark.parametrize('far, with_classes', [(None, False), (None, True),
                                               (.7, False), (.7, True)])
def test_merge_segments__equals_loop(seed, threshold, far, with_classes):
    rows, areas, edges = random_graph(seed)
    classes = torch.arange(24) % 3 if with_classes else None
    labels = merge_segments(
        rows, areas, edges, threshold=threshold, far_threshold=far,
        classes=classes)
    assert labels.dtype == torch.int64
    assert labels.tolist() == merge_loop(rows, areas, edges, threshold, far,
                                         classes)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('threshold', [-.3, 0., .3, .7])
def test_merge_segments__complete_graph_is_scipy(seed, threshold):
    hierarchy = pytest.importorskip('scipy.cluster.hierarchy')
    distance = pytest.importorskip('scipy.spatial.distance')
    rows, _, _ = random_graph(seed, count=60, dims=6)
    labels = merge_segments(
        rows, torch.ones(60), complete(60), threshold=threshold)
    tree = hierarchy.linkage(
        distance.pdist(rows.double().numpy(), 'cosine'), 'average')
    want = hierarchy.fcluster(tree, 1 - threshold, 'distance')
    assert same_partition(labels.tolist(), want.tolist())


@pytest.mark.parametrize('seed', range(3))
def test_merge_segments__areas_are_pixels(seed):
    # every segment as so many equal pixels, which SciPy merges first
    hierarchy = pytest.importorskip('scipy.cluster.hierarchy')
    distance = pytest.importorskip('scipy.spatial.distance')
    rows, areas, _ = random_graph(seed, count=15)
    pixels = rows.repeat_interleave(areas, 0).double().numpy()
    tree = hierarchy.linkage(distance.pdist(pixels, 'cosine'), 'average')
    first = areas.cumsum(0) - areas
    for threshold in (0., .3, .6):
        want = hierarchy.fcluster(tree, 1 - threshold, 'distance')[first]
        labels = merge_segments(
            rows, areas, complete(15), threshold=threshold)
        assert same_partition(labels.tolist(), want.tolist())


def test_merge_segments__weighted_mean_by_hand():
    # 0 and 1 merge first; w({0, 1}, {2}) = (0.6 a0 + 0 a1) / (a0 + a1)
    rows = torch.tensor([[1., 0.], [.8, -.6], [.6, .8]])
    options = dict(adjacency=complete(3), threshold=.5)
    heavy = merge_segments(rows, torch.tensor([99, 1, 5]), **options)
    light = merge_segments(rows, torch.tensor([1, 99, 5]), **options)
    assert heavy.tolist() == [0, 0, 0] and light.tolist() == [0, 0, 1]


def test_merge_segments__car_behind_a_pole():
    ids = torch.tensor([[0, 0, 1, 2, 2, 2], [0, 0, 1, 2, 2, 3]])
    car, pole, other = [1., 0., 0.], [0., 1., 0.], [0., 0., 1.]
    rows = torch.tensor([car, pole, car, other])
    case = dict(
        prototypes=rows, areas=torch.tensor([4, 2, 5, 1]),
        adjacency=segment_neighbors(ids, 4), threshold=.5)
    assert merge_segments(**case).tolist() == [0, 1, 2, 3]
    assert merge_segments(**case, far_threshold=.9).tolist() == [0, 1, 0, 2]
    classes = torch.tensor([3, 4, 5, 5])
    apart = merge_segments(**case, far_threshold=.9, classes=classes)
    assert apart.tolist() == [0, 1, 2, 3]


def test_merge_segments__merged_clusters_inherit_edges():
    # 0 - 1 - 2: only after the merge of 0 and 1 is 2 a neighbour of 0
    rows = normalize(torch.tensor([[1., .1], [1., 0.], [1., .3]]), dim=1)
    chain = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).bool()
    areas = torch.ones(3)
    assert merge_segments(
        rows, areas, chain, threshold=.9).tolist() == [0, 0, 0]
    chain[1, 2] = chain[2, 1] = False
    assert merge_segments(
        rows, areas, chain, threshold=.9).tolist() == [0, 0, 1]


def test_merge_segments__threshold_must_be_exceeded():
    rows = torch.tensor([[1., 0.], [0., 1.]])
    areas = torch.ones(2)
    assert merge_segments(
        rows, areas, complete(2), threshold=0.).tolist() == [0, 1]
    assert merge_segments(
        rows, areas, complete(2), threshold=-.01).tolist() == [0, 0]


def test_merge_segments__ties_go_to_the_first_pair():
    # a ring of equal cosines: 0 with 1, then 2 with 3
    rows = torch.tensor([[1., 0.], [0., 1.], [-1., 0.], [0., -1.]])
    ring = torch.tensor([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1],
                         [1, 0, 1, 0]]).bool()
    for _ in range(3):
        labels = merge_segments(rows, torch.ones(4), ring, threshold=-.4)
        assert labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize('seed', range(4))
def test_merge_segments__permutation_equivariant(seed):
    rows, areas, edges = random_graph(seed, count=40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    options = dict(threshold=.3, far_threshold=.8)
    labels = merge_segments(rows, areas, edges, **options)
    moved = merge_segments(rows[order], areas[order],
                           edges[order][:, order], **options)
    assert same_partition(moved.tolist(), labels[order].tolist())
    # numbers by first segments
    first = [moved.tolist().index(k) for k in range(int(moved.max()) + 1)]
    assert first == sorted(first)


def test_merge_segments__rotation_and_scale_of_areas():
    rows, areas, edges = random_graph(1)
    turn, _ = torch.linalg.qr(torch.randn(
        4, 4, generator=torch.Generator().manual_seed(0)))
    labels = merge_segments(rows, areas, edges, threshold=.3)
    assert torch.equal(
        labels, merge_segments(rows @ turn, 7 * areas, edges, threshold=.3))


@pytest.mark.parametrize('count', [0, 1])
def test_merge_segments__no_and_one_segment(count):
    labels = merge_segments(
        torch.ones(count, 2), torch.ones(count),
        torch.zeros(count, count).bool(), threshold=.5, far_threshold=.5,
        classes=torch.zeros(count).long())
    assert labels.tolist() == [0] * count and labels.dtype == torch.int64


def test_merge_segments__empty_and_broken_segments_take_no_part():
    rows = torch.tensor([[1., 0.], [0., 0.], [1., 0.], [torch.nan, 1.]])
    areas = torch.tensor([3, 0, 2, 4])
    labels = merge_segments(rows, areas, complete(4), threshold=.5,
                            far_threshold=-.5)
    assert labels.tolist() == [0, -1, 0, -1]


def test_merge_segments__leaves_its_arguments():
    rows, areas, edges = random_graph(0)
    edges.fill_diagonal_(True)  # a loop is no edge
    copies = [part.clone() for part in (rows, areas, edges)]
    merge_segments(rows.requires_grad_(), areas.double(), edges,
                   threshold=-1.)
    for part, copy in zip((rows, areas, edges), copies):
        assert torch.equal(part, copy)


@pytest.mark.parametrize('changes, kind, error', [
    (dict(threshold=2.), ValueError, '`threshold` must be a cosine in'),
    (dict(threshold=None), TypeError, '`threshold` must be a number'),
    (dict(far_threshold=-2.), ValueError, '`far_threshold` must be a cosine'),
    (dict(prototypes=torch.ones(3)), ValueError, '`prototypes` must be a'),
    (dict(areas=torch.ones(2)), ValueError, '`areas` must have shape'),
    (dict(areas=-torch.ones(3)), ValueError, '`areas` must not be negative'),
    (dict(adjacency=torch.ones(3, 3)), ValueError, '`adjacency` must be a'),
    (dict(adjacency=torch.ones(3, 3).triu(1).bool()), ValueError,
     '`adjacency` must be symmetric'),
    (dict(classes=torch.ones(3)), TypeError, '`classes` must be integers'),
    (dict(classes=torch.ones(2).long()), ValueError, '`classes` must have'),
])
def test_merge_segments__bad_input(changes, kind, error):
    good = dict(prototypes=torch.eye(3), areas=torch.ones(3),
                adjacency=complete(3), threshold=.5)
    with pytest.raises(kind, match=error):
        merge_segments(**{**good, **changes})


@pytest.mark.parametrize('ids, count, error', [
    (torch.zeros(2, 2), 1, '`segment_ids` must be integers'),
    (torch.zeros(2).long(), 1, r'must have shape \(H, W\)'),
    (torch.full((2, 2), 3), 3, r'below `num_segments` \(3\), got 3'),
    (torch.zeros(2, 2).long(), -1, '`num_segments` must be at least 0'),
])
def test_segment_neighbors__bad_input(ids, count, error):
    with pytest.raises((TypeError, ValueError), match=error):
        segment_neighbors(ids, count)


def statistics_loop(rows, ids, areas, classes=None, edges=None):
    """Means pair by pair, then sums over instances and pairs of them."""
    rows = rows.double().numpy()
    names = sorted({(int(i), int(c)) for i, c, a in zip(
        ids, classes if classes is not None else ids * 0, areas)
        if i > 0 and a > 0})
    members = [[p for p in range(len(ids)) if ids[p] == i and areas[p] > 0
                and (classes is None or classes[p] == c)] for i, c in names]

    def counted(pairs):
        return [(p, q) for p, q in pairs if edges is None or edges[p, q]]

    def mean(pairs):
        return np.average([rows[p] @ rows[q] for p, q in pairs],
                          weights=[int(areas[p] * areas[q])
                                   for p, q in pairs])

    within = [counted(itertools.combinations(own, 2)) for own in members]
    between = [counted(itertools.product(members[a], members[b]))
               for a, b in itertools.combinations(range(len(names)), 2)
               if names[a][1] == names[b][1] and names[a][0] != names[b][0]]
    within, between = ([mean(pairs) for pairs in groups if pairs]
                       for groups in (within, between))
    return [[sum(within), sum(between)], [len(within), len(between)]]


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('with_classes', [False, True])
@pytest.mark.parametrize('with_edges', [False, True])
def test_pair_statistics__equals_loop(seed, with_classes, with_edges):
    rows, areas, edges = random_graph(seed, count=30)
    edges = edges if with_edges else None
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(-1, 9, (30, ), generator=g)
    areas[3] = 0
    classes = torch.randint(3, (30, ), generator=g) if with_classes else None
    total = pair_statistics(
        rows, ids, areas, classes=classes, adjacency=edges)
    assert total.dtype == torch.float64
    assert np.allclose(
        total, statistics_loop(rows, ids, areas, classes, edges))


def test_pair_statistics__nothing_to_compare():
    rows = torch.eye(3)
    for ids in ([0, -1, 0], [0, 5, 0]):
        total = pair_statistics(rows, torch.tensor(ids), torch.ones(3))
        assert total.tolist() == [[0, 0], [0, 0]]
    none = pair_statistics(rows[:0], torch.zeros(0).long(), torch.ones(0))
    assert none.tolist() == [[0, 0], [0, 0]]
    with pytest.raises(ValueError, match='`within` must be a cosine, got nan'):
        linkage_threshold(*(none[0] / none[1]).tolist())


def test_pair_statistics__threshold_parts_instances():
    # three instances of five noisy segments each, two images
    g = torch.Generator().manual_seed(0)
    total = 0
    ids = torch.arange(15) // 5 + 1
    for _ in range(2):
        centers = torch.linalg.qr(torch.randn(6, 6, generator=g))[0][:3]
        rows = normalize(centers[ids - 1] + .1 * torch.randn(
            15, 6, generator=g), dim=1)
        total = total + pair_statistics(rows, ids, torch.ones(15))
    assert total[1].tolist() == [6, 6]
    threshold = linkage_threshold(*(total[0] / total[1]).tolist())
    labels = merge_segments(
        rows, torch.ones(15), complete(15), threshold=threshold)
    assert torch.equal(labels, ids - 1)


@pytest.mark.parametrize('within, between, error', [
    (1.5, 0., '`within` must be a cosine in'),
    (.5, float('nan'), '`between` must be a cosine, got nan'),
    (torch.ones(()), 0., '`within` must be a number, got Tensor'),
])
def test_linkage_threshold__bad_input(within, between, error):
    with pytest.raises((TypeError, ValueError), match=error):
        linkage_threshold(within, between)
