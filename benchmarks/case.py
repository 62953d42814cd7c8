"""What a case of the suite consists of."""
from typing import Callable, Dict, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from .equality import Equal

DEVICES = ('cpu', 'cuda')


def no_facts() -> Dict[str, float]:
    """Return nothing: most setups have no numbers beside time and memory."""
    return {}


class Trial(NamedTuple):
    """Two sides that compute the same from the same tensors.

    Attributes:
        ours: One step of this package, with its backward pass if it has one.
        peer: The same step of the peer; None: there is none, and the step is
            only timed.
        equals: Runs both sides once and returns what must be equal.
        facts: Further numbers by name, such as the recall of an index.
        meta: The step of this package on tensors of the meta device, of which
            only the calls are counted; None: not counted.
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
        sizes: The sizes, as a reader wants them.
        build: Makes the inputs on a device and returns the trial.
        peer: Name of the peer.
        target: Target of the ratio, such as '10x'; '': none.
        scale: The size that grows from setup to setup; the exponent of the
            time is fitted over all setups of a case that have one.
        devices: Devices that both sides run on.
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
        name: Identifier, 'C1'.
        title: What is measured, in a few words.
        setups: Returns the setups; True asks for tiny ones, whose only use is
            to see that everything runs.
        note: What a reader must know about the comparison.
        timed: Whether the steps are timed; else only their calls count.
        as_share: Whether `ours` is `peer` and more, so that the share of the
            step that ours adds is reported beside the ratio.
        pages: Settings of the pages that it is measured with.
    """

    name: str
    title: str
    setups: Callable[[bool], Sequence[Setup]]
    note: str = ''
    timed: bool = True
    as_share: bool = False
    pages: Sequence[str] = ('default', 'huge')


def gradient(tensor: Tensor) -> Tensor:
    """Return a copy of the gradient of a leaf and clear it."""
    result = tensor.grad.clone()
    tensor.grad = None
    return result
