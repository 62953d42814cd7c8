"""Two processes build the same banks as one does, byte by byte."""
import pytest
import tiny_bank
from apis import bank_jobs
from distributed import run_ranks

from mmpixsort.apis.bank import build_bank
from mmpixsort.apis.instance_bank import build_instance_bank

pytestmark = pytest.mark.ddp


def test_banks__of_two_ranks_equal_those_of_one_byte_by_byte(tmp_path):
    """The fast form of the slow test of tools/dist_build_bank.sh."""
    runs, alone, joint = {}, tmp_path / 'alone', tmp_path / 'joint'
    for kind, save in (('segments', tiny_bank.save_segment_run),
                       ('instances', tiny_bank.save_run)):
        folder = tmp_path / kind
        folder.mkdir()
        save(folder)
        runs[kind] = folder / 'small.py', folder / 'weights.pth'
    alone.mkdir()
    joint.mkdir()
    build_bank(*runs['segments'], alone / 'segments.bank')
    build_instance_bank(*runs['instances'], alone / 'instances.bank')
    wrote = run_ranks(bank_jobs.build, out=joint, **runs)
    assert wrote == [[1, 1], [1, 1]]  # the work was shared
    assert [path.name for path in sorted(joint.iterdir())] == [
        'instances.bank', 'segments.bank']
    for path in joint.iterdir():
        assert path.read_bytes() == (alone / path.name).read_bytes()
