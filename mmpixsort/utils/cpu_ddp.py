"""Distributed data parallel (DDP) training without a GPU."""
from typing import Optional, Sequence

from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch import nn


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """The DDP wrapper of mmengine, for models on the CPU.

    SyncBN, which needs a GPU, is replaced by BN.

    Args:
        module: Model to wrap. Its SyncBN layers are replaced in place.
        device_ids: Ignored; the Runner always passes it.
        broadcast_buffers: As in torch.
        find_unused_parameters: As in torch.
    """

    def __init__(self,
                 module: nn.Module,
                 *,
                 device_ids: Optional[Sequence[int]] = None,
                 broadcast_buffers: bool = False,
                 find_unused_parameters: bool = False) -> None:
        super().__init__(
            revert_sync_batchnorm(module),
            broadcast_buffers=broadcast_buffers,
            find_unused_parameters=find_unused_parameters)
