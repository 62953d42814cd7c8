"""Loading of banks from checkpoints."""
from typing import List

from torch import nn


def drop_unless_whole(bank: nn.Module, state_dict: dict, prefix: str,
                      error_msgs: List[str]) -> None:
    """Drop what a checkpoint has of a bank unless all of it fits.

    PyTorch loads key by key, and a fill without its keys would lie.

    Args:
        bank: That loads.
        state_dict: Of the checkpoint; changed in place.
        prefix: Of the bank in it.
        error_msgs: Gets a line where something was dropped.
    """
    own = {prefix + k: v.shape for k, v in bank.state_dict().items()}
    saved = {k: state_dict[k].shape for k in own if k in state_dict}
    if saved == own:
        return
    for name in saved:
        del state_dict[name]
    if saved:
        error_msgs.append(
            f'the queue `{prefix[:-1]}` has shapes {own}, the checkpoint '
            f'{saved}: nothing of it is loaded')
