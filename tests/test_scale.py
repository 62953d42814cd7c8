"""The curves of scale are measured, go on, and are reported.

No time is asserted: the clock stands still here.
"""
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the suite belongs to the checkout

from benchmarks.results import read_results, write_results  # noqa: E402
from benchmarks.scale import curves, measure  # noqa: E402
from benchmarks.scale.__main__ import main  # noqa: E402
from benchmarks.scale.checks import (CHECKS, of_segments,  # noqa: E402
                                     measure_checks)
from benchmarks.scale.fit import growth  # noqa: E402
from benchmarks.scale.page import page_text  # noqa: E402
from benchmarks.scale.picture import draw  # noqa: E402
from mmpixsort.functional import nearest_keys  # noqa: E402

RESULTS = Path('benchmarks/results/scale_cpu.json')
MACHINE = dict(device='cpu', cpu='a CPU', instructions='AVX2', python='3',
               system='Linux', versions=dict(torch='2'))


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """The suite runs on one thread."""


def still(function):
    """A clock that stands still, but runs what it measures."""
    function()
    return 2e-3


def quiet(text):
    """Say nothing."""


def started(tmp_path, monkeypatch, log, sizes=(100, 200, 400)):
    """One curve of small banks that logs what it builds."""

    def build(count):
        log.append(count)
        return curves.of_rows(count * 10)

    monkeypatch.setattr(measure, 'CURVES', dict(tiny=curves.Curve(
        'nearest keys', 'rows', sizes, dict(num_queries=144), build)))
    monkeypatch.setattr(measure, 'peak_extra_mb', lambda prepare, _: 1.)
    monkeypatch.setattr(measure, 'code_version', lambda: 'abc')
    out = tmp_path / 'scale.json'
    return out, measure.open_curves(out, MACHINE, False)


def go(results, out, quick=False):
    measure.measure_curves(['tiny'], results=results, out=out, quick=quick,
                           say=quiet, clock=still)


def test_run__that_was_cut_off_goes_on(tmp_path, monkeypatch):
    log = []
    out, results = started(tmp_path, monkeypatch, log)
    go(results, out, quick=True)
    assert log == [100, 200]
    log.clear()
    results = measure.open_curves(out, MACHINE, False)
    go(results, out)
    assert log == [400]
    found = read_results(out)['curves']['tiny']
    assert [point['size'] for point in found['points']] == [100, 200, 400]
    assert found['points'][0] == dict(
        size=100, code='abc', ms=2., samples=measure.SAMPLES, low=2.,
        high=2., extra_mb=1.)
    monkeypatch.setattr(measure, 'code_version', lambda: 'def')
    go(results, out)
    assert log == [400, 100, 200, 400] and len(
        results['curves']['tiny']['points']) == 3
    assert not measure.open_curves(out, MACHINE, True)['curves']


def test_results__of_the_suite_are_not_mixed(tmp_path):
    out = tmp_path / 'cpu.json'
    write_results(out, dict(format=1, machine=MACHINE, cases=dict(C1={})))
    with pytest.raises(ValueError, match='choose another file'):
        measure.open_curves(out, MACHINE, False)


