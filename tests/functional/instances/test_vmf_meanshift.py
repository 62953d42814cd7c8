"""`functional.vmf_mean_shift` against a plain loop and fixed points."""
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from mmpixsort.functional.instances import vmf_meanshift
from mmpixsort.functional.instances.vmf_meanshift import (vmf_mean_shift,
                                                          vmf_shift)


def caps(seed, num_clusters=5, num_points=200, dims=8, noise=.1):
    """Return unit rows around orthogonal directions, and which (N,)."""
    g = torch.Generator().manual_seed(seed)
    centers = torch.linalg.qr(
        torch.randn(dims, dims, generator=g))[0][:num_clusters]
    labels = torch.randint(num_clusters, (num_points, ), generator=g)
    noise = noise * torch.randn(num_points, dims, generator=g)
    return normalize(centers[labels] + noise, dim=1), labels


def same_partition(a, b):
    a, b = torch.as_tensor(a).tolist(), torch.as_tensor(b).tolist()
    return len(set(zip(a, b))) == len(set(a)) == len(set(b))


def mean_shift_loop(rows, kappa, merge_threshold, seeds=None, weights=None,
                    num_iters=500):
    """One seed at a time in float64, then greedy joining by density."""
    rows = rows.double().numpy()
    weights = np.ones(len(rows)) if weights is None else weights.numpy()
    modes = []
    for mode in rows if seeds is None else seeds.double().numpy():
        for _ in range(num_iters):
            kernel = weights * np.exp(kappa * (rows @ mode - 1))
            mean = kernel @ rows
            mode, before = mean / np.linalg.norm(mean), mode
            if np.linalg.norm(mode - before) < 1e-9:
                break
        density = (weights * np.exp(kappa * (rows @ mode - 1))).sum()
        modes.append((density, mode))
    kept = []
    for _, mode in sorted(modes, key=lambda pair: -pair[0]):
        if all(mode @ other <= merge_threshold for other in kept):
            kept.append(mode)
    kept = np.stack(kept)
    return (rows @ kept.T).argmax(1), kept


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('kappa', [5., 20., 100.])
@pytest.mark.parametrize('weighted', [False, True])
def test_vmf_mean_shift__equals_loop(seed, kappa, weighted):
    rows, _ = caps(seed, num_points=60, dims=6, noise=.2)
    weights = (torch.arange(60) % 7).float() if weighted else None
    options = dict(merge_threshold=.95, weights=weights)
    labels, modes = vmf_mean_shift(
        rows.double(), concentration=kappa, num_iters=500, tolerance=1e-9,
        **options)
    want, kept = mean_shift_loop(rows, kappa, **options)
    assert same_partition(labels, want)
    used = np.unique(want)
    assert len(modes) == len(used)
    # modes of equal density may swap: compare as sets
    cosines = modes.numpy() @ kept[used].T
    assert np.allclose(cosines.max(0), 1, atol=1e-6)


@pytest.mark.parametrize('seed', range(4))
def test_vmf_mean_shift__modes_are_fixed_points(seed):
    rows, truth = caps(seed)
    labels, modes = vmf_mean_shift(
        rows, concentration=20., merge_threshold=.8)
    assert same_partition(labels, truth)
    assert torch.allclose(modes.norm(dim=1), torch.ones(5), atol=1e-6)
    moved, density = vmf_shift(rows, torch.zeros(len(rows)), modes, 20.)
    assert torch.allclose(moved, modes, atol=1e-4)
    assert density.tolist() == sorted(density.tolist(), reverse=True)
    assert torch.equal(labels, (rows @ modes.T).argmax(1))


def test_vmf_shift__density_never_falls():
    rows, _ = caps(0, noise=.4)
    modes, densities = rows[:20], []
    for _ in range(15):
        modes, density = vmf_shift(rows, torch.zeros(len(rows)), modes, 10.)
        densities.append(density)
    rises = torch.stack(densities).diff(dim=0)
    assert (rises > -1e-4).all() and (rises > 1e-3).any()


def test_vmf_shift__log_density_by_hand():
    rows = torch.tensor([[1., 0.], [0., 1.]])
    moved, density = vmf_shift(
        rows, torch.tensor([0., 2.]).log1p(), rows[:1], 2.)
    e = np.exp
    assert np.allclose(density, np.log(e(2.) + 3 * e(0.)))
    want = np.array([e(2.), 3.])
    assert np.allclose(moved, want / np.linalg.norm(want), atol=1e-6)


def test_vmf_mean_shift__small_concentration_is_one_mode():
    rows, _ = caps(1, num_clusters=2)
    rows = normalize(rows + .5, dim=1)
    labels, modes = vmf_mean_shift(
        rows, concentration=.01, merge_threshold=.999)
    assert (labels == 0).all()
    mean = normalize(rows.mean(0), dim=0)
    assert torch.allclose(modes[0], mean, atol=1e-2)


def test_vmf_mean_shift__weights_are_repetitions():
    rows, _ = caps(2, num_points=40)
    areas = torch.arange(40) % 5
    options = dict(concentration=15., merge_threshold=.8)
    labels, modes = vmf_mean_shift(rows, weights=areas, **options)
    pixels = rows.repeat_interleave(areas, 0)
    want, others = vmf_mean_shift(pixels, seeds=rows, **options)
    assert torch.equal(labels.repeat_interleave(areas), want)
    assert torch.allclose(modes, others, atol=1e-4)


