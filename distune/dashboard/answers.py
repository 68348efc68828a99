"""The kinds of answers: files of the page, JSON, and events that go on."""

import gzip
import hashlib
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}


class Asset:
    """A file of the page, which a browser keeps until it is another one."""

    def __init__(self, name: str, content: bytes) -> None:
        self._content, self._packed = content, gzip.compress(content, mtime=0)
        self._headers = {
            "content-type": f"{_TYPES[Path(name).suffix]}; charset=utf-8",
            "etag": f'"{hashlib.sha256(content).hexdigest()[:20]}"',
            "vary": "accept-encoding",
        }

    def answer(self, request: Request) -> Response:
        if request.headers.get("if-none-match") == self._headers["etag"]:
            return Response(status_code=304, headers=self._headers)
        if _takes_gzip(request):
            return Response(self._packed, headers={**self._headers, "content-encoding": "gzip"})
        return Response(self._content, headers=self._headers)


def json_answer(tree: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(tree), status, media_type="application/json")


def events_answer(request: Request, messages: AsyncIterator[tuple[str, bytes]]) -> Response:
    """Server-sent events, compressed if the browser knows how.

    Args:
        messages: JSON, each with its study's name, which is the last line of the event.
    """
    sent, headers = _as_events(messages), {"content-type": "text/event-stream"}
    if _takes_gzip(request):
        sent, headers["content-encoding"] = _zipped(sent), "gzip"
    return StreamingResponse(sent, headers=headers)


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


async def _as_events(messages: AsyncIterator[tuple[str, bytes]]) -> AsyncIterator[bytes]:
    async for name, message in messages:
        yield b"data: %s\ndata: %s\n\n" % (message, name.encode())


async def _zipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece can be read when it has come."""
    zipper = zlib.compressobj(3, wbits=zlib.MAX_WBITS | 16)
    async for piece in pieces:
        yield zipper.compress(piece) + zipper.flush(zlib.Z_SYNC_FLUSH)
