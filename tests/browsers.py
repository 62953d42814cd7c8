"""A real browser without a window, for tests of pages.

It needs the package playwright (extra `browser`) and a Chromium or Chrome of
the system, or one that the variable CHROMIUM names. Tests are skipped where
one is missing.
"""
import os
import shutil
from contextlib import contextmanager

import pytest


@contextmanager
def chromium():
    """Start a browser for the time of the block, or skip the test."""
    sync_api = pytest.importorskip(
        'playwright.sync_api',
        reason='the package playwright is not installed (extra `browser`)')
    path = os.environ.get('CHROMIUM') or next(filter(None, map(
        shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))),
        None)
    if path is None:
        pytest.skip('no Chromium or Chrome was found')
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=path, args=['--no-sandbox'])
        yield browser
        browser.close()
