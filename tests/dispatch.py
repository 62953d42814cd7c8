"""Count what a step asks of the device."""
from collections import Counter

from torch.utils._python_dispatch import TorchDispatchMode

VIEWS = {
    '_reshape_alias', '_unsafe_view', 'alias', 'as_strided', 'detach',
    'diagonal', 'expand', 'permute', 'select', 'slice', 'split',
    'split_with_sizes', 'squeeze', 't', 'transpose', 'unbind', 'unsqueeze',
    'view'
}
# what waits for the device, or does so inside (the last three)
SYNCS = {
    '_local_scalar_dense', 'equal', 'is_nonzero', 'masked_select', 'nonzero',
    'bincount', 'unique', '_unique', '_unique2', 'unique_dim',
    'unique_consecutive', 'repeat_interleave'
}


class CallCounter(TorchDispatchMode):
    """Count aten calls that are not views, and host synchronisations."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.split('::')[1]
        overload = func._overloadname
        self.counts[name] += 1
        if name.startswith('index') and _has_bool_index(args):
            self.counts['nonzero'] += 1
        if name == 'repeat_interleave' and overload == 'self_int':
            self.counts[name] -= 1
        return func(*args, **(kwargs or {}))

    @property
    def calls(self) -> int:
        """Calls other than views."""
        return sum(n for name, n in self.counts.items() if name not in VIEWS)

    @property
    def syncs(self) -> int:
        """Calls that make the host wait."""
        return sum(n for name, n in self.counts.items() if name in SYNCS)


def _has_bool_index(args) -> bool:
    indices = args[1] if len(args) > 1 else ()
    return isinstance(indices, (list, tuple)) and any(
        index is not None and 'bool' in str(index.dtype)
        for index in indices)
