"""Data structures of a case of the suite: its setups and trials."""
from typing import Callable, Dict, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from .equality import Equal

DEVICES = ('cpu', 'cuda')


def no_facts() -> Dict[str, float]:
    """Return no numbers, as most setups have none beside time and memory."""
    return {}


class Trial(NamedTuple):
    """Two functions that compute the same from the same tensors.

    Attributes:
        ours: One step of this package, with its backward pass if it has one.
        peer: The same step of the peer. None means that the step is timed
            without a comparison.
        equals: Function that runs both once and returns the results that
            must be equal.
        facts: Function that returns further numbers by name, such as the
            recall of an index.
        meta: The step of this package on tensors of the meta device, whose
            calls are counted; None counts nothing.
    """

    ours: Callable[[], object]
    peer: Optional[Callable[[], object]]
    equals: Callable[[], Sequence[Equal]]
    facts: Callable[[], Dict[str, float]] = no_facts
    meta: Optional[Callable[[], object]] = None


class Setup(NamedTuple):
    """One size of a case.

    Attributes:
        name: Short name, unique in the case.
        sizes: Description of the sizes for readers.
        build: Function that makes the inputs on a device and returns the
            trial.
        peer: Name of the peer.
        target: Target of the ratio, such as '10x'; '' means that there is
            none.
        scale: Size that grows from setup to setup. The exponent of the time
            is fitted over all setups of a case that have one.
        devices: Devices on which both sides can run.
    """

    name: str
    sizes: str
    build: Callable[[torch.device], Trial]
    peer: str = ''
    target: str = ''
    scale: Optional[float] = None
    devices: Sequence[str] = DEVICES


class Case(NamedTuple):
    """A question with its setups.

    Attributes:
        name: Identifier, such as 'C1'.
        title: What is measured, in a few words.
        setups: Function that returns the setups; with True, tiny ones, which
            only show that everything runs.
        note: Remark that a reader needs to understand the comparison.
        limits: What takes our time, and what was tried to shorten it without
            success; for cases that miss a target.
        timed: Whether the steps are timed; otherwise only calls are counted.
        as_share: Whether `ours` does all that `peer` does and more. Then the
            share of this addition in the step is reported.
        pages: Settings of memory pages with which the case is measured.
    """

    name: str
    title: str
    setups: Callable[[bool], Sequence[Setup]]
    note: str = ''
    limits: str = ''
    timed: bool = True
    as_share: bool = False
    pages: Sequence[str] = ('default', 'huge')


def gradient(tensor: Tensor) -> Tensor:
    """Return a copy of the gradient of a leaf tensor, and clear it."""
    result = tensor.grad.clone()
    tensor.grad = None
    return result