def test_measure__has_time_and_memory():
    point = measure.measure_step(
        lambda: curves.of_rows(1000), lambda: curves.of_rows(100), still)
    assert point['ms'] == 2. and point['extra_mb'] is not None
    json.dumps(point, allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize('name', curves.CURVES)
def test_curve__runs_at_its_smallest_size(name):
    curve = curves.CURVES[name]
    assert sorted(curve.sizes) == list(curve.sizes)
    curve.build(curve.sizes[0])()


def test_curves__reach_the_sizes_that_they_promise():
    reach = {name: (curve.count(curve.sizes[0]), curve.count(curve.sizes[-1]))
             for name, curve in curves.CURVES.items()}
    assert reach['bank'][0] < 1e4 and .98e6 < reach['bank'][1] < 1e6
    assert reach['retrieval'] == (1e4, 1e7)


def test_search__is_of_unit_rows(monkeypatch):
    seen = []
    monkeypatch.setattr(curves, 'nearest_keys', lambda *rows, **options: (
        seen.append(rows), nearest_keys(*rows, **options))[1])
    similarity, _ = curves.of_rows(500)()
    assert seen[0][1].shape == (500, 32)
    assert ((seen[0][1].norm(dim=1) - 1).abs() < 1e-5).all()
    assert similarity.shape == (144, 21)


def test_checks__put_the_plan_beside_the_measurement(monkeypatch):
    results = dict(curves=dict(segments=dict(
        fixed=dict(num_anchors=100, embed_dims=8),
        points=[dict(size=10, ms=1.), dict(size=100, ms=10.)])))
    check = of_segments(15, 5, 8, 200)
    monkeypatch.setattr('benchmarks.scale.checks.CHECKS', (check, ))
    measure_checks(results, quick=False, say=quiet, clock=still)
    found, = results['checks']
    assert found['planned_ms'] == pytest.approx(2 * 2.)
    assert found['ms'] == 2. and found['planned_mb'] > 0
    assert {check.curve for check in CHECKS} == {
        'bank', 'segments', 'retrieval'}


def growing(title='a loss'):
    sizes = 10, 100, 1000
    return dict(title=title, unit='keys', fixed=dict(num_anchors=7), points=[
        dict(size=size, ms=.1 * size, samples=5, extra_mb=3., code='abc')
        for size in sizes])


def test_growth__is_the_exponent():
    slopes = growth(growing()['points'])
    assert slopes['time'] == pytest.approx(1.)
    assert slopes['memory'] == pytest.approx(0., abs=1e-9)
    assert growth(growing()['points'][:1]) == {}


def test_report__writes_page_and_picture(tmp_path, capsys):
    path, page, picture = (
        tmp_path / name for name in ('s.json', 's.md', 's.png'))
    check = dict(sizes='a setting', planned_ms=None, ms=3., planned_mb=1.,
                 extra_mb=1.5)
    write_results(path, dict(
        format=1, machine=MACHINE, checks=[check],
        curves=dict(bank=growing(), dims=growing('another'))))
    pytest.importorskip('matplotlib')
    assert main(['report', str(path), '--page', str(page), '--picture',
                 str(picture)]) == 0
    text = page.read_text()
    assert '| a loss | keys | 10 | 1,000 | 1.00 | 1.00 |' in text
    assert '| ms | 1.00 | 10.0 | 100 |' in text and '`s.json`' not in text
    assert '| a setting | - | 3.00 | 1.00 | 1.50 |' in text
    assert str(tmp_path) not in text
    assert picture.read_bytes().startswith(b'\x89PNG')
    with pytest.raises(ValueError, match='needs a measured curve'):
        draw(dict(curves={}), picture)


def test_picture__names_the_extra_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(ImportError, match=r'mmpixsort\[benchmarks\]'):
        draw(dict(curves=dict(bank=growing())), Path('no_such.png'))


@pytest.mark.parametrize('words, error', [
    (['--curves', 'bank,size'], 'must be among bank, dims'),
    (['report', 'no_such_file.json'], 'no_such_file.json'),
    (['report', str(ROOT / 'benchmarks/results/cpu.json')],
     'must be a file of curves')
])
def test_command__says_what_is_wrong(words, error, capsys):
    assert main(words) == 2
    assert error in capsys.readouterr().err


def test_command__explains(capsys):
    with pytest.raises(SystemExit):
        main(['--help'])
    assert '--curves bank,retrieval --quick' in capsys.readouterr().out


@pytest.mark.skipif(not (ROOT / RESULTS).exists(), reason='not measured yet')
def test_page__is_that_of_the_results():
    text = page_text(read_results(ROOT / RESULTS), RESULTS.as_posix())
    assert (ROOT / 'docs/scale.md').read_text() == text, (
        f'python -m benchmarks.scale report {RESULTS} --page docs/scale.md '
        '--picture docs/images/scale.png')
