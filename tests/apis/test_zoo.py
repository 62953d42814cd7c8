"""The index of the model zoo, and that its parts agree with each other."""
import json
import re

import pytest
import torch
import yaml
from mmengine.config import Config

from mmpixsort.apis import get_model, list_models
from mmpixsort.apis.study.plan import read_study, run_config, training_hash
from mmpixsort.apis.zoo.download import is_intact
from mmpixsort.apis.zoo.entry import FIRST, LIMIT, TOGETHER
from mmpixsort.apis.zoo.index import (STATES, find_model, read_models,
                                      trained_model, zoo_root)
from mmpixsort.apis.zoo.pages import TERMS, fill_page, read_terms, zoo_pages
from mmpixsort.apis.zoo.score import score_model
from mmpixsort.utils.reading import read_tensors

MODELS = read_models()
TRAINED = [model for model in MODELS.values() if model.weights]
METHODS = list(dict.fromkeys(model.method for model in MODELS.values()))
each_trained = pytest.mark.parametrize(
    'model', TRAINED, ids=lambda model: model.name)
STREET = 'segsort_fcn-mnv2_1xb4-600it_street-scenes'


def log_of(model):
    def refuse(word):
        raise AssertionError(f'{word} is no JSON')

    return json.loads(
        (zoo_root() / model.log).read_text(), parse_constant=refuse)


def smallest(method):
    """Return the smallest model of a method, or skip the test."""
    found = [model for model in TRAINED if model.method == method]
    if not found:
        pytest.skip(f'no model of {method} is in the zoo')
    return min(found, key=lambda model: sum(f.size for f in model.files()))


def data_of(model, shared_data):
    """Return the folder of the data of a model; None if it is generated."""
    root = Config.fromfile(zoo_root() / model.config).get('data_root')
    if not root:
        return None
    folder = shared_data / root.rstrip('/').rpartition('/')[2]
    if not folder.is_dir():
        pytest.skip(f'{model.data} is not at {folder}')
    return folder


def test_list_models__by_pattern_part_task_and_weights():
    assert len(list_models()) == len(MODELS) > 50
    assert list_models('segsort_*street*') == [STREET]
    assert STREET in list_models('street-scenes')
    instances = list_models(task='instance')
    assert instances == list_models('discriminative_*')
    assert list_models(task='Instance Segmentation') == instances
    assert sorted(list_models(trained=True) + list_models(trained=False)
                  ) == sorted(list_models())
    assert list_models(trained=True) == [model.name for model in TRAINED]
    assert list_models('no such model') == []
    with pytest.raises(ValueError, match="`task`.*Semantic.*'depth'"):
        list_models(task='depth')


def test_find_model__suggests_the_nearest_names():
    assert find_model(f'{STREET}.py').name == STREET
    with pytest.raises(ValueError, match=f'nearest are {STREET}'):
        find_model('segsort_fcn-mnv2_street-scenes')
    with pytest.raises(ValueError, match='list_models'):
        get_model('?')


def test_get_model__says_that_a_model_was_not_trained():
    untrained = next(m for m in MODELS.values() if not m.weights)
    for call in (get_model, trained_model):
        with pytest.raises(ValueError, match=f'{untrained.name}.*no trained '
                           f'weights.*{untrained.state}.*tools/train.py'):
            call(untrained.name)


@pytest.mark.parametrize('name', [
    STREET, 'discriminative_unet_1xb4-2000it_sticks'])
def test_get_model__builds_without_weights(name, monkeypatch, tmp_path):
    monkeypatch.setenv('MMPIXSORT_ZOO', str(tmp_path))  # which is empty
    model = get_model(name, pretrained=False)
    assert not model.training
    assert model.cfg.filename.endswith(f'{name}.py')


@pytest.mark.parametrize('method', METHODS)
def test_get_model__loads_the_weights_of_the_file(method):
    entry = smallest(method)
    model = get_model(entry.name)
    assert not model.training
    assert model.dataset_meta['classes']
    saved = read_tensors(
        zoo_root() / entry.weights.address, 'weights')['state_dict']
    loaded = model.state_dict()
    for name, value in saved.items():
        assert torch.equal(loaded[name], value.to(loaded[name].dtype)), name
    if entry.bank:
        assert model.retrieval.bank.endswith(entry.bank.name)


@pytest.mark.parametrize('method', METHODS)
def test_score__of_the_smallest_model_is_the_published_one(
        method, request):
    entry = smallest(method)
    data = None
    if Config.fromfile(zoo_root() / entry.config).get('data_root'):
        data = data_of(entry, request.getfixturevalue('shared_data'))
    log = log_of(entry)
    for name, test in log['tests'].items():
        first = test['first']
        found = score_model(entry.name, test=name, data=data,
                            num_images=first['images'])
        for metric in entry.scores:
            published = first['scores'].get(metric)
            if published is None:  # of another test
                continue
            # shares or percent; other builds of torch round otherwise
            assert found[metric] == pytest.approx(
                published, abs=.01 if abs(published) <= 1 else 1.)


@pytest.mark.slow
@each_trained
def test_score__of_all_images_is_the_published_one(model, request):
    data = None
    if Config.fromfile(zoo_root() / model.config).get('data_root'):
        data = data_of(model, request.getfixturevalue('shared_data'))
    found = score_model(model.name, data=data)
    main = next(iter(log_of(model)['tests'].values()))['scores']
    for metric in set(model.scores) & set(main):
        assert found[metric] == pytest.approx(model.scores[metric], abs=.3)


