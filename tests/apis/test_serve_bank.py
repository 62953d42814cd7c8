"""The local server on whose pages a bank is relabelled."""
import json
import re
import threading
from http.client import HTTPConnection

import cv2
import pytest
import tiny_bank
from browsers import chromium

from mmpixsort.apis.bank import build_bank
from mmpixsort.apis.explain import Explainer
from mmpixsort.apis.serve_bank import MAX_BODY, BankEditor, BankServer
from mmpixsort.datasets.synthetic import StreetScenes
from mmpixsort.retrieval import read_bank


@pytest.fixture(scope='module')
def explainer(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bank')
    cfg = tiny_bank.save_segment_run(folder)
    scene = StreetScenes(num_images=1, size=(64, 96), seed=3, split='val')[0]
    cv2.imwrite(str(folder / 'a<b>.png'), scene.image[..., ::-1])
    bank = build_bank(cfg, folder / 'weights.pth', folder / 'x.bank')
    made = Explainer(cfg, folder / 'weights.pth', bank, max_segments=4)
    return folder, made, bank


@pytest.fixture
def server(explainer, tmp_path):
    folder, made, bank = explainer
    made.use(bank)
    editor = BankEditor(made, [folder / 'a<b>.png'], tmp_path / 'y.bank')
    with BankServer(editor) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(server, method, path, body=None, **headers):
    connection = HTTPConnection(*server.server_address, timeout=60)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def post(server, request, **headers):
    headers = {'X-Token': server.editor.token, **headers}
    status, text = ask(
        server, 'POST', '/relabel', json.dumps(request), **headers)
    return status, json.loads(text)


def test_server__listens_on_this_machine_only(server):
    assert server.server_address[0] == '127.0.0.1'
    assert 'a&lt;b&gt;.png' in ask(server, 'GET', '/')[1]
    assert ask(server, 'GET', '/image/1')[0] == 404
    assert ask(server, 'GET', '/../x.bank')[0] == 404


def test_relabel__edits_the_bank_and_predicts_anew(server, explainer):
    _, made, bank = explainer
    status, text = ask(server, 'GET', '/image/0')
    assert status == 200 and "connect-src 'self'" in text.replace(
        '&#x27;', "'")
    content = json.loads(re.search(
        'id="content">(.*?)</script>', text, re.S)[1])
    segment = content['segments'][0]
    row = segment['near'][0]['row']  # one neighbour votes
    status, found = post(server, dict(image=0, rows=[row], name=' tram '))
    assert status == 200
    tram = found['segments'][0]
    assert found['classes'][tram['label']]['name'] == 'tram'
    assert tram['number'] == segment['number']
    assert found['pictures']['label'] != content['pictures']['label']
    assert found['crops'] == content['crops']  # drawn once
    written = read_bank(server.editor.out)
    assert written.meta['classes'][written.labels[row]] == 'tram'
    assert (written.labels != bank.labels).sum() == 1


def test_relabel__from_the_page_in_a_browser(server):
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f'{server.url}image/0')
        page.click('text=Relabel the ticked segments')  # no class: no request
        page.fill('#new-class', 'tram')
        page.click('text=Relabel the ticked segments')
        assert 'Tick at least one' in page.inner_text('#status')
        page.locator('[name=row]').first.check()
        page.keyboard.press('Tab')
        page.click('text=Relabel the ticked segments')
        page.wait_for_selector('#detail-title:has-text("tram")')
        assert page.locator('.cards strong').first.inner_text() == 'tram'
        assert 'are tram now' in page.inner_text('#status')
        page.locator('[name=row]').first.check()
        page.fill('#new-class', 'x' * 201)
        page.click('text=Relabel the ticked segments')
        page.wait_for_selector('form .warning')
        assert 'Nothing was changed: `name` must' in page.inner_text(
            'form .warning')
    assert 'tram' in read_bank(server.editor.out).meta['classes']


@pytest.mark.parametrize('request_, error', [
    ([], '`image` must'), (dict(image=True), '`image` must'),
    (dict(image=0, rows=['1'], name='x'), '`rows` must'),
    (dict(image=0, rows=[], name='x'), '`rows` must'),
    (dict(image=0, rows=[-1], name='x'), '`rows` must lie in'),
    (dict(image=0, rows=[1], name=' '), '`name` must'),
    (dict(image=0, rows=[1], name='x' * 201), '`name` must')])
def test_relabel__refuses_other_requests(server, explainer, request_, error):
    status, found = post(server, request_)
    assert status == 400 and found['error'].startswith(error)
    assert not server.editor.out.exists()
    assert server.editor.explainer.bank is explainer[2]


def test_relabel__needs_the_token_and_the_host(server):
    request = dict(image=0, rows=[1], name='x')
    assert post(server, request, **{'X-Token': 'no'})[0] == 403
    assert ask(server, 'POST', '/relabel', '{}')[0] == 403
    assert ask(server, 'GET', '/', Host='evil.example')[0] == 403
    assert ask(server, 'POST', '/relabel', '{}', Host='evil.example',
               **{'X-Token': server.editor.token})[0] == 403
    assert post(server, request, **{
        'Content-Length': str(MAX_BODY + 1)})[0] == 413
    assert not server.editor.out.exists()


def test_relabel__a_body_that_is_no_json(server):
    status, text = ask(server, 'POST', '/relabel', '{',
                       **{'X-Token': server.editor.token})
    assert status == 400 and 'error' in json.loads(text)


def test_editor__missing_image(explainer, tmp_path):
    with pytest.raises(FileNotFoundError, match='no.png'):
        BankEditor(explainer[1], [tmp_path / 'no.png'], tmp_path / 'y.bank')
