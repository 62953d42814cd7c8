"""`python -m mmpixsort.plan` states what modules then take.

Sizes are compared with buffers and with what is sent, peaks with those of
real runs. No time is asserted.
"""
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from mmpixsort.banks import ClassQueue, PrototypeQueue
from mmpixsort.plan import sizes
from mmpixsort.plan.__main__ import main
from mmpixsort.plan.dry_run import LiveBytes, dry_run_peak
from mmpixsort.plan.steps import contrast_step, sorting_step
from mmpixsort.plan.times import estimate_ms, interpolate, read_measured
from mmpixsort.retrieval.bank_file import FIELDS, PrototypeBank
from mmpixsort.structures import KeyBlock
from mmpixsort.utils import gather

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the measuring of memory is of the checkout

from benchmarks.memory import RESET, peak_extra_mb  # noqa: E402

MEGABYTE = 1 << 20
# a measured peak over the planned one: the allocator holds more than tensors
LEAST, MOST, SLACK_MB = .9, 1.6, 4.
CONFIG = ('configs/pixel_contrast/pixel-contrast_fcn-hr48-memory_4xb2-40k_'
          'cityscapes-512x1024.py')
SEGSORT = ('configs/segsort/segsort_pspnet-r101-d8_1xb8-30k_voc12aug-'
           '336x336.py')
NUMBERS = ['--classes', '3', '--capacity', '5', '--dims', '8', '--anchors',
           '12']


def num_bytes(tensors):
    return sum(t.numel() * t.element_size() for t in tensors)


# ----------------------------------------------------------------- sizes


@pytest.mark.parametrize('dtype', ['float32', 'float16', 'bfloat16'])
@pytest.mark.parametrize('num_sections', [1, 2])
def test_class_queue__is_as_large_as_its_buffers(dtype, num_sections):
    options = dict(num_classes=19, capacity=50, embed_dims=24,
                   num_sections=num_sections, dtype=dtype)
    assert sizes.class_queue_bytes(**options) == num_bytes(
        ClassQueue(**options).buffers())


def test_class_queue__of_the_released_configuration():
    options = dict(num_classes=19, capacity=5000, embed_dims=256,
                   num_sections=2)
    with torch.device('meta'):
        queue = ClassQueue(**options)
    assert sizes.class_queue_bytes(**options) == num_bytes(queue.buffers())


@pytest.mark.parametrize('num_iterations', [None, 2])
def test_prototype_queue__is_as_large_as_its_buffers(num_iterations):
    queue = PrototypeQueue(capacity=70, embed_dims=24,
                           num_iterations=num_iterations)
    assert sizes.prototype_queue_bytes(
        capacity=70, embed_dims=24) == num_bytes(queue.buffers())


@pytest.mark.parametrize('dtype', ['float16', 'float32'])
def test_prototype_bank__is_as_large_as_its_tensors(dtype):
    tensors = {
        name: torch.zeros(13, 4 if name == 'boxes' else 1, dtype=kind)
        .squeeze(1) for name, kind in FIELDS.items() if kind}
    features = torch.zeros(13, 24, dtype=getattr(torch, dtype))
    bank = PrototypeBank(features=features, **tensors, meta={})
    assert sizes.prototype_bank_bytes(
        num_rows=13, embed_dims=24, dtype=dtype) == num_bytes(
            bank.tensors().values())


@pytest.fixture
def traffic(monkeypatch):
    """Three ranks that send the same; the log of what is exchanged."""
    log = dict(received=0, reduced=[])

    def all_gather(rows):
        log['received'] += 2 * num_bytes([rows])
        return [rows] * 3

    def all_reduce(values, op):
        log['reduced'].append(num_bytes([values]))

    monkeypatch.setattr(gather, 'get_world_size', lambda: 3)
    monkeypatch.setattr(gather, 'get_rank', lambda: 1)
    monkeypatch.setattr(gather, 'all_gather', all_gather)
    monkeypatch.setattr(gather, 'all_reduce', all_reduce)
    return log


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_received__is_what_a_class_queue_gathers(traffic, dtype):
    rows = sizes.queue_rows(num_images=2, num_classes=4, num_pixels=3)
    queue = ClassQueue(num_classes=4, capacity=9, embed_dims=8, dtype=dtype)
    queue.enqueue(torch.ones(rows, 8), torch.zeros(rows).long())
    assert traffic['received'] == sizes.received_bytes(
        num_rows=rows, embed_dims=8, ranks=3, dtype=dtype)


def test_queue_rows__are_those_of_a_batch():
    from mmpixsort.functional import pixels_and_regions
    rows = pixels_and_regions(
        torch.rand(2, 8, 4, 4), torch.zeros(2, 4, 4).long(), num_classes=5,
        num_pixels=3)
    assert len(rows.labels) == sizes.queue_rows(
        num_images=2, num_classes=5, num_pixels=3)


