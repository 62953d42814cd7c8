"""Retrieval of instances: neighbours, pages, scores, the tool's errors."""
import base64
import copy
import re

import cv2
import numpy as np
import pytest
import tiny_bank
import torch

from mmpixsort.apis.context_report import report_context
from mmpixsort.apis.exemplars import image_data
from mmpixsort.apis.instance_bank import build_instance_bank
from mmpixsort.apis.loading import load_detector
from mmpixsort.retrieval.instances import StoredInstances
from mmpixsort.apis.instance_query import (ADDED, Pictures, nearest_rows,
                                           retrieve_instances)
from mmpixsort.metrics.context_consistency import (nearest_instances,
                                                   score_context)
from mmpixsort.retrieval.images import annotated_images


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('query')
    cfg = tiny_bank.save_run(folder)
    stored = build_instance_bank(
        cfg, folder / 'weights.pth', folder / 'x.bank', min_area=20)
    return folder, cfg, stored


def files_of(run):
    folder, cfg, _ = run
    return cfg, folder / 'weights.pth', folder / 'x.bank', folder / 'shown'


@pytest.mark.parametrize('any_class', [False, True])
def test_nearest_rows__equals_a_loop(run, any_class):
    rows = run[2].rows
    found = nearest_rows(
        rows, run[2], num_neighbors=7, any_class=any_class)
    for i in range(0, len(rows.classes), 5):
        similarity = (rows.embeddings @ rows.embeddings[i]).tolist()
        candidates = [
            j for j in range(len(rows.classes))
            if rows.image_ids[j] != rows.image_ids[i]
            and (any_class or rows.classes[j] == rows.classes[i])]
        best = sorted((similarity[j] for j in candidates), reverse=True)[:7]
        got = found[1][i][found[1][i] >= 0].tolist()
        assert len(got) == len(best) and set(got) <= set(candidates)
        np.testing.assert_allclose(
            [similarity[j] for j in got], best, atol=1e-6)
    if not any_class:
        np.testing.assert_allclose(
            *(np.where(t < 0, -1., rows.embeddings.mul(
                rows.embeddings[t.clamp(min=0)].transpose(0, 1)).sum(2).T)
              for t in (found[1], nearest_instances(run[2].bank(), 7))),
            atol=1e-6)


def pictures_of(text):
    """Return the pictures of a page."""
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1)
        for data in re.findall(r'src="data:image/png;base64,([^"]+)"', text)]


def test_retrieve_instances__of_an_image_of_the_bank(run):
    stored = run[2]
    files = retrieve_instances(
        *files_of(run), image_id=3, num_neighbors=4, max_instances=3)
    assert len(files.rows) == 3
    for row in files.rows:
        assert len(row.neighbors) == 4
        assert {crop.title for crop in row.neighbors} == {row.segment.title}
        own = stored.meta['images'][3]
        assert row.segment.source == own
        assert own not in {crop.source for crop in row.neighbors}
        notes = [float(crop.note.split()[0]) for crop in row.neighbors]
        assert notes == sorted(notes, reverse=True)
    text = files.page.read_text()
    shown = pictures_of(text)
    assert len(shown) == text.count('<img') == 2 + 3 * 5
    assert shown[0].shape == (*tiny_bank.SIZE, 3)
    assert all(part.shape == (160, 160, 3) for part in shown[2:])
    assert 'src="http' not in text and 'file:' not in text
    assert 'white: the ring' in text
    sheet = cv2.imread(str(files.sheet))
    assert sheet.shape[1] > 5 * 160 and sheet.std() > 10


def test_retrieve_instances__rows_of_the_bank(run):
    files = retrieve_instances(
        *files_of(run), bank_rows=[7, 2], num_neighbors=2, any_class=True)
    rows = run[2].rows
    assert [row.segment.note for row in files.rows] == [
        f'{int(rows.areas[i])} pixels' for i in (7, 2)]
    assert files.page.name == 'row_000007.html'
    assert files.page.read_text().count('<img') == 2 * 3


def test_retrieve_instances__of_another_image(run, tmp_path):
    scene = (np.random.default_rng(0).random((9, 12, 3)) * 255).astype(
        np.uint8)
    cv2.imwrite(str(tmp_path / 'new.png'),
                cv2.resize(scene, (100, 72), interpolation=cv2.INTER_CUBIC))
    files = retrieve_instances(
        *files_of(run), image=tmp_path / 'new.png', num_neighbors=2,
        any_class=True, max_instances=3)
    assert 1 <= len(files.rows) <= 3
    assert {row.segment.source for row in files.rows} == {'new.png'}
    assert all(len(row.neighbors) == 2 for row in files.rows)
    assert pictures_of(files.page.read_text())[0].shape == (72, 100, 3)


def test_retrieve_instances__an_image_does_not_find_itself(
        run, tmp_path, monkeypatch):
    _, cfg, stored = run
    name = stored.meta['images'][3]
    data = annotated_images(cfg)[3]
    cv2.imwrite(str(tmp_path / name),
                data['inputs'].permute(1, 2, 0).numpy())
    monkeypatch.chdir(tmp_path)
    files = retrieve_instances(
        *files_of(run), image=name, num_neighbors=40, any_class=True)
    sources = {crop.source for row in files.rows for crop in row.neighbors}
    assert name not in sources and len(sources) > 10


