"""Time `spherical_kmeans` against a loop over the images, in one run.

The loop does the same on one image at a time: take the annotated pixels out,
then sum by `scatter_add_`, normalise, multiply and `argmax` in every
iteration. Default sizes: those of training with the released code of SegSort
(maps of stride 8 of 8 crops of 336 pixels).

Example:
    python benchmarks/clustering.py --batch 16 --size 60
"""
import argparse
import statistics
import time
from typing import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from mmpixsort.functional import spherical_kmeans
from mmpixsort.functional.segments.clustering import (grid_labels,
                                                      pixel_locations)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--dims', type=int, default=32)
    parser.add_argument('--size', type=int, default=42, help='H and W')
    parser.add_argument('--grid', type=int, default=5, help='sqrt(K)')
    parser.add_argument('--num-iters', type=int, default=10)
    parser.add_argument('--rounds', type=int, default=25)
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def kmeans_by_image(embeddings: Tensor, valid: Tensor, grid: int,
                    num_iters: int) -> Tensor:
    """Return the clusters (B, H, W), -1 where not valid."""
    size, device = embeddings.shape[2:], embeddings.device
    start = grid_labels(size, (grid, grid), device).flatten()
    places = pixel_locations(size, device=device).flatten(1).T
    result = torch.full_like(valid, -1, dtype=torch.long)
    rows = normalize(embeddings.permute(0, 2, 3, 1), dim=3)
    for b, image in enumerate(rows):
        kept = valid[b].flatten().nonzero().flatten()
        points = normalize(torch.cat([image.flatten(0, 1), places], 1), dim=1)
        points, labels = points[kept], start[kept]
        for _ in range(num_iters):
            index = labels[:, None].expand_as(points)
            sums = points.new_zeros(grid * grid, points.shape[1])
            prototypes = normalize(sums.scatter_add_(0, index, points), dim=1)
            labels = (points @ prototypes.T).argmax(1)
        result[b].view(-1)[kept] = labels
    return result


def seconds(function: Callable, device: str) -> float:
    start = time.perf_counter()
    function()
    if device != 'cpu':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    # neighbours resemble each other, as in the map of a network
    coarse = torch.randn(args.batch, args.dims, *[args.size // 8 + 1] * 2)
    maps = interpolate(coarse, [args.size] * 2, mode='bilinear')
    maps = maps.to(args.device)
    valid = torch.ones_like(maps[:, 0], dtype=torch.bool)
    valid[:, :3, :5] = False

    def loop():
        return kmeans_by_image(maps, valid, args.grid, args.num_iters)

    def batched():
        return spherical_kmeans(
            maps, valid=valid, grid=(args.grid, args.grid),
            num_iters=args.num_iters)

    same = (loop() == batched()).float().mean()
    # in turn, so that both see the same state of the machine
    pairs = [(seconds(loop, args.device), seconds(batched, args.device))
             for _ in range(args.rounds)]
    slow, fast = (statistics.median(times) for times in zip(*pairs))
    print(f'{args.batch} x {args.dims} x {args.size} x {args.size}, '
          f'K = {args.grid ** 2}, {args.num_iters} iterations, '
          f'{args.device}, {torch.get_num_threads()} threads')
    print(f'image by image {slow * 1e3:8.2f} ms')
    print(f'batched        {fast * 1e3:8.2f} ms  {slow / fast:.2f}x, '
          f'same labels {same:.4%}')


if __name__ == '__main__':
    main()