def test_received_and_reduced__are_what_segment_sorting_exchanges(traffic):
    rows = torch.rand(7, 8, requires_grad=True)
    gathered = gather.gather_rows(rows), gather.gather_rows(torch.zeros(
        7, dtype=torch.int64))
    assert traffic['received'] == sizes.received_bytes(
        num_rows=7, embed_dims=8, ranks=3)
    gathered[0].sum().backward()
    assert traffic['reduced'] == [3 * 7 * 8 * sizes.FLOAT]


# ----------------------------------------------------------------- peaks


STEPS = {
    'a bank': partial(contrast_step, num_classes=19, capacity=500,
                      embed_dims=64, num_anchors=256),
    'a half bank': partial(contrast_step, num_classes=5, capacity=2000,
                           embed_dims=64, num_anchors=256, dtype='bfloat16'),
    'the batch': partial(contrast_step, num_classes=19, capacity=0,
                         embed_dims=256, num_anchors=1024),
    'all ranks': partial(contrast_step, num_classes=4, capacity=50,
                         embed_dims=64, num_anchors=300, num_gathered=900),
    'the bank alone': partial(
        contrast_step, num_classes=4, capacity=500, embed_dims=64,
        num_anchors=300, with_batch=False),
    'segments': partial(sorting_step, num_segments=200, capacity=400,
                        embed_dims=64, num_anchors=8192)
}


@pytest.mark.parametrize('name', STEPS)
def test_dry_run__has_the_peak_of_the_tensors(name, one_thread):
    step = STEPS[name](fill=True)
    with LiveBytes() as live:
        step()
    assert dry_run_peak(STEPS[name], 'cpu') == live.peak > 0


def measured_peak(name):
    """Return the peak of a step in MB, in a process without a history."""
    torch.set_num_threads(1)

    def prepare():
        STEPS[name](fill=True)()  # loads what a library loads once
        return STEPS[name](fill=True)

    return peak_extra_mb(prepare, 'cpu')


@pytest.mark.skipif(not RESET.exists(), reason='only Linux tells the peak')
@pytest.mark.parametrize('name', STEPS)
def test_dry_run__is_near_the_measured_peak(name, one_thread):
    planned = dry_run_peak(STEPS[name], 'cpu') / MEGABYTE
    tests = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, '-c', 'import test_plan\n'
         f'print(test_plan.measured_peak({name!r}))'], cwd=tests,
        env=dict(os.environ, PYTHONPATH=f'{tests.parent}{os.pathsep}{tests}'),
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measured = float(done.stdout.split()[-1])
    assert LEAST * planned - 1 <= measured <= MOST * planned + SLACK_MB


def test_dry_run__needs_no_memory_for_its_inputs():
    step = partial(contrast_step, num_classes=1000, capacity=100_000,
                   embed_dims=256, num_anchors=2)  # 205 GB
    assert dry_run_peak(step, 'cuda') > 0


def test_live_bytes__counts_what_lives_and_no_view():
    given = torch.ones(10, 10)
    with LiveBytes() as live:
        made = given + 1
        made.view(-1)[0] = 3.
        del made
        (given + 2).sum()
    assert live.peak == 404


@pytest.mark.gpu
@pytest.mark.parametrize('name', STEPS)
def test_dry_run__is_near_the_peak_of_a_gpu(name):
    with torch.device('cuda'):
        step = STEPS[name]()
    step()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    measured = torch.cuda.max_memory_allocated() - before
    planned = dry_run_peak(STEPS[name], 'cuda')
    assert LEAST * planned <= measured <= MOST * planned + SLACK_MB * MEGABYTE


def test_steps__compare_with_what_a_head_compares():
    seen = []

    class Loss(torch.nn.Module):
        def forward(self, anchors, labels, blocks, own_key):
            seen.extend(blocks)
            return anchors.sum()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmpixsort.plan.steps.PixelContrastLoss', Loss)
        contrast_step(num_classes=2, capacity=3, embed_dims=4, num_anchors=5,
                      num_gathered=10, fill=True)()
    assert all(isinstance(block, KeyBlock) for block in seen)
    assert [tuple(block.keys.shape) for block in seen] == [
        (5, 4), (10, 4), (2, 6, 4)]
    assert (seen[-1].labels >= 0).all()
    assert torch.allclose(seen[-1].keys.norm(dim=2), torch.ones(2, 6))


# ----------------------------------------------------------------- times


def measured_file(path, **curves):
    data = dict(format=1, machine=dict(cpu='a CPU'), curves=curves)
    path.write_text(json.dumps(data))
    return path


def points(*pairs):
    return [dict(size=size, ms=ms) for size, ms in pairs]


def test_interpolate__goes_through_the_points():
    found = [(10, 2.), (100, 8.), (1000, 100.)]
    for size, time in found:
        assert interpolate(found, size) == pytest.approx(time)
        assert interpolate(found[::-1], size) == pytest.approx(time)
    assert interpolate(found, 5000) > 100. > interpolate(found, 900)
    assert interpolate(found, 5) < 2.
    assert interpolate([(10, 2.)], 30) == pytest.approx(6.)


