"""DDP for processes without a GPU."""
from typing import Optional, Sequence

from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch import nn


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's DDP with BN in place of SyncBN and without device ids.

    Args:
        module: The model; changed in place.
        device_ids: The Runner gives them; there is no device, so they are
            not used.
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
