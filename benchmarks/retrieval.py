"""Time exact retrieval against a full sort, and FAISS, in one run.

Example:
    python benchmarks/retrieval.py --rows 1000000 --dims 64 --queries 144
"""
import argparse
import time

import torch
from torch.nn.functional import normalize

from mmpixsort.functional import nearest_keys
from mmpixsort.retrieval import build_index, recall_at_k


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', type=int, default=1_000_000)
    parser.add_argument('--dims', type=int, default=64)
    parser.add_argument('--queries', type=int, default=144)
    parser.add_argument('--num-neighbors', type=int, default=21)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument(
        '--faiss', nargs='*', default=[], metavar='KIND',
        help='also flat, ivf, sq')
    return parser.parse_args()


def median_seconds(function, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    keys = normalize(torch.randn(args.rows, args.dims), dim=1)
    queries = normalize(torch.randn(args.queries, args.dims), dim=1)
    k = args.num_neighbors
    full = median_seconds(
        lambda: (queries @ keys.T).argsort(1, descending=True)[:, :k], 1)
    print(f'{args.rows} x {args.dims}, {args.queries} queries, k = {k}, '
          f'{torch.get_num_threads()} threads')
    print(f'full sort      {full * 1e3:9.1f} ms')
    own = median_seconds(
        lambda: nearest_keys(queries, keys, num_neighbors=k), args.rounds)
    print(f'nearest_keys   {own * 1e3:9.1f} ms  {full / own:6.1f}x')
    for kind in args.faiss:
        index = build_index(keys, kind=kind)
        seconds = median_seconds(
            lambda: index.search(queries, k), args.rounds)
        recall = recall_at_k(index, keys, num_neighbors=k)
        print(f'faiss {kind:<8} {seconds * 1e3:9.1f} ms  '
              f'{full / seconds:6.1f}x  recall {recall:.4f}')


if __name__ == '__main__':
    main()
