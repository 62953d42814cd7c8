"""Template of the explorer page: escapes, policy, no network."""
import base64
import hashlib
import html
import json
import re

import pytest
from visualization.explorer.explained_images import NASTY, small_image

from mmpixsort.visualization.explorer.explained import page_content
from mmpixsort.visualization.explorer.page import explorer_page, script_json


def page(**options):
    return explorer_page(page_content(small_image(**options)))


def test_page__names_can_end_no_element():
    text = page(name=NASTY, classes=(NASTY, 'sky', '--> <!-- <script>'))
    assert text.count('</script>') == 2 and text.count('<script') == 2
    assert '<!-- ' not in text and html.escape(NASTY) in text
    content, = re.findall(r'id="content">(.*?)</script>', text, re.S)
    assert json.loads(content)['classes'][0]['name'] == NASTY


def test_page__name_that_is_no_valid_unicode():
    text = page(name='a\udcff.png')
    assert 'a?.png' in text and text.encode()


@pytest.mark.parametrize('server', [False, True])
def test_page__policy_allows_its_own_script_and_style_only(server):
    text = explorer_page(page_content(small_image()), server=server)
    policy = html.unescape(re.search(
        'Content-Security-Policy" content="(.*?)"', text)[1])
    assert policy.startswith("default-src 'none';")
    assert 'unsafe' not in policy
    assert ('connect-src' in policy) == server
    for element in ('<style>(.*)</style>', '<script>(.*)</script>'):
        found = re.search(element, text, re.S)[1]
        digest = hashlib.sha256(found.encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_page__refers_to_no_file_and_no_address():
    text = page()
    assert '://' not in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert 'innerHTML' not in text


def test_script_json__escapes_what_a_browser_could_read():
    text = script_json([NASTY, '\u2028'])
    assert not set('<>&') & set(text) and text.isascii()
    assert json.loads(text) == [NASTY, '\u2028']
    with pytest.raises(ValueError):
        script_json(float('nan'))
