"""Banks from configs and checkpoints: build, resume, ranks, exemplars."""
import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_bank
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS

from mmpixsort.apis import bank as bank_module
from mmpixsort.apis.bank import build_bank
from mmpixsort.apis.loading import load_model
from mmpixsort.apis.exemplars import add_exemplars, image_data
from mmpixsort.apis import explain as explain_module
from mmpixsort.apis.explain import Explainer, explain, read_vote
from mmpixsort.apis.sources import Sources
from mmpixsort.datasets.synthetic import CLASSES, StreetScenes
from mmpixsort.functional import vote_fractions
from mmpixsort.retrieval import read_bank, remove
from mmpixsort.retrieval.build import RowRules
from mmpixsort.utils.files import only_builder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A config in a file, and a checkpoint of untrained weights."""
    folder = tmp_path_factory.mktemp('bank')
    cfg = tiny_bank.save_segment_run(folder)
    bank = build_bank(cfg, folder / 'weights.pth', folder / 'x.bank')
    return folder, cfg, bank


def test_build_bank__describes_the_images(run):
    folder, cfg, bank = run
    assert read_bank(folder / 'x.bank').meta == bank.meta
    assert bank.meta['classes'] == list(CLASSES)
    assert bank.meta['clustering']['grid'] == [10, 10]
    assert len(bank.meta['images']) == tiny_bank.IMAGES
    assert len(bank.meta['checkpoint']) == 64
    assert bank.image_ids.unique().tolist() == list(range(tiny_bank.IMAGES))
    assert not (folder / 'x.bank.parts').exists()
    boxes = bank.boxes
    assert (boxes[:, :2] >= 0).all() and (boxes[:, :2] < boxes[:, 2:]).all()
    assert (boxes[:, 2] <= 96).all() and (boxes[:, 3] <= 64).all()
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert (bank.areas <= area).all()
    # every pixel of a scene is labelled and lies in one segment
    assert bank.areas[bank.image_ids == 0].sum() == 64 * 96
    assert ((bank.purity > 0) & (bank.purity <= 1)).all()


def test_build_bank__goes_on_where_it_was_cut_off(run, tmp_path, monkeypatch):
    folder, cfg, _ = run
    out, calls = tmp_path / 'y.bank', []
    real = bank_module.write_part

    def cut_off(*args):
        if calls:
            raise KeyboardInterrupt
        calls.append(args)
        real(*args)

    monkeypatch.setattr(bank_module, 'write_part', cut_off)
    with pytest.raises(KeyboardInterrupt):
        build_bank(cfg, folder / 'weights.pth', out)
    assert not out.exists()
    with pytest.raises(ValueError, match='parts of a bank with other'):
        build_bank(cfg, folder / 'weights.pth', out, max_images=3)
    monkeypatch.setattr(
        bank_module, 'write_part',
        lambda *args: (calls.append(args), real(*args)))
    build_bank(cfg, folder / 'weights.pth', out)
    assert len(calls) == 2  # the second part only
    assert out.read_bytes() == (folder / 'x.bank').read_bytes()


@pytest.mark.parametrize('changes', [
    {'model.data_preprocessor.mean': [10., 10., 10.]},
    {'model.data_preprocessor.bgr_to_rgb': False},
    {'model.test_cfg': dict(mode='slide', crop_size=(48, 48),
                            stride=(32, 32))},
    {'test_dataloader.dataset.pipeline': [
        dict(type='mmpixsort.LoadStreetScene'),
        dict(type='Resize', scale=(48, 32)), dict(type='PackSegInputs')]},
    {'train_dataloader.dataset.metainfo': dict(classes=CLASSES[:5])},
])
def test_build_bank__does_not_go_on_with_other_settings(
        run, tmp_path, monkeypatch, changes):
    folder, cfg, _ = run
    out, real = tmp_path / 'y.bank', bank_module.write_part

    def cut_off(*args):
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(bank_module, 'write_part', cut_off)
    with pytest.raises(KeyboardInterrupt):
        build_bank(cfg, folder / 'weights.pth', out)
    other = Config.fromfile(folder / 'small.py')
    other.merge_from_dict(changes)
    with pytest.raises(ValueError, match='parts of a bank with other'):
        build_bank(other, folder / 'weights.pth', out)


def test_build_bank__one_process_at_a_time(run, tmp_path):
    folder, cfg, _ = run
    with only_builder(tmp_path / 'y.bank'):
        with pytest.raises(ValueError, match='written by another process'):
            build_bank(cfg, folder / 'weights.pth', tmp_path / 'y.bank')


def test_bank__is_refused_where_images_are_prepared_otherwise(run):
    folder, cfg, bank = run
    model = load_model(cfg, folder / 'weights.pth')
    model.retrieval.use(bank)
    for name in ('mean', 'std'):
        other = load_model(cfg, folder / 'weights.pth')
        getattr(other.data_preprocessor, name).add_(1)
        with pytest.raises(ValueError, match='not be comparable'):
            other.retrieval.use(bank)


@pytest.mark.ddp
@pytest.mark.slow
def test_dist_build_bank__equals_one_process_byte_by_byte(run, tmp_path):
    folder, _, _ = run
    out = tmp_path / 'z.bank'
    done = subprocess.run(
        [ROOT / 'tools/dist_build_bank.sh', folder / 'small.py',
         folder / 'weights.pth', '2', '--out', out],
        env={**os.environ, 'PYTHON': sys.executable,
             'PORT': '29577', 'OMP_NUM_THREADS': '1'},
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    alone = tmp_path / 'alone.bank'
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/build_bank.py', folder / 'small.py',
         folder / 'weights.pth', '--out', alone],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert out.read_bytes() == alone.read_bytes()


@pytest.mark.parametrize('rules, rows', [
    (RowRules(pixels='all'), 1), (RowRules(void='drop_segments'), 1),
    (RowRules(scales=(.5, 1.), flip=True), 4), (RowRules(min_purity=.9), 0)])
def test_build_bank__options(run, tmp_path, rules, rows):
    folder, cfg, whole = run
    bank = build_bank(cfg, folder / 'weights.pth', tmp_path / 'o.npz',
                      rules=rules, max_images=4, dtype='float32')
    first = int((whole.image_ids == 0).sum())
    found = int((bank.image_ids == 0).sum())
    if rows == 0:
        assert (bank.purity >= .9).all() and found < first
    else:
        assert .6 * rows * first <= found <= 1.4 * rows * first
    assert bank.features.dtype == torch.float32
    assert (bank.boxes[:, 2] <= 96).all() and (bank.boxes >= 0).all()
    assert json.loads(json.dumps(bank.meta))['rules']['pixels'] == (
        rules.pixels)


def test_build_bank__refuses_what_does_not_fit(run, tmp_path):
    folder, cfg, _ = run
    torch.save(dict(state_dict={}), tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match='weights `metric_head'):
        build_bank(cfg, tmp_path / 'empty.pth', tmp_path / 'x.bank')
    plain = cfg.copy()
    plain.model = {k: v for k, v in cfg.model.items() if k != 'metric_head'}
    with pytest.raises(ValueError, match='must have a `metric_head`'):
        load_model(plain, folder / 'weights.pth')
    with pytest.raises(ValueError, match='`pixels` must be one of'):
        build_bank(cfg, folder / 'weights.pth', tmp_path / 'x.bank',
                   rules=RowRules(pixels='some'))


def test_add_exemplars__a_new_class_is_predicted(run, tmp_path):
    folder, cfg, bank = run
    scene = StreetScenes(num_images=1, size=(64, 96), seed=3, split='val')[0]
    sky = scene.semantic == CLASSES.index('sky')
    assert sky.mean() > .05
    cv2.imwrite(str(tmp_path / 'a.png'), scene.image[..., ::-1])
    cv2.imwrite(str(tmp_path / 'mask.png'), np.uint8(sky) * 255)
    model = load_model(cfg, folder / 'weights.pth')
    without = remove(bank, name='sky')
    joined = add_exemplars(
        cfg, model, without, image=tmp_path / 'a.png',
        mask=tmp_path / 'mask.png', name='heaven')
    added = len(joined) - len(without)
    assert 3 <= added <= 100
    assert joined.meta['classes'][-1] == 'heaven'
    assert joined.meta['images'][-1].endswith('a.png')

    def predicted(used):
        model.retrieval.use(used)
        data = image_data(cfg, tmp_path / 'a.png')
        result = model.test_step(dict(
            inputs=[data['inputs']], data_samples=[data['data_samples']]))
        return result[0].pred_sem_seg.data[0].numpy()

    new = joined.meta['classes'].index('heaven')
    assert (predicted(without) != new).all()
    share = (predicted(joined) == new)[sky].mean()
    assert share > .2  # the weights are untrained


@pytest.mark.parametrize('ignored', [0, 3])
def test_add_exemplars__where_a_class_number_is_ignored(run, tmp_path,
                                                        ignored):
    folder, cfg, bank = run
    scene = StreetScenes(num_images=1, size=(64, 96), seed=3, split='val')[0]
    sky = scene.semantic == CLASSES.index('sky')
    cv2.imwrite(str(tmp_path / 'a.png'), scene.image[..., ::-1])
    cv2.imwrite(str(tmp_path / 'mask.png'), np.uint8(sky) * 255)
    model = load_model(cfg, folder / 'weights.pth')
    files = dict(image=tmp_path / 'a.png', mask=tmp_path / 'mask.png')
    want = add_exemplars(cfg, model, bank, name='heaven', **files)
    model.metric_head.ignore_index = ignored
    got = add_exemplars(cfg, model, bank, name='heaven', **files)
    assert torch.equal(got.labels, want.labels)
    assert torch.equal(got.features, want.features)


def test_add_exemplars__bad_mask(run, tmp_path):
    folder, cfg, bank = run
    image = np.zeros((64, 96, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    cv2.imwrite(str(tmp_path / 'mask.png'), image[:32])
    model = load_model(cfg, folder / 'weights.pth')
    options = dict(image=tmp_path / 'a.png', name='x')
    with pytest.raises(ValueError, match='`mask` must have the size'):
        add_exemplars(cfg, model, bank, mask=tmp_path / 'mask.png', **options)
    with pytest.raises(FileNotFoundError, match='mask'):
        add_exemplars(cfg, model, bank, mask=tmp_path / 'no.png', **options)


def test_explain__writes_one_page_and_a_sheet(run, tmp_path):
    folder, cfg, bank = run
    scene = StreetScenes(num_images=1, size=(64, 96), seed=3, split='val')[0]
    cv2.imwrite(str(tmp_path / 'a.png'), scene.image[..., ::-1])
    cfg = cfg.copy()
    cfg.model.test_cfg.retrieval.num_neighbors = 4
    files = explain(
        cfg, folder / 'weights.pth', folder / 'x.bank', tmp_path / 'a.png',
        tmp_path / 'shown', num_neighbors=3, max_segments=5)
    assert len(files.rows) == 5
    for row in files.rows:
        assert row.segment.title in CLASSES
        assert len(row.neighbors) == 3
        notes = [float(crop.note) for crop in row.neighbors]
        assert notes == sorted(notes, reverse=True)
        assert all(crop.source in bank.meta['images']
                   for crop in row.neighbors)
    text = files.page.read_text()
    assert text.count('data:image/') >= 5 + 5 + 3
    assert '://' not in text and 'file:' not in text
    sheet = cv2.imread(str(files.sheet))
    assert sheet.shape[1] > 4 * 112 and sheet.std() > 10


def test_explain__names_segments_by_the_vote(run, tmp_path):
    """Whatever the map, resized to the original, says at their pixels."""
    folder, cfg, _ = run
    scene = StreetScenes(num_images=1, size=(64, 96), seed=3, split='val')[0]
    picture = cv2.resize(scene.image[..., ::-1], (213, 151))
    cv2.imwrite(str(tmp_path / 'a.png'), picture)
    cfg = cfg.copy()
    cfg.model.test_cfg.retrieval.num_neighbors = 9
    cfg.test_dataloader.dataset.pipeline.insert(
        1, dict(type='Resize', scale=(96, 64), keep_ratio=False))
    rows = explain(
        cfg, folder / 'weights.pth', folder / 'x.bank', tmp_path / 'a.png',
        tmp_path / 'shown', num_neighbors=9, max_segments=30).rows
    assert len(rows) > 10
    counts = []
    for row in rows:
        names = [crop.title for crop in row.neighbors]
        counts.append(names.count(row.segment.title))
        assert row.segment.note == f'{counts[-1]}/9'
        assert counts[-1] == max(map(names.count, names))
    assert min(counts) < 9 and max(counts) > 4


@pytest.mark.parametrize('ties, label', [('smallest', 1), ('nearest', 3)])
def test_read_vote__follows_the_rule_of_ties(ties, label):
    labels = torch.tensor([[3, 1, 1, 3, 2]])
    segments = PixelData(metainfo=dict(
        neighbor_labels=labels,
        fractions=vote_fractions(labels, num_classes=4, ties=ties)))
    assert read_vote(segments, 0) == (label, '2/5')


def test_read_vote__says_the_weight_where_there_is_one():
    labels = torch.tensor([[3, 1, 1]])
    segments = PixelData(metainfo=dict(
        neighbor_labels=labels, fractions=vote_fractions(
            labels, torch.tensor([[.9, .1, .1]]), num_classes=4,
            concentration=10.)))
    assert read_vote(segments, 0) == (3, '1/3, 100% of the weight')


def test_sources__find_the_outline_of_a_row(run):
    folder, cfg, bank = run
    model = load_model(cfg, folder / 'weights.pth')
    sources = Sources(cfg, model, bank)
    for row in (0, 7, len(bank) - 1):
        crop = sources.crop(row, .5)
        assert crop.title == bank.meta['classes'][int(bank.labels[row])]
        _, ids, boxes = sources.known[
            bank.meta['images'][int(bank.image_ids[row])]]
        found = (boxes == bank.boxes[row]).all(1).nonzero()
        assert len(found) >= 1
        areas = [(ids == int(i)).sum() for i in found[:, 0]]
        assert int(bank.areas[row]) in areas


def test_sources__of_segments_with_one_box(run, monkeypatch):
    """A ring and what lies in it up to its border."""
    folder, cfg, bank = run
    sources = Sources(cfg, load_model(cfg, folder / 'weights.pth'), bank)
    ids = np.zeros((64, 96), int)
    ids[10:20, 10:20] = 1
    ids[10, 10] = ids[19, 19] = ids[12:18, 12:18] = 2
    box = torch.tensor([10, 10, 20, 20])
    picture = np.zeros((64, 96, 3), np.uint8)
    path = bank.meta['images'][int(bank.image_ids[0])]
    sources.known[path] = (
        picture, ids, torch.stack([torch.zeros(4).long(), box, box]))
    shown = []
    monkeypatch.setattr(
        'mmpixsort.apis.sources.crop_segment',
        lambda picture, mask, tile: shown.append(mask) or picture)
    for number in (1, 2):
        area = int((ids == number).sum())
        boxes, areas = bank.boxes.clone(), bank.areas.clone()
        boxes[0], areas[0] = box, area
        monkeypatch.setattr(sources, 'bank', replace(
            bank, boxes=boxes, areas=areas))
        sources.crop(0, .5)
        assert (shown[-1] == (ids == number)).all()


def test_explainer__loads_and_draws_once(run, tmp_path, monkeypatch):
    folder, cfg, bank = run
    for number in range(2):
        scene = StreetScenes(
            num_images=1, size=(64, 96), seed=number, split='val')[0]
        cv2.imwrite(str(tmp_path / f'{number}.png'), scene.image[..., ::-1])
    loads, drawn = [], []
    monkeypatch.setattr(
        explain_module, 'load_model',
        lambda *args: loads.append(args) or load_model(*args))
    explainer = Explainer(cfg, folder / 'weights.pth', bank, max_segments=9)
    real = Sources.crop
    monkeypatch.setattr(
        Sources, 'crop',
        lambda *args: drawn.append(args[1]) or real(*args))
    first = explainer.write(tmp_path / '0.png', tmp_path / 'shown')
    explainer.write(tmp_path / '1.png', tmp_path / 'shown')
    assert len(loads) == 1 and drawn
    assert first == explain(
        cfg, folder / 'weights.pth', folder / 'x.bank', tmp_path / '0.png',
        tmp_path / 'shown', max_segments=9)._replace(rows=first.rows)
    drawn.clear()
    scene = explainer.explained(tmp_path / '1.png')
    assert not drawn
    # rows of another bank are other segments
    explainer.use(remove(bank, rows=[0]))
    again = explainer.explained(tmp_path / '1.png')
    assert set(drawn) == set(again.crops)
    assert (again.ids == scene.ids).all()


def test_explain__missing_image(run, tmp_path):
    folder, cfg, _ = run
    with pytest.raises(FileNotFoundError, match='image'):
        explain(cfg, folder / 'weights.pth', folder / 'x.bank',
                tmp_path / 'no.png', tmp_path)


@pytest.mark.parametrize('wrap', ['concatenated', 'augmented', 'class types'])
def test_single_images__of_any_test_set(run, tmp_path, wrap):
    """Exemplars and explanations, as of the plain test set."""
    folder, plain, bank = run
    scene = StreetScenes(num_images=1, size=(64, 96), seed=3, split='val')[0]
    sky = scene.semantic == CLASSES.index('sky')
    cv2.imwrite(str(tmp_path / 'a.png'), scene.image[..., ::-1])
    cv2.imwrite(str(tmp_path / 'mask.png'), np.uint8(sky) * 255)
    cfg = copy.deepcopy(plain)
    inner = cfg.test_dataloader.dataset
    if wrap == 'concatenated':
        cfg.test_dataloader.dataset = dict(
            type='ConcatDataset', datasets=[inner, copy.deepcopy(inner)])
    elif wrap == 'augmented':
        cfg.val_dataloader = None
        inner.pipeline = [inner.pipeline[0], dict(
            type='TestTimeAug', transforms=[
                [dict(type='Resize', scale_factor=factor, keep_ratio=True)
                 for factor in (.5, 1.)],
                [dict(type='RandomFlip', prob=prob) for prob in (1., 0.)],
                *([step] for step in inner.pipeline[1:])])]
    else:
        inner.pipeline = [
            dict(step, type=TRANSFORMS.get(step['type']))
            for step in inner.pipeline]
    model = load_model(cfg, folder / 'weights.pth')
    files = dict(image=tmp_path / 'a.png', mask=tmp_path / 'mask.png')
    want = add_exemplars(plain, model, bank, name='heaven', **files)
    got = add_exemplars(cfg, model, bank, name='heaven', **files)
    assert torch.equal(got.features, want.features)
    shown = explain(
        cfg, folder / 'weights.pth', folder / 'x.bank', tmp_path / 'a.png',
        tmp_path / 'shown', num_neighbors=2, max_segments=3)
    assert shown.page.is_file() and len(shown.rows) == 3