def test_rows__say_whether_they_were_trained():
    for model in MODELS.values():
        assert model.state in STATES
        assert (model.state == 'trained') == (model.weights is not None)
        assert (model.seed is not None) == (model.weights is not None)
        assert bool(model.scores) == bool(model.log) == (
            model.weights is not None)
        assert (zoo_root() / model.config).is_file()


@each_trained
def test_files__are_those_of_the_metafile(model):
    for file in model.files():
        path = zoo_root() / file.address
        assert is_intact(path, file)
        assert file.size <= LIMIT
        match = re.fullmatch(r'(.+)_\d{8}-([0-9a-f]{8})\.(pth|npz)',
                             file.name)
        assert match[1] == model.name
        assert file.sha256.startswith(match[2])


def test_files__nothing_else_is_in_the_folder():
    known = {'README.md', TERMS}
    for model in TRAINED:
        known |= {file.name for file in model.files()}
        known.add(model.log.rpartition('/')[2])
    folder = zoo_root() / 'model_zoo'
    assert {path.name for path in folder.iterdir()} == known
    assert sum(path.stat().st_size for path in folder.iterdir()) <= TOGETHER


@each_trained
def test_weights__are_stripped_and_in_half_precision(model):
    content = read_tensors(zoo_root() / model.weights.address, 'weights')
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta']['config'] == f'{model.name}.py'
    assert content['meta']['seed'] == model.seed
    for name, value in content['state_dict'].items():
        assert value.isfinite().all()
        if value.is_floating_point() and value.dim():
            fits = value.abs().max() <= torch.finfo(torch.float16).max
            assert value.dtype == (
                torch.float16 if fits else torch.float32), name
        assert '.bank.' not in name


@each_trained
def test_log__agrees_with_metafile_result_and_config(model):
    log = log_of(model)
    assert (log['model'], log['config'], log['seed']) == (
        model.name, model.config, model.seed)
    assert log['weights'] == dict(
        file=model.weights.name, sha256=model.weights.sha256,
        bytes=model.weights.size)
    if model.bank:
        assert (log['bank']['sha256'], log['bank']['bytes']) == (
            model.bank.sha256, model.bank.size)
    result = json.loads((zoo_root() / log['result']).read_text())
    for key in ('seed', 'arm', 'config_hash', 'command', 'commit', 'date',
                'device', 'versions'):
        assert log[key] == result[key], key
    study = read_study(zoo_root() / log['study'])
    cfg = run_config(study, study.arms[log['arm']], log['seed'])
    assert training_hash(cfg) == log['config_hash']
    assert study.split == log['split']
    for number, (name, test) in enumerate(log['tests'].items()):
        assert test['options'] == study.arms[log['arm']].tests[name]
        assert test['trained'] == result['tests'][name]['scores']
        assert test['first']['images'] == FIRST
        for metric in set(study.scores) & set(test['scores']):
            row = metric if number == 0 else f'{metric} {name}'
            assert model.scores[row] == test['scores'][metric]
            # half precision, and a bank of fewer images
            assert test['scores'][metric] == pytest.approx(
                test['trained'][metric], abs=1.)
    assert not re.search(r'/(home|root|tmp|work)/', json.dumps(log))


@each_trained
def test_log__has_the_loss_and_the_terms(model):
    log = log_of(model)
    assert len(log['loss']) > 5
    cfg = Config.fromfile(zoo_root() / model.config)
    joins = cfg.model.get('metric_head', {}).get('warmup_iters', 0)
    losses = [loss for _, loss in log['loss']]
    # the loss of the embedding joins after its warm-up, from which on the sum
    # must fall
    start = max(loss for iteration, loss in log['loss']
                if iteration > joins) if joins else losses[0]
    assert start > 1.2 * losses[-1]
    terms = read_terms(zoo_root())
    assert log['data'] == dict(name=model.data, terms=terms[model.data])
    assert log['initial_weights'] in ('random', terms['initial weights'])


def test_pages__have_the_tables_of_the_metafiles():
    root = zoo_root()
    with_tables = 0
    for page in zoo_pages(root):
        text = page.read_text()
        assert fill_page(text, page.parent, root) == text, (
            'python tools/misc/zoo.py pages')
        with_tables += '<!-- zoo: ' in text
    assert with_tables == 1 + len(METHODS)


def test_metafiles__have_what_mim_reads():
    """`mim search` and `mim download` need these keys and plain values."""
    root = zoo_root()
    index = yaml.safe_load((root / 'model-index.yml').read_text())
    for path in index['Import']:
        content = yaml.safe_load((root / path).read_text())
        names = [c['Name'] for c in content['Collections']]
        for row in content['Models']:
            assert row['In Collection'] in names
            assert row['Name'] == row['Name'].lower()
            for value in row['Metadata'].values():
                values = value if isinstance(value, list) else [value]
                assert all(isinstance(v, str) for v in values) or (
                    isinstance(value, int))
            assert isinstance(row.get('Weights', ''), str)
            assert ',' not in row.get('Weights', '')
            for result in row.get('Results', []):
                assert set(result) == {'Task', 'Dataset', 'Metrics'}
                assert all(isinstance(v, (int, float))
                           for v in result['Metrics'].values())


def test_metafiles__are_read_by_mim():
    search = pytest.importorskip('mim.commands.search')
    from modelindex.load_model_index import load
    frame = search.convert2df(load(str(zoo_root() / 'model-index.yml')))
    assert list(frame.index) == list(MODELS)
    assert set(frame['config']) == {m.config for m in MODELS.values()}
    for model in TRAINED:
        row = frame.loc[model.name]
        assert row['weight'] == model.weights.address
        assert row['sha256'] == model.weights.sha256
        for metric, value in model.scores.items():
            key = '_'.join(metric.split()).lower()
            assert row[f'{model.data.lower()}/{key}'] == value