def test_vmf_mean_shift__seeds_are_prototypes_of_pixels():
    rows, truth = caps(3, num_points=500)
    seeds = torch.stack([rows[truth == k][:30].mean(0) for k in range(5)])
    # not unit, and one where nothing is
    seeds = torch.cat([seeds, -seeds[:1], torch.zeros(1, 8)])
    labels, modes = vmf_mean_shift(
        rows, concentration=20., merge_threshold=.8, seeds=seeds)
    assert same_partition(labels, truth) and len(modes) == 5
    one = vmf_mean_shift(
        rows, concentration=20., merge_threshold=.8, seeds=seeds[:1])
    assert (one.labels == 0).all() and len(one.modes) == 1


def test_vmf_mean_shift__permutation_equivariant():
    rows, _ = caps(4, noise=.3)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    options = dict(concentration=20., merge_threshold=.9)
    labels = vmf_mean_shift(rows, **options).labels
    moved = vmf_mean_shift(rows[order], **options).labels
    assert same_partition(moved, labels[order])


def test_vmf_mean_shift__merge_threshold():
    rows = normalize(torch.tensor([[1., .3], [1., -.3]]), dim=1)
    cosine = float(rows[0] @ rows[1])
    for threshold, count in ((cosine + .05, 2), (cosine - .05, 1)):
        labels, modes = vmf_mean_shift(
            rows, concentration=200., merge_threshold=threshold)
        assert len(modes) == labels.max() + 1 == count


def test_vmf_mean_shift__far_seeds_do_not_underflow():
    rows, truth = caps(0)
    seeds = torch.cat([rows[:50], -rows[:50]])
    labels, modes = vmf_mean_shift(
        rows, concentration=500., merge_threshold=-.5, seeds=-rows[:3])
    assert modes.isfinite().all() and (labels == 0).all()
    labels, _ = vmf_mean_shift(
        rows, concentration=20., merge_threshold=.8, seeds=seeds)
    assert same_partition(labels, truth)


def test_vmf_mean_shift__opposite_rows_leave_the_seed():
    rows = torch.tensor([[0., 1.], [0., -1.]])
    seed = torch.tensor([[1., 0.]])
    _, modes = vmf_mean_shift(
        rows, concentration=1., merge_threshold=.5, seeds=seed)
    assert torch.equal(modes, seed)


def test_vmf_mean_shift__chunks_do_not_matter(monkeypatch):
    rows, _ = caps(5, noise=.3)
    options = dict(concentration=20., merge_threshold=.9)
    whole = vmf_mean_shift(rows, **options)
    monkeypatch.setattr(vmf_meanshift, 'MAX_SIMILARITIES', 1000)
    parts = vmf_mean_shift(rows, **options)
    assert torch.equal(parts.labels, whole.labels)
    assert torch.allclose(parts.modes, whole.modes, atol=1e-4)


def test_vmf_mean_shift__zero_and_not_finite_rows():
    rows, truth = caps(1)
    rows[3], rows[7, 2], rows[9, 0] = 0, torch.nan, torch.inf
    labels, modes = vmf_mean_shift(
        rows, concentration=20., merge_threshold=.8)
    fine = torch.ones(200).bool()
    fine[[3, 7, 9]] = False
    assert (labels[~fine] == -1).all() and modes.isfinite().all()
    assert same_partition(labels[fine], truth[fine])


@pytest.mark.parametrize('rows, options', [
    (torch.empty(0, 3), {}),
    (torch.zeros(4, 3), {}),
    (torch.eye(3), dict(seeds=torch.empty(0, 3))),
    (torch.eye(3), dict(weights=torch.zeros(3))),
])
def test_vmf_mean_shift__nothing(rows, options):
    labels, modes = vmf_mean_shift(
        rows, concentration=1., merge_threshold=.5, **options)
    assert labels.tolist() == [-1] * len(rows)
    assert labels.dtype == torch.int64 and modes.shape == (0, 3)


def test_vmf_mean_shift__one_row():
    labels, modes = vmf_mean_shift(
        torch.eye(3)[:1], concentration=1., merge_threshold=.5)
    assert labels.tolist() == [0] and torch.equal(modes, torch.eye(3)[:1])


def test_vmf_mean_shift__precision_and_gradient():
    rows, truth = caps(2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        labels, modes = vmf_mean_shift(
            rows.clone().requires_grad_(), concentration=20.,
            merge_threshold=.8)
    assert modes.dtype == torch.float32 and not modes.requires_grad
    assert same_partition(labels, truth)
    half, _ = vmf_mean_shift(
        rows.bfloat16(), concentration=20., merge_threshold=.8)
    assert same_partition(half, truth)


@pytest.mark.parametrize('changes, kind, error', [
    (dict(concentration=0.), ValueError, '`concentration` must be positive'),
    (dict(merge_threshold=2.), ValueError, '`merge_threshold` must be a cos'),
    (dict(num_iters=0), ValueError, '`num_iters` must be at least 1'),
    (dict(tolerance=-1.), ValueError, '`tolerance` must not be negative'),
    (dict(embeddings=torch.ones(3)), ValueError, '`embeddings` must be a'),
    (dict(seeds=torch.ones(2, 4)), ValueError, '`seeds` must have shape'),
    (dict(weights=torch.ones(2)), ValueError, '`weights` must have shape'),
    (dict(weights=-torch.ones(3)), ValueError, '`weights` must be finite'),
    (dict(weights=torch.full((3, ), torch.nan)), ValueError,
     '`weights` must be finite'),
])
def test_vmf_mean_shift__bad_input(changes, kind, error):
    good = dict(embeddings=torch.eye(3), concentration=1.,
                merge_threshold=.5)
    with pytest.raises(kind, match=error):
        vmf_mean_shift(**{**good, **changes})
