"""Relabel the segments of a bank on a page of a small local server."""
import html
import json
import os.path as osp
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Sequence, Union

from mmpixsort.retrieval import relabel, write_bank
from mmpixsort.visualization.explorer.explained import page_content
from mmpixsort.visualization.explorer.page import content_policy, explorer_page

from .explain import Explainer

HOST = '127.0.0.1'  # requests of other machines cannot reach the server
MAX_BODY = 1 << 16  # bytes of a request
MAX_NAME = 200  # characters of the name of a class


class BankEditor:
    """Explain images, and relabel segments of the bank behind them.

    Args:
        explainer: Explainer with the model and the bank to edit.
        images: Paths of the images.
        out: Bank file that is written after every change. The file of the
            bank that was read is kept, unless it is the same file.

    Raises:
        FileNotFoundError: If an image does not exist.
    """

    def __init__(self, explainer: Explainer,
                 images: Sequence[Union[str, Path]],
                 out: Union[str, Path]) -> None:
        for image in images:
            if not Path(image).is_file():
                raise FileNotFoundError(f'image {str(image)!r} not found')
        self.explainer = explainer
        self.images = list(images)
        self.out = Path(out)
        self.token = secrets.token_urlsafe()
        self._lock = Lock()

    def content(self, number: int) -> dict:
        """Return the content of the page of an image.

        Args:
            number: Index of the image.
        """
        with self._lock:
            return self._content(number)

    def _content(self, number: int) -> dict:
        explained = self.explainer.explained(self.images[number])
        return dict(page_content(explained),
                    server=dict(token=self.token, image=number))

    def relabel(self, request: object) -> dict:
        """Relabel segments, write the bank, and return the new content.

        Args:
            request: Dict with `image`, the index of the image; `rows`, the
                rows of the bank to relabel; and `name`, their new class.

        Raises:
            ValueError: If the request is not such a dict, or a row does not
                exist. The bank is then unchanged.
        """
        number, rows, name = self._read(request)
        with self._lock:
            bank = relabel(self.explainer.bank, new=name, rows=rows)
            write_bank(bank, self.out)
            self.explainer.use(bank)
            return self._content(number)

    def _read(self, request: object) -> tuple:
        """Return the parts of a request after a check of their types."""
        parts = request if isinstance(request, dict) else {}
        number, rows, name = (
            parts.get(key) for key in ('image', 'rows', 'name'))
        if type(number) is not int or not 0 <= number < len(self.images):
            raise ValueError('`image` must be the index of one of '
                             f'{len(self.images)} images, got {number!r}')
        if not isinstance(rows, list) or not rows or any(
                type(row) is not int for row in rows):
            raise ValueError('`rows` must be a list of rows of the bank, got '
                             f'{rows!r}')
        if not isinstance(name, str) or not 0 < len(
                name.strip()) <= MAX_NAME:
            raise ValueError('`name` must be the name of a class with 1 to '
                             f'{MAX_NAME} characters, got {name!r}')
        return number, rows, name.strip()


class BankServer(ThreadingHTTPServer):
    """Serve the pages of an editor to browsers on this machine.

    Only this machine can connect. A request must name the address of the
    server as its host, and a change needs a token that only its own pages
    have; thus no other web page can change the bank.

    Args:
        editor: Editor of the bank.
        port: Number of the port; 0 chooses a free one.
    """

    daemon_threads = True

    def __init__(self, editor: BankEditor, *, port: int = 0) -> None:
        self.editor = editor
        super().__init__((HOST, port), _Handler)
        self.url = f'http://{HOST}:{self.server_address[1]}/'


class _Handler(BaseHTTPRequestHandler):
    """Answer the requests for pages and for changes."""

    def do_GET(self) -> None:
        if not self._is_local():
            return
        editor = self.server.editor
        if self.path == '/':
            self._send(200, _index(editor.images))
            return
        number = self.path.removeprefix('/image/')
        if number not in map(str, range(len(editor.images))):
            self._send(404, 'There is no such page.')
            return
        try:
            content = editor.content(int(number))
        except OSError as error:  # a file was removed in the meantime
            self._send(500, html.escape(str(error)))
        else:
            self._send(200, explorer_page(content, server=True))

    def do_POST(self) -> None:
        if not self._is_local():
            return
        token = self.headers.get('X-Token', '')
        length = self.headers.get('Content-Length', '')
        if self.path != '/relabel' or not secrets.compare_digest(
                token.encode(), self.server.editor.token.encode()):
            self._fail(403, 'the request must come from a page of this '
                       'server; load the page again')
        elif not length.isdecimal() or int(length) > MAX_BODY:
            self._fail(413, f'a request may have {MAX_BODY} bytes')
        else:
            self._relabel(self.rfile.read(int(length)))

    def _relabel(self, body: bytes) -> None:
        try:
            content = self.server.editor.relabel(json.loads(body))
        except ValueError as error:
            self._fail(400, str(error))
        except OSError as error:
            self._fail(500, f'the bank cannot be written: {error}')
        else:
            self._send(200, json.dumps(content), 'application/json')

    def _is_local(self) -> bool:
        """Refuse a request that was made for another host."""
        port = self.server.server_address[1]
        if self.headers.get('Host') in (f'{HOST}:{port}',
                                        f'localhost:{port}'):
            return True
        self._send(403, f'The server answers to {self.server.url} only.')
        return False

    def _fail(self, status: int, error: str) -> None:
        self._send(status, json.dumps(dict(error=error)), 'application/json')

    def _send(self, status: int, text: str, kind: str = 'text/html') -> None:
        data = text.encode('utf-8', 'replace')
        self.send_response(status)
        for name, value in (
                ('Content-Type', f'{kind}; charset=utf-8'),
                ('Content-Length', str(len(data))),
                ('Cache-Control', 'no-store'),
                ('X-Content-Type-Options', 'nosniff'),
                ('X-Frame-Options', 'DENY'),
                ('Referrer-Policy', 'no-referrer')):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args) -> None:
        """Print nothing for each request."""


def _index(images: Sequence[Union[str, Path]]) -> str:
    """Return a page with a link to each image."""
    links = ''.join(
        f'<li><a href="/image/{number}">'
        f'{html.escape(osp.basename(image))}</a></li>'
        for number, image in enumerate(images))
    policy = html.escape(content_policy('', '', server=False))
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width">'
            '<title>Images</title></head><body><h1>Images</h1>'
            f'<ul>{links}</ul></body></html>\n')