def test_estimate__scales_anchors_and_dims(tmp_path):
    path = measured_file(
        tmp_path / 'scale.json',
        bank=dict(fixed=dict(num_anchors=100, embed_dims=64),
                  points=points((10, 1.), (100, 10.))),
        dims=dict(fixed={}, points=points((32, 3.), (64, 4.))))
    measured = read_measured(path)
    assert estimate_ms(measured, 'bank', 50, embed_dims=32,
                       num_anchors=200) == pytest.approx(5 * 2 * 3 / 4)
    assert estimate_ms(measured, 'segments', 50, embed_dims=32) is None
    assert estimate_ms(None, 'bank', 50, embed_dims=32) is None
    del measured['curves']['dims']
    assert estimate_ms(measured, 'bank', 50, embed_dims=32,
                       num_anchors=200) is None


# ----------------------------------------------------------- the command


def test_command__states_memory_and_time(tmp_path, capsys):
    path = measured_file(
        tmp_path / 'scale.json',
        bank=dict(fixed=dict(num_anchors=12, embed_dims=8),
                  points=points((10, 1.), (100, 10.))),
        retrieval=dict(fixed=dict(num_queries=144, embed_dims=8),
                       points=points((100, 20.), (1000, 200.))))
    assert main([*NUMBERS, '--ranks', '4', '--retrieval-rows', '2000',
                 '--measured', str(path)]) == 0
    shown = capsys.readouterr().out
    bank = sizes.class_queue_bytes(num_classes=3, capacity=5, embed_dims=8)
    assert f'{bank} bytes' in shown or f'{bank / 1e3:.1f} kB' in shown
    assert '66 rows for the bank' in shown  # 2 images, 3 classes, 10 + 1
    assert '4.2 ms' in shown and 'between measured points' in shown
    assert '400 ms' in shown and 'beyond measured points' in shown
    assert 'GPU' in shown and 'not measured' in shown
    assert 'one thread of a CPU' in shown
    assert main([*NUMBERS, '--scope', 'bank', '--measured', str(path)]) == 0
    assert '30 keys, between' in capsys.readouterr().out


def test_command__says_where_no_times_are(monkeypatch, capsys):
    monkeypatch.setattr('mmpixsort.plan.times.MEASURED', Path('no_such_file'))
    assert main(NUMBERS) == 0
    shown = capsys.readouterr().out
    assert 'python -m benchmarks.scale' in shown and ' ms ' not in shown


def test_command__reads_a_config(capsys, monkeypatch):
    pytest.importorskip('mmseg')
    monkeypatch.chdir(ROOT)
    assert main([CONFIG, '--ranks', '2', '--gather', '--scope',
                 'batch_and_bank']) == 0
    shown = capsys.readouterr().out
    # 194,561,328 bytes: 19 classes, 2 x 5000 slots, 256 dims
    assert '194.6 MB' in shown and '38 anchors, 2 images' in shown
    assert '418 rows for the bank and 38 anchors' in shown
    assert main([CONFIG, '--capacity', '1000']) == 0  # the option wins
    assert '38.9 MB' in capsys.readouterr().out
    assert main([SEGSORT, '--anchors', '14112']) == 0
    assert '800 segments, queue of 400' in capsys.readouterr().out


@pytest.mark.parametrize('words, errors', [
    ([], ['--classes', '--capacity', '--dims', 'number of classes']),
    (['--method', 'segsort', '--dims', '4'],
     ['--segments', '--anchors', 'height x width']),
    ([*NUMBERS, '--ranks', '0'], ['`--ranks` must be at least 1, got 0']),
    ([*NUMBERS, '--scope', 'bank', '--gather'],
     ['`--gather` needs keys of the batch']),
    ([*NUMBERS, '--scope', 'bank', '--capacity', '0'],
     ['`--capacity` must be above 0']),
    ([*NUMBERS, '--measured', 'no_such_file'],
     ['no_such_file', 'python -m benchmarks.scale']),
    ([*NUMBERS, '--measured', str(ROOT / 'benchmarks/results/cpu.json')],
     ['must be a file of measured points', 'cpu.json']),
    (['no_such_file.py'], ['no_such_file.py', 'does not exist']),
    ([str(ROOT / 'configs/plain/plain_fcn-mnv2_1xb4-600it_street-scenes.py')],
     ['PixelContrastHead or SegSortHead', '--classes'])
])
def test_command__says_what_is_wrong(words, errors):
    pytest.importorskip('mmseg')
    with pytest.raises(SystemExit) as raised:
        main(words)
    for error in errors:
        assert error in str(raised.value)


def test_command__explains(capsys):
    with pytest.raises(SystemExit):
        main(['--help'])
    assert '--classes 19 --capacity 5000 --dims 256' in capsys.readouterr().out
