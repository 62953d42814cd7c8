"""The benchmark suite runs, refuses what is not to be trusted, and goes on.

No time is asserted: clocks are fakes here.
"""
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the suite belongs to the checkout

from benchmarks.__main__ import main  # noqa: E402
from benchmarks.case import Case  # noqa: E402
from benchmarks.cases import NAMES, load_case  # noqa: E402
from benchmarks.cases.s1 import setups as shipped_setups  # noqa: E402
from benchmarks.clocks import Clock, cpu_seconds  # noqa: E402
from benchmarks.environment import code_version, machine  # noqa: E402
from benchmarks.equality import (Equal, UnequalResults,  # noqa: E402
                                 check_equal)
from benchmarks.memory import (RESET, MemoryMeasurementFailed,  # noqa: E402
                               peak_extra_mb)
from benchmarks.page import page_text  # noqa: E402
from benchmarks.peers.libraries import library  # noqa: E402
from benchmarks.protocol import Plan, measure  # noqa: E402
from benchmarks.results import (new_results, open_results,  # noqa: E402
                                read_results, write_results)
from benchmarks.runner import CaseFailed, Settings, run_cases  # noqa: E402
from benchmarks.worker import measure_case  # noqa: E402

CPU = torch.device('cpu')
RESULTS = Path('benchmarks/results/cpu.json')
NEEDS = {'C4': 'pytorch_metric_learning', 'C7': 'pytorch_metric_learning',
         'M1': 'sklearn', 'R2': 'faiss', 'R3': 'faiss', 'T1': 'mmseg',
         'I1': 'mmseg', 'S1': 'mmdet'}


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """The suite runs on one thread."""


