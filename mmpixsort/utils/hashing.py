"""Fingerprints of weights and settings that embeddings depend on."""
import hashlib
import json
from typing import Any, Iterable, Mapping, Optional, Tuple

from torch import Tensor, nn

# attributes of a data preprocessor that affect the pixels of an image
BUFFERS = ('mean', 'std')
FLAGS = ('channel_conversion', '_channel_conversion', '_enable_normalize')


def weights_fingerprint(named: Iterable[Tuple[str, Tensor]],
                        preprocessor: Optional[nn.Module] = None) -> str:
    """Return a fingerprint of weights and of the preparation of images.

    It has 32 hex digits.

    Args:
        named: Names and tensors that a result depends on, such as the items
            of a state dict.
        preprocessor: Data preprocessor of the host. Its mean, standard
            deviation and colour order are part of the fingerprint, as they
            change the embeddings. None leaves them out.

    Example:
        >>> import torch
        >>> tower = nn.Linear(2, 2)
        >>> before = weights_fingerprint(tower.state_dict().items())
        >>> tower.bias.data += 1
        >>> weights_fingerprint(tower.state_dict().items()) == before
        False
    """
    digest = hashlib.sha256()
    for name, value in sorted(named):
        digest.update(f'{name} {tuple(value.shape)}'.encode())
        digest.update(value_bytes(value))
    if preprocessor is not None:
        digest.update(json.dumps(_preparation(preprocessor)).encode())
    return digest.hexdigest()[:32]


def value_bytes(value: Tensor) -> bytes:
    """Return the bytes of a tensor as float32, from any device."""
    return value.detach().float().cpu().contiguous().numpy().tobytes()


def _preparation(preprocessor: nn.Module) -> Mapping[str, Any]:
    found = {}
    for name in BUFFERS:
        value = getattr(preprocessor, name, None)
        if isinstance(value, Tensor):
            found[name] = value.flatten().tolist()
    for name in FLAGS:
        value = getattr(preprocessor, name, None)
        if value is not None:
            found[name] = value
    return found


def settings_hash(settings: Any) -> str:
    """Return a fingerprint of settings, with 32 hex digits."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
