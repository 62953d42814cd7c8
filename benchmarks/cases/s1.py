"""The time of the loss of every shipped config, by its own numbers."""
from functools import lru_cache
from typing import List

import torch

from benchmarks.case import Case, Setup, Trial
from benchmarks.equality import Equal

from .shipped import Shipped, make_step, shipped_losses


def of_config(shipped: Shipped) -> Setup:
    """Return the setup of the numbers of some configs."""

    def build(device: torch.device) -> Trial:
        step = make_step(shipped, device)
        return Trial(step, None, lambda: [
            Equal('two runs', make_step(shipped, device)(),
                  make_step(shipped, device)(), 1e-5)])

    first, *others = shipped.names
    return Setup(first + (f' and {len(others)} more' if others else ''),
                 shipped.text(), build)


def setups(tiny: bool) -> List[Setup]:
    """Return a setup for all configs with the same numbers."""
    found = _found(tiny)
    if tiny:
        return [of_config(one._replace(
            batch=2, crop=(64, 64), grid=(32, 32), head=_small(one.head)))
            for one in found]
    return [of_config(one) for one in found]


@lru_cache(maxsize=None)
def _found(few: bool) -> List[Shipped]:
    return shipped_losses(few)


def _small(head: dict) -> dict:
    bank = head.get('bank')
    if not bank or 'capacity' not in bank:
        return head
    return dict(head, bank=dict(bank, capacity=min(64, bank['capacity'])))


CASE = Case(
    'S1', 'the loss of every shipped config', setups, pages=('default', ),
    note='Time alone: sampling, clustering, loss, gradient and bank on '
    'random maps, without backbone and projection. Full banks.')
