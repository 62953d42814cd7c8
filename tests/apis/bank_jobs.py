"""What each process does in the test of banks that two of them build.

A started process imports this by name; it could not import a test module.
"""
from calls import count_calls

from mmpixsort.apis import bank, instance_bank

# Modules, and the function by which each writes a part.
WRITERS = ((bank, 'write_part'), (instance_bank, 'save_tensors'))


def build(rank, segments, instances, out):
    """Build a bank of segments and one of instances, as each rank does.

    Args:
        rank: Number of this process.
        segments: Config and checkpoint of a segmentor.
        instances: Config and checkpoint of a detector.
        out: Folder for the banks.

    Returns:
        How many parts of each bank this process has written.
    """
    wrote = [count_calls(*writer) for writer in WRITERS]
    bank.build_bank(*segments, out / 'segments.bank')
    instance_bank.build_instance_bank(*instances, out / 'instances.bank')
    return [len(calls) for calls in wrote]
