"""A server on this machine for what tests download, also one that does it badly."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

Fault = Literal["404", "500", "cut", "damaged"]
FAULTS: tuple[Fault, ...] = ("404", "500", "cut", "damaged")


class FileServer(ThreadingHTTPServer):
    """Serves the files of a folder, but answers only once opened.

    Attributes:
        url: of the folder, with a slash at its end.
        asked: how often each file was asked for.
        fault: what it does instead: answers with an error, breaks off in the middle of a
            file, or sends it with one bit changed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.asked: Counter[str] = Counter()
        self.opened = threading.Event()
        self.fault: Fault | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client may hang up
            super().handle_error(request, client_address)


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, FileServer)
        server.opened.wait(60)
        server.asked[self.path.removeprefix("/")] += 1
        if server.fault is None:
            super().do_GET()
        elif server.fault in ("404", "500"):
            self.send_error(int(server.fault))
        else:
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            half = len(content) // 2
            rest = bytes([content[half] ^ 1]) + content[half + 1 :]
            self.wfile.write(content[:half] + (rest if server.fault == "damaged" else b""))

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    """A server for this folder, which stops at the end."""
    with FileServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.opened.set()
            server.shutdown()
            thread.join()
