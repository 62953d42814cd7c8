"""Time the discriminative loss against the plain expression, in one run.

The plain one writes the equations down with index_add and indexing and
leaves the gradient to autograd, without a loop over instances either. The
last line is the exponent of the time in the number of instances.

Example:
    python benchmarks/discriminative.py --height 512 --width 1024 --dims 16
"""
import argparse
import math
import statistics
import time
from typing import Callable

import torch
from torch import Tensor

from mmpixsort.functional import discriminative_loss


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--dims', type=int, default=16)
    parser.add_argument('--height', type=int, default=512)
    parser.add_argument('--width', type=int, default=1024)
    parser.add_argument(
        '--instances', type=int, nargs='+', default=[20, 200])
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--forward', action='store_true', help='without the gradient')
    return parser.parse_args()


def plain_loss(maps: Tensor, ids: Tensor, count: int) -> Tensor:
    """Pull, push and 0.001 reg of ids 0 .. count - 1, mean over images."""
    batch, dims = maps.shape[:2]
    rows = maps.flatten(2).transpose(1, 2).reshape(-1, dims)
    first = count * torch.arange(batch, device=ids.device)
    slots = (ids + first[:, None, None]).flatten()
    areas = torch.bincount(slots, minlength=batch * count).clamp(min=1)
    means = rows.new_zeros(batch * count, dims).index_add(0, slots, rows)
    means = means / areas[:, None]
    hinge = ((rows - means[slots]).norm(dim=1) - .5).clamp(min=0).square()
    pull = rows.new_zeros(batch * count).index_add(0, slots, hinge) / areas
    near = (3 - torch.cdist(*[means.view(batch, count, dims)] * 2)).clamp(
        min=0).square()
    others = ~torch.eye(count, dtype=torch.bool, device=ids.device)
    push = near[:, others].mean()
    return pull.mean() + push + .001 * means.norm(dim=1).mean()


def own_loss(maps: Tensor, ids: Tensor, count: int) -> Tensor:
    pull, push, reg, _ = discriminative_loss(
        maps, ids, background='instance', num_ids=count)
    return (pull + push + .001 * reg).mean()


def instance_map(args: argparse.Namespace, count: int) -> Tensor:
    """Blocks, as instances are, of all ids."""
    side = 2**int(math.log2(math.sqrt(args.height * args.width / count)) - 1)
    size = args.batch, args.height // side, args.width // side
    ids = torch.arange(math.prod(size)).view(size) % count
    return ids.repeat_interleave(side, 1).repeat_interleave(side, 2)


def seconds(step: Callable, device: str) -> float:
    start = time.perf_counter()
    step()
    if device != 'cpu':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    maps = torch.randn(args.batch, args.dims, args.height, args.width,
                       device=args.device, requires_grad=not args.forward)
    what = 'forward' if args.forward else 'forward and backward'
    print(f'{tuple(maps.shape)}, {args.device}, '
          f'{torch.get_num_threads()} threads, {what}')
    own_times = []
    for count in args.instances:
        ids = instance_map(args, count).to(args.device)

        def step(loss):
            maps.grad = None
            value = loss(maps, ids, count)
            if not args.forward:
                value.backward()
            return value.item()

        gap = abs(step(plain_loss) / step(own_loss) - 1)
        pairs = [(seconds(lambda: step(plain_loss), args.device),
                  seconds(lambda: step(own_loss), args.device))
                 for _ in range(args.rounds)]
        slow, fast = (statistics.median(times) for times in zip(*pairs))
        own_times.append(fast)
        print(f'{count:5d} instances: plain {slow * 1e3:7.1f} ms, own '
              f'{fast * 1e3:7.1f} ms, {slow / fast:.1f}x, same to {gap:.0e}')
    growth = math.log(own_times[-1] / own_times[0]) / math.log(
        args.instances[-1] / args.instances[0])
    print(f'exponent {growth:.2f}')


if __name__ == '__main__':
    main()
