"""State of torch's random numbers on all ranks, as checkpoints can hold it.

Only torch's: what a loader draws from numpy and random is drawn again when
an iteration-based run resumes, because its loader is replayed.
"""
from typing import List

import torch
from mmengine.dist import all_gather_object


def get_rng_state() -> dict:
    """Return the state of this rank."""
    state = dict(cpu=torch.get_rng_state(), cuda=[])
    if torch.cuda.is_available():
        state['cuda'] = [torch.cuda.get_rng_state()]
    return state


def gather_rng_states() -> List[dict]:
    """Return the state of every rank, in order; a collective call."""
    return all_gather_object(get_rng_state())


def set_rng_state(state: dict) -> None:
    """Restore the state of one rank; a checkpoint may lie on a device."""
    torch.set_rng_state(state['cpu'].cpu())
    if state['cuda'] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'][0].cpu())
