"""Loading of banks from checkpoints."""
from typing import List

from torch import nn


class WholeState(nn.Module):
    """A module that loads either all or none of its buffers.

    PyTorch loads each buffer by itself. If only some of them fitted, the
    number of filled slots would not belong to the stored keys.
    """

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              local_metadata: dict, strict: bool,
                              missing_keys: List[str],
                              unexpected_keys: List[str],
                              error_msgs: List[str]) -> None:
        own = {prefix + k: v.shape for k, v in self.state_dict().items()}
        saved = {k: state_dict[k].shape for k in own if k in state_dict}
        if saved and saved != own:
            for name in saved:
                del state_dict[name]
            error_msgs.append(
                f'the queue `{prefix[:-1]}` has shapes {own}, but the '
                f'checkpoint has {saved}: none of its buffers is loaded')
        super()._load_from_state_dict(state_dict, prefix, local_metadata,
                                      strict, missing_keys, unexpected_keys,
                                      error_msgs)
