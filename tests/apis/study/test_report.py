"""Tables, pages and pictures from result files."""
import pytest

from mmpixsort.apis.study import read_study
from mmpixsort.apis.study import report
from mmpixsort.apis.study.results import Results, rows, unequal


def write(study, arm, seed, score, **changes):
    record = dict(
        arm=arm, seed=seed, config_hash='a', images='i', step_ms=500.,
        memory_mb=100, initial_weights={'backbone.a': '0:b'},
        tests=dict(test=dict(hash='t', scores=dict(mIoU=score, aAcc=50.))))
    Results(study.results).write(dict(record, **changes))


@pytest.fixture
def study(folder):
    study = read_study(folder / 'study.py')
    for seed, (plain, contrast) in enumerate([(10., 12.), (20., 23.)]):
        write(study, 'plain', seed, plain)
        write(study, 'contrast', seed, contrast)
    return study


def test_table__has_spread_difference_and_cost(study):
    lines = report.markdown(study, ['mIoU']).splitlines()
    assert lines[2] == '| plain | 2 | 15.00 ± 7.07 |  | 0.50 | 100 |'
    assert lines[3] == ('| contrast | 2 | 17.50 ± 7.78 | +2.50 (-3.85 to '
                        '+8.85; +2.00 to +3.00) | 0.50 | 100 |')


def test_table__says_where_runs_are_not_paired(study):
    assert not unequal(study)
    write(study, 'contrast', 1, 23., images='j',
          initial_weights={'backbone.a': '0:c'})
    assert unequal(study) == [('contrast', 1, 'weights'),
                              ('contrast', 1, 'images')]
    assert 'contrast, seed 1: other images than plain' in report.markdown(
        study)
    # parts that only one of them has, or with other shapes, do not count
    for parts in ({'backbone.a': '0:b', 'metric_head.a': '0:x'},
                  {'backbone.a': '1:x'}):
        write(study, 'contrast', 1, 23., initial_weights=parts)
        assert not unequal(study)


def test_table__refuses_results_of_several_configs(study):
    write(study, 'plain', 1, 20., config_hash='other')
    with pytest.raises(ValueError, match="arm 'plain' come from 2 configs"):
        rows(study)


def test_table__refuses_a_broken_file(study):
    Results(study.results).path('plain', 0).write_text('{"arm": ')
    with pytest.raises(ValueError, match='remove it to run again'):
        rows(study)


def test_table__without_results(folder):
    study = read_study(folder / 'study.py')
    assert report.markdown(study) == 'No result of study yet.\n'
    with pytest.raises(ValueError, match='tools/study.py run'):
        report.picture(study, 'x.png')


def test_pages__are_filled_between_the_marks(study, tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('before\n<!-- study: study.py aAcc -->\nold\n'
                    '<!-- end of study -->\nafter\n')
    assert report.update_pages([page], read_study) == [page]
    text = page.read_text()
    assert 'old' not in text
    assert report.markdown(study, ['aAcc']) in text
    assert text.startswith('before\n') and text.endswith('\nafter\n')
    assert report.update_pages([page], read_study) == []


def test_picture__has_a_panel_for_each_row(study, tmp_path):
    from PIL import Image
    path = tmp_path / 'x.png'
    report.picture(study, path)
    with Image.open(path) as image:
        assert image.format == 'PNG' and image.width > 300