@pytest.mark.parametrize('is_known', [False, True])
def test_pictures__an_image_keeps_its_number_by_any_path(
        run, tmp_path, monkeypatch, is_known):
    cfg, weights, *_ = files_of(run)
    name = run[2].meta['images'][3] if is_known else 'new.png'
    cv2.imwrite(str(tmp_path / name), annotated_images(cfg)[3][
        'inputs'].permute(1, 2, 0).numpy())
    monkeypatch.chdir(tmp_path)
    pictures = Pictures(cfg, load_detector(cfg, weights), run[2])
    for path in (name, f'./{name}', tmp_path / name):
        rows = pictures.add(image_data(cfg, path), str(path))
        assert set(rows.image_ids.tolist()) == {3 if is_known else ADDED}


def test_retrieve_instances__predicted_bank_shows_predictions(run, tmp_path):
    cfg, weights, _, _ = files_of(run)
    stored = build_instance_bank(
        cfg, weights, tmp_path / 'p.bank', annotated=False, min_area=20)
    files = retrieve_instances(
        cfg, weights, tmp_path / 'p.bank', tmp_path, bank_rows=[0],
        num_neighbors=2)
    row, = files.rows
    assert row.segment.note == f'{int(stored.rows.areas[0])} pixels'
    yellow = (row.segment.picture == (255, 230, 0)).all(2)
    assert yellow.sum() > 20


def test_retrieve_instances__bank_of_other_weights(run, tmp_path):
    cfg, _, bank, out = files_of(run)
    tiny_bank.save_run(tmp_path, seed=1)
    with pytest.raises(ValueError, match='made with the loaded weights'):
        retrieve_instances(
            cfg, tmp_path / 'weights.pth', bank, out, image_id=0)


def test_retrieve_instances__data_of_other_images(run):
    cfg, *rest = files_of(run)
    cfg = copy.deepcopy(cfg)
    cfg.train_dataloader.dataset.seed = 5
    with pytest.raises(ValueError, match='image 0 of the data set must be'):
        retrieve_instances(cfg, *rest, image_id=0)


@pytest.mark.parametrize('options, error', [
    (dict(), 'exactly one of'),
    (dict(image_id=0, bank_rows=[0]), 'exactly one of'),
    (dict(image_id=20), r'`image_id` must lie in \[0, 20\)'),
    (dict(bank_rows=[-1]), '`bank_rows` must lie in'),
    (dict(image_id=0, num_neighbors=0), '`num_neighbors` must be')])
def test_retrieve_instances__bad_arguments(run, options, error):
    with pytest.raises(ValueError, match=error):
        retrieve_instances(*files_of(run), **options)


def test_retrieve_instances__missing_image(run, tmp_path):
    with pytest.raises(FileNotFoundError, match='image'):
        retrieve_instances(*files_of(run), image=tmp_path / 'no.png')


def test_report_context__equals_scores_by_hand(run):
    stored = run[2]
    report = report_context(stored, num_neighbors=3)
    own = score_context(stored.bank(), num_neighbors=3)
    base = score_context(
        stored.bank()._replace(embeddings=stored.rows.baseline),
        num_neighbors=3)
    assert report.embedding == own and report.baseline == base
    assert own.retrieved != base.retrieved
    assert own.expected == base.expected
    assert report.over_baseline == pytest.approx(
        own.retrieved / base.retrieved - 1)
    hists, total = stored.rows.histograms, []
    for i, row in enumerate(nearest_instances(stored.bank(), 3)):
        shared = [torch.minimum(hists[i], hists[j]).sum().item()
                  for j in row.tolist() if j >= 0]
        total += [np.mean(shared)] if shared else []
    assert report.embedding.retrieved == pytest.approx(np.mean(total))
    assert f'{own.retrieved:.4f}' in report.table()
    assert 'random of the class' in report.table()
    assert report.to_json()['embedding']['gain'] == own.gain


def test_report_context__feature_of_another_net(run, tmp_path):
    cfg, _, _, _ = files_of(run)
    tiny_bank.save_run(tmp_path, seed=1)
    other = build_instance_bank(
        cfg, tmp_path / 'weights.pth', tmp_path / 'o.bank', min_area=20)
    report = report_context(run[2], num_neighbors=3, other=other)
    assert report.embedding == report_context(
        run[2], num_neighbors=3).embedding
    assert report.baseline == report_context(
        other, num_neighbors=3).baseline
    assert report.feature == 'logits of other net'
    fewer = StoredInstances(
        other.rows.pick(torch.arange(1, len(other))), other.meta)
    with pytest.raises(ValueError, match='`other` must hold the same'):
        report_context(run[2], other=fewer)


def test_report_context__one_image(run):
    rows = run[2].rows
    alone = StoredInstances(rows.pick(rows.image_ids == 0), run[2].meta)
    with pytest.raises(ValueError, match='in two images'):
        report_context(alone)
