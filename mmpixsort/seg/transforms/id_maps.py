"""Pack and stack maps of ids, which the host does not pad."""
from typing import List

import numpy as np
import torch
from mmengine.structures import PixelData
from torch import Tensor
from torch.nn.functional import pad

from .load_oversegmentation import unshift_ids


def pack_ids(packed: dict, shifted: np.ndarray, name: str) -> dict:
    """Add ids to a data sample as `name` (1, H, W), int64, -1 for no id.

    Args:
        packed: Dict that the host's `PackSegInputs` returned.
        shifted: Shifted ids (H, W), as `unshift_ids` takes them.
        name: Name of the field.
    """
    ids = torch.from_numpy(unshift_ids(shifted))
    if 'inputs' in packed:  # the host's Pad does not pad these maps
        height, width = packed['inputs'].shape[1:]
        ids = pad(ids, (0, width - ids.shape[1], 0, height - ids.shape[0]),
                  value=-1)
    packed['data_samples'].set_data({name: PixelData(data=ids[None])})
    return packed


def stack_ids(data_samples: List, name: str, remedy: str) -> Tensor:
    """Return the ids (B, H, W) of a batch, -1 on padding.

    The preprocessor of the host pads images and labels but not these maps;
    they are padded here by the amounts that it notes.

    Args:
        data_samples: Data samples of the batch.
        name: Name of the field.
        remedy: Advice in the error if a sample has no such field.

    Raises:
        ValueError: If a sample has no such field.
    """
    maps = []
    for sample in data_samples:
        if name not in sample:
            raise ValueError(f'`{name}` must be in every data sample: '
                             f'{remedy}')
        meta = sample.metainfo
        # names of the host, in training and in a test
        padding = meta.get('padding_size',
                           meta.get('img_padding_size', (0, 0, 0, 0)))
        maps.append(pad(sample.get(name).data[0], tuple(padding), value=-1))
    return torch.stack(maps)
