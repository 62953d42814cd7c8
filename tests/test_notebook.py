"""The notebook of the demonstration: its cells, and that it runs."""
import json
import re
from pathlib import Path

import pytest

pytest.importorskip('mmseg')
pytest.importorskip('mmdet')

NOTEBOOK = Path(__file__).resolve().parents[1] / 'demo' / 'tour.ipynb'
# added to the notebook, to read its variables
RESULTS = """
import json
print(json.dumps(dict(
    config=my_config,
    embedding=embedding.shape,
    road=[iou(of_camvid, 'road'), iou(of_scenes, 'road')],
    cars=[iou(part, 'car') for part in (before, after, of_scenes)],
    neighbors=[len(row.neighbors) for row in shown.rows],
    instances=counts,
    words=[[sorted(words_of(part)), sorted(scene.shapes)]
           for part, scene in zip(named, shapes)],
    fewer=sorted({word for part in fewer for word in words_of(part)}))))
"""


@pytest.fixture(scope='module')
def cells():
    return json.loads(NOTEBOOK.read_text())['cells']


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """Run all cells in a new process, and return what they found."""
    nbclient = pytest.importorskip(
        'nbclient', reason='nbclient is missing (extra `tests`)')
    pytest.importorskip(
        'ipykernel', reason='ipykernel is missing (extra `tests`)')
    import nbformat
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    notebook.cells.append(nbformat.v4.new_code_cell(RESULTS))
    folder = tmp_path_factory.mktemp('notebook')
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name='python3',
        resources=dict(metadata=dict(path=str(folder)))).execute()
    return json.loads(''.join(
        output.text for output in notebook.cells[-1].outputs
        if output.output_type == 'stream' and output.name == 'stdout'))


def test_notebook__is_small_and_holds_no_outputs(cells):
    assert NOTEBOOK.stat().st_size < 200_000
    code = [cell for cell in cells if cell['cell_type'] == 'code']
    assert code
    for cell in code:
        assert not cell['outputs'] and cell['execution_count'] is None


def test_notebook__names_no_path_of_a_machine():
    text = NOTEBOOK.read_text()
    assert not re.search(r'/(home|root|tmp|work|Users)/|[A-Z]:\\\\', text)


def test_notebook__explains_each_cell_before_it(cells):
    for above, cell in zip(cells, cells[1:]):
        if cell['cell_type'] == 'code':
            assert above['cell_type'] == 'markdown'
            assert ''.join(above['source']).rstrip().endswith('.')


def test_notebook__names_pages_that_exist(cells, repo_root):
    text = '\n'.join(''.join(cell['source']) for cell in cells
                     if cell['cell_type'] == 'markdown')
    named = re.findall(r'`((?:docs|tools|model_zoo)/[\w/.]*)`', text)
    assert len(named) > 4
    for path in named:
        assert (repo_root / path).exists(), path


def test_notebook__attaches_a_method(results):
    assert "_base_ = 'mmseg::deeplabv3/" in results['config']
    assert "type='mmpixsort.SegSortHead'" in results['config']


def test_notebook__embeds_and_retrieves(results):
    assert results['embedding'][0] == 32
    of_camvid, of_scenes = results['road']
    assert of_scenes > max(of_camvid, 80)
    assert results['neighbors'] == [5, 5, 5, 5]


def test_notebook__finds_the_class_that_three_masks_added(results):
    before, after, whole = results['cars']
    assert before == 0
    assert after > 30 and after > .75 * whole


def test_notebook__finds_the_instances(results):
    for found, true in results['instances']:
        assert abs(found - true) <= 1


def test_notebook__names_regions_by_words(results):
    right = [found == true for found, true in results['words']]
    assert sum(right) >= 5
    assert results['fewer'] == ['bar', 'ring']
