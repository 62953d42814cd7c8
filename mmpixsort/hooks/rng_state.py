"""Read and restore the state of torch's random generators on all ranks.

The states of NumPy and `random` are not needed: when an iteration-based run
resumes, its loader is replayed and draws the same numbers again.
"""
from typing import List

import torch
from mmengine.dist import all_gather_object


def get_rng_state() -> dict:
    """Return the state of torch's generators on this rank."""
    state = dict(cpu=torch.get_rng_state(), cuda=[])
    if torch.cuda.is_available():
        state['cuda'] = [torch.cuda.get_rng_state()]
    return state


def gather_rng_states() -> List[dict]:
    """Return the states of all ranks in order; every rank must call it."""
    return all_gather_object(get_rng_state())


def set_rng_state(state: dict) -> None:
    """Restore a state of this rank, whose tensors may lie on any device."""
    torch.set_rng_state(state['cpu'].cpu())
    if state['cuda'] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'][0].cpu())
