"""Copies from the host to a device."""
import torch

from mmpixsort.utils.transfer import send, send_integers


def test_send__on_a_cpu_nothing_is_copied():
    values = torch.arange(3)
    assert send(values, 'cpu') is values
    assert send(values, 'meta').device.type == 'meta'


def test_send_integers__parts_keep_their_lengths_and_large_numbers():
    parts = send_integers([[3, -1], [], [2**62 - 1]], torch.device('cpu'))
    assert [part.tolist() for part in parts] == [[3, -1], [], [2**62 - 1]]
    assert {part.dtype for part in parts} == {torch.int64}
    assert [part.tolist() for part in send_integers([[], []], 'cpu')] == [
        [], []]
