"""A local HTTP server of files that misbehaves as it is told."""
import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Dict, Iterator, List, Optional


class ZooServer:
    """Serve files from memory, with faults.

    Attributes:
        files: Dict from the name of each file to its bytes.
        requests: Headers of the requests that arrived.
        cut: Number of bytes of an answer after which the connection is
            closed, for each of the next answers; None sends all.
        ranges: Whether ranges are understood.
        says: Length that full answers state, in place of the true one.
        tag: ETag; None takes one of the content, '' sends none.
        status: Status of all answers, if it is not None.
    """

    def __init__(self) -> None:
        self.files: Dict[str, bytes] = {}
        self.requests: List[dict] = []
        self.cut: List[Optional[int]] = []
        self.ranges = True
        self.says: Optional[int] = None
        self.tag: Optional[str] = None
        self.status: Optional[int] = None
        self.url = ''

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        self.requests.append(dict(handler.headers.items()))
        content = self.files.get(handler.path.lstrip('/'))
        if self.status is not None or content is None:
            handler.send_error(self.status or 404)
            return
        tag = self.tag
        if tag is None:
            tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        start = 0
        wanted = handler.headers.get('Range')
        condition = handler.headers.get('If-Range')
        if self.ranges and wanted and condition in (None, tag):
            start = int(wanted.removeprefix('bytes=').removesuffix('-'))
            if start >= len(content):
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header('Content-Range', f'bytes {start}-'
                                f'{len(content) - 1}/{len(content)}')
        else:
            handler.send_response(200)
        length = len(content) - start if self.says is None else self.says
        handler.send_header('Content-Length', str(length))
        if tag:
            handler.send_header('ETag', tag)
        handler.end_headers()
        cut = self.cut.pop(0) if self.cut else None
        handler.wfile.write(content[start:][:cut])


@contextmanager
def running_server() -> Iterator[ZooServer]:
    """Run a server on a free port of this machine."""
    zoo = ZooServer()

    class Handler(BaseHTTPRequestHandler):

        def do_GET(self):
            try:
                zoo.answer(self)
            except ConnectionError:
                pass  # the client has read enough

        def log_message(self, *args):
            """Keep the output of the tests clean."""

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    zoo.url = f'http://127.0.0.1:{server.server_port}'
    try:
        yield zoo
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
