"""Time `seed_mean_shift` against MeanShift of scikit-learn, in one run.

Pixels as the discriminative loss leaves them at zero: balls of radius 0.5
with centres more than 3 apart, and some scattered pixels. The adjusted Rand
index (ARI) is that of the pixels in balls against the balls.

Example:
    python benchmarks/meanshift.py --points 5000 --outliers 0.05
"""
import argparse
import statistics
import time
import warnings
from typing import Callable, Tuple

import torch
from sklearn.cluster import MeanShift
from sklearn.metrics import adjusted_rand_score
from torch import Tensor
from torch.nn.functional import normalize

from mmpixsort.functional.instances.meanshift import seed_mean_shift


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--points', type=int, default=5000)
    parser.add_argument('--dims', type=int, default=8)
    parser.add_argument('--clusters', type=int, default=20)
    parser.add_argument('--outliers', type=float, default=0., help='share')
    parser.add_argument('--bandwidth', type=float, default=1.5)
    parser.add_argument('--min-pixels', type=int, default=10)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def balls(num_points: int, dims: int, num_clusters: int,
          outliers: float) -> Tuple[Tensor, Tensor]:
    """Return embeddings (N, D) and balls (N,), 0: scattered."""
    centers = torch.empty(0, dims)
    while len(centers) < num_clusters:
        new = torch.rand(1, dims) * 2 * num_clusters**(1 / dims) * 3
        if not (torch.cdist(new, centers) <= 3).any():
            centers = torch.cat([centers, new])
    labels = torch.randint(num_clusters, (num_points, ))
    radii = .499 * torch.rand(num_points, 1)**(1 / dims)
    offsets = normalize(torch.randn(num_points, dims), dim=1) * radii
    embeddings = centers[labels] + offsets
    scattered = torch.rand(num_points) < outliers
    low, high = centers.min(), centers.max()
    anywhere = torch.rand(num_points, dims) * (high - low) + low
    embeddings = torch.where(scattered[:, None], anywhere, embeddings)
    return embeddings, (labels + 1).masked_fill(scattered, 0)


def seconds(function: Callable, rounds: int, device: str) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        if device != 'cpu':
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    embeddings, truth = balls(args.points, args.dims, args.clusters,
                              args.outliers)
    rows, embeddings = embeddings.numpy(), embeddings.to(args.device)

    def ours():
        return seed_mean_shift(
            embeddings, bandwidth=args.bandwidth,
            min_pixels=args.min_pixels).labels.cpu().numpy()

    def theirs():
        shift = MeanShift(bandwidth=args.bandwidth, bin_seeding=True)
        return shift.fit(rows).labels_ + 1

    warnings.simplefilter('ignore')
    inside = truth.numpy() > 0
    times = []
    for name, function, rounds in (('scikit-learn', theirs, args.rounds),
                                   ('mmpixsort', ours, 5 * args.rounds)):
        labels = function()
        times.append(seconds(function, rounds, args.device))
        score = adjusted_rand_score(truth.numpy()[inside], labels[inside])
        print(f'{name:13} {1e3 * times[-1]:9.1f} ms, '
              f'{labels.max():4d} instances, '
              f'ARI {score:.4f}')
    agreement = adjusted_rand_score(theirs()[inside], ours()[inside])
    print(f'{times[0] / times[1]:.1f} times faster; ARI of one against the '
          f'other {agreement:.4f}')


if __name__ == '__main__':
    main()