def tiny(name):
    """The tiny setups of a case, or a skip where a peer is missing."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], exc_type=ImportError)
    return load_case(name).setups(True)


def still(function):
    """A clock that stands still, but runs what it measures."""
    function()
    return 1.


def quiet(text):
    """Say nothing."""


# ---------------------------------------------------------------- cases


@pytest.mark.parametrize('name', NAMES)
def test_case__runs_at_a_tiny_size(name):
    tiny(name)
    case = load_case(name)
    assert case.name == name and case.title
    result = measure_case(
        case, device='cpu', plan=Plan(2, 0.), pages='default', tiny=True,
        clock=still, report=quiet)
    names = [setup['name'] for setup in result['setups']]
    assert len(set(names)) == len(names) > 0
    for setup in result['setups']:
        assert setup['equal'] and setup['calls']['ours']['calls'] >= 0
        assert ('times' in setup) == case.timed
        if case.timed and setup['peer']:
            assert setup['times']['ratio'] == 1.
        if case.timed and RESET.exists():
            assert setup['memory']['ours'] >= 0
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize('name', NAMES)
def test_case__says_so_when_a_result_is_wrong(name):
    for setup in tiny(name)[:2]:
        found = setup.build(CPU).equals()
        check_equal(name, found)
        for i, equal in enumerate(found):
            wrong = equal.ours.clone()
            wrong.view(-1)[-1] += 1
            spoilt = [*found]
            spoilt[i] = equal._replace(ours=wrong)
            with pytest.raises(UnequalResults, match=equal.what):
                check_equal(name, spoilt)


def test_case__is_not_timed_when_a_function_is_wrong(monkeypatch):
    case = load_case('C4')
    module = sys.modules['benchmarks.cases.c4']
    right = module.PixelContrastLoss
    monkeypatch.setattr(module, 'PixelContrastLoss', lambda **given: right(
        **{**given, 'temperature': .2}))

    def clock(function):
        raise AssertionError('nothing may be timed')

    with pytest.raises(UnequalResults, match='C4, tiny: loss must be equal'):
        measure_case(case, device='cpu', plan=Plan(2, 0.), pages='huge',
                     tiny=True, clock=clock, report=quiet)


@pytest.mark.slow
def test_shipped__every_config_has_a_step():
    pytest.importorskip('mmdet')
    setups = shipped_setups(False)
    text = ' '.join(setup.name for setup in setups)
    for method in ('pixel-contrast', 'segsort', 'discriminative',
                   'panoptic-segsort', 'textgroup'):
        assert method in text
    memory = [setup for setup in setups if 'hr48-memory' in setup.name]
    assert 'max_views 1' in memory[0].sizes
    assert 'capacity 5000' in memory[0].sizes
    assert 'map 128 x 256' in memory[0].sizes


def test_equal__compares_shapes_and_what_is_not_finite():
    ones = torch.ones(2)
    with pytest.raises(UnequalResults, match='differs by inf'):
        check_equal('C1', [Equal('loss', torch.ones(3), ones, 1.)])
    with pytest.raises(UnequalResults):
        check_equal('C1', [Equal('loss', ones * float('nan'), ones, 1.)])
    with pytest.raises(UnequalResults, match='nothing is compared'):
        check_equal('C1', [])
    labels = torch.tensor([0, 1, 2, 3])
    other = torch.tensor([0, 1, 2, 4])
    assert check_equal('K1', [Equal('labels', labels, other, .3)]) == {
        'labels': .25}


# ------------------------------------------------------------- protocol


def scripted(times):
    """A clock that tells these seconds in each of three rounds.

    Two warm-ups come before them, in every attempt.
    """
    ticks = itertools.cycle([1., 1.] + 3 * times)
    return lambda function: next(ticks)


def ours():
    """Stand for a function of this package."""


def peer():
    """Stand for a function of a peer."""


def run(clock, said, **plan):
    return measure(ours, peer, clock=clock, plan=Plan(**plan),
                   report=said.append)


def test_measure__ratio_of_a_steady_machine():
    # A B B A, then A A A A
    result = run(scripted([1., 2., 2., 1.] + [1.] * 4), [], pairs=6)
    assert result == dict(ours_ms=1e3, peer_ms=2e3, ratio=2., low=2.,
                          high=2., control=1., pairs=6)


def test_measure__drift_that_hits_both_alike_cancels():
    ticks = itertools.count()
    result = run(lambda function: (2. if function is peer else 1.)
                 * 1.02**next(ticks), [], pairs=20, seconds=1e9)
    assert result['ratio'] == pytest.approx(2, rel=1e-3)


def test_measure__refuses_when_the_control_is_off():
    said = []
    # the second and third place of every round are slower, whoever runs
    result = run(scripted([1., 2.4, 2.4, 1.] + [1., 1.2, 1.2, 1.]), said,
                 pairs=6, attempts=2)
    assert result == dict(refused=pytest.approx(1.2))
    assert len(said) == 2 and 'not steady' in said[0]


def test_measure__tries_again():
    said = []
    bad = [1., 2., 2., 1.] + [1., 1.2, 1.2, 1.]
    good = [1., 2., 2., 1.] + [1.] * 4
    warm = [1., 1.]
    ticks = iter(warm + bad * 3 + warm + good * 3)
    result = run(lambda function: next(ticks), said, pairs=6)
    assert result['ratio'] == 2. and len(said) == 1


def test_measure__interval_covers_the_median():
    noise = itertools.cycle([1., 1.02, .99, 1.01, .98, 1., 1.03])
    result = run(lambda function: (3. if function is peer else 1.)
                 * next(noise), [], pairs=30, seconds=1e9)
    assert result['low'] < result['ratio'] < result['high']
    assert result['high'] - result['low'] < .5


def test_measure__stops_at_its_seconds_but_not_before_three_rounds():
    ticks = itertools.count()
    result = measure(ours, peer, clock=lambda function: 1.,
                     plan=Plan(pairs=100, seconds=5.),
                     now=lambda: float(next(ticks)), report=quiet)
    assert 6 <= result['pairs'] < 20
    result = measure(ours, peer, clock=lambda function: 1.,
                     plan=Plan(pairs=100, seconds=0.), report=quiet)
    assert result['pairs'] == 6


def test_clock__repeats_what_is_short():
    calls = []
    clock = Clock('cpu')
    clock.seconds = lambda function, count: calls.append(count) or (
        count * 1e-3)
    assert clock(ours) == pytest.approx(1e-3)
    assert calls == [1, 1, 5]


def test_clock__counts_the_time_of_this_thread():
    import threading
    import time

    def busy():
        end = time.thread_time() + .05
        while time.thread_time() < end:
            pass

    assert cpu_seconds(lambda: time.sleep(.05), 1) < .04
    assert cpu_seconds(busy, 1) > .04

    def elsewhere():
        thread = threading.Thread(target=busy)
        thread.start()
        thread.join()

    with pytest.raises(RuntimeError, match='must run on one thread'):
        cpu_seconds(elsewhere, 1)


@pytest.mark.skipif(not RESET.exists(), reason='only Linux tells the peak')
def test_memory__is_the_peak_beyond_the_inputs():
    size = 5_000_000  # 20 MB

    def prepare():
        values = torch.ones(size)
        return lambda: (values + 1 + 1).sum()

    assert peak_extra_mb(prepare, 'cpu') == pytest.approx(40, abs=8)

    def broken():
        raise KeyError('no such input')

    with pytest.raises(MemoryMeasurementFailed, match='no such input'):
        peak_extra_mb(broken, 'cpu')


def test_library__that_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'faiss', None)
    with pytest.raises(ImportError, match=r'mmpixsort\[benchmarks\]'):
        library('faiss')


# --------------------------------------------------- results and running


def fake_worker(log, stop_at=None, times=None):
    """A worker that writes down what it is asked."""

    def worker(name, pages, seconds, settings):
        log.append((name, pages))
        if name == stop_at:
            raise KeyboardInterrupt
        row = dict(name='a', sizes='', peer='b', target='', scale=1.,
                   times=times or dict(
                       ratio=2., low=1.9, high=2.1, ours_ms=1., peer_ms=2.,
                       control=1., pairs=6), equal={'loss': 0.},
                   memory=dict(ours=1., peer=2.), calls={}, facts={})
        return dict(setups=[row])

    return worker


def fake_case(name):
    return Case(name, 'nothing', lambda tiny: [])


def start(names, out, log, results=None, fresh=False, **worker):
    results = results or open_results(out, {}, fresh)
    return run_cases(
        names, results=results, settings=Settings(), out=out, fresh=fresh,
        load_case=fake_case, worker=fake_worker(log, **worker), say=quiet)


@pytest.fixture
def code(monkeypatch):
    """A version of the code that a test may change."""
    version = ['abc']
    monkeypatch.setattr('benchmarks.runner.code_version', lambda: version[0])
    return version


def test_run__that_was_cut_off_goes_on(tmp_path, code):
    out, log = tmp_path / 'out.json', []
    with pytest.raises(KeyboardInterrupt):
        start(['C1', 'K1', 'L1'], out, log, stop_at='K1')
    assert set(read_results(out)['cases']) == {'C1'}
    assert [path.name for path in tmp_path.iterdir()] == ['out.json']
    log.clear()
    assert start(['C1', 'K1', 'L1'], out, log) == []
    assert log == [(name, pages) for name in ('K1', 'L1')
                   for pages in ('default', 'huge')]
    log.clear()
    start(['C1', 'K1', 'L1'], out, log)
    assert log == []


def test_run__measures_again_when_asked_or_when_code_differs(tmp_path, code):
    out, log = tmp_path / 'out.json', []
    start(['C1', 'K1'], out, log)
    log.clear()
    start(['C1'], out, log, fresh=True)
    assert log == [('C1', 'default'), ('C1', 'huge')]
    assert set(read_results(out)['cases']) == {'C1', 'K1'}
    log.clear()
    code[0] = 'def'
    start(['C1'], out, log)
    assert len(log) == 2
    assert read_results(out)['cases']['C1']['code'] == 'def'


def test_run__does_not_publish_what_was_refused(tmp_path, code):
    out, log = tmp_path / 'out.json', []
    assert start(['C1'], out, log, times=dict(refused=1.08)) == ['C1']
    times = read_results(out)['cases']['C1']['setups'][0]['pages']['default']
    assert times == dict(refused=1.08)
    log.clear()
    start(['C1'], out, log)  # not done: it is tried again
    assert len(log) == 2


def test_run__goes_on_after_a_case_that_failed(tmp_path, code):
    def worker(name, pages, seconds, settings):
        if name == 'C1':
            raise CaseFailed('broken')
        return fake_worker([])(name, pages, seconds, settings)

    out = tmp_path / 'out.json'
    wanting = run_cases(
        ['C1', 'K1'], results=new_results({}), settings=Settings(), out=out,
        load_case=fake_case, worker=worker, say=quiet)
    assert wanting == ['C1']
    assert set(read_results(out)['cases']) == {'K1'}


def test_results__of_another_machine_are_not_mixed(tmp_path):
    out = tmp_path / 'out.json'
    write_results(out, new_results(dict(cpu='one')))
    with pytest.raises(ValueError, match=r'another machine \(cpu differ'):
        open_results(out, dict(cpu='two'), fresh=False)
    found = open_results(out, dict(cpu='two'), fresh=True)
    assert found['machine'] == dict(cpu='two')
    out.write_text('{')
    with pytest.raises(ValueError, match='no JSON'):
        read_results(out)


def test_machine__names_no_path():
    text = json.dumps(machine('cpu'))
    assert 'torch' in text and str(Path.home()) not in text
    assert str(ROOT) not in text


def test_code_version__changes_with_the_code(monkeypatch):
    answers = {'rev-parse': 'abc\n', 'diff': '', 'ls-files': ''}
    monkeypatch.setattr('benchmarks.environment._git',
                        lambda *words: answers[words[0]])
    assert code_version() == 'abc'
    answers['diff'] = 'changed'
    assert code_version().startswith('abc+')


# ------------------------------------------------------------ the command


def test_command__lists_and_explains(capsys):
    assert main(['--list']) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == list(NAMES)
    with pytest.raises(SystemExit):
        main(['--help'])
    shown = capsys.readouterr().out
    assert '--cases C1,K1 --out results.json' in shown


@pytest.mark.parametrize('words, error', [
    (['--cases', 'C1,Z9'], 'must be among C1'),
    (['--pairs', '0'], 'must be above 0, got 0'),
    (['report', 'no_such_file.json'], 'no_such_file.json')
])
def test_command__says_what_is_wrong(words, error, capsys):
    assert main(words) == 2
    assert error in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_command__needs_a_gpu_for_cuda(capsys):
    assert main(['--device', 'cuda']) == 2
    assert "must be 'cpu' here, got 'cuda'" in capsys.readouterr().err


@pytest.mark.slow
def test_command__measures_in_processes_of_their_own(tmp_path):
    out = tmp_path / 'out.json'
    command = [sys.executable, '-m', 'benchmarks', '--cases', 'L2', '--tiny',
               '--seconds', '1', '--out', str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert 'huge pages' in done.stderr, done.stderr
    setup, = read_results(out)['cases']['L2']['setups']
    assert set(setup['pages']) == {'default', 'huge'}
    assert 'L2' in done.stdout and str(tmp_path) not in out.read_text()


@pytest.mark.gpu
@pytest.mark.parametrize('name', ['C1', 'C4', 'L1', 'D1'])
def test_case__runs_on_a_gpu(name):
    tiny(name)
    result = measure_case(
        load_case(name), device='cuda', plan=Plan(6, 0.), pages='default',
        tiny=True, report=quiet)
    assert result['setups']


# --------------------------------------------------------------- the page


def test_page__is_that_of_the_results():
    text = page_text([read_results(ROOT / RESULTS)], [RESULTS.as_posix()])
    assert (ROOT / 'docs/benchmarks.md').read_text() == text, (
        f'python -m benchmarks report {RESULTS} --page docs/benchmarks.md')


def test_page__has_every_case_and_its_gpu_column(tmp_path, code):
    out = tmp_path / 'cpu.json'
    about = dict(device='cpu', cpu='a CPU', instructions='AVX2', python='3',
                 system='Linux', versions=dict(torch='2'))
    results = new_results(about)
    start(['C1', 'T1', 'S1'], out, [], results=results)
    text = page_text([results])
    for name in NAMES:
        assert f'## {name}: ' in text
    assert '2.00x [1.90, 2.10]' in text and 'not measured |' in text
    assert '-100.0 % [-110.0, -90.0]' in text  # twice as fast as without
    gpu = new_results(dict(about, device='NVIDIA A'))
    start(['C1'], None, [], results=gpu)
    gpu['cases']['C1']['setups'][0]['pages']['default']['ratio'] = 7.
    assert '7.00x [1.90, 2.10]' in page_text([results, gpu])
    with pytest.raises(ValueError, match='one CPU'):
        page_text([gpu])
