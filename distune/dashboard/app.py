"""The dashboard's server: the page, the studies of a folder, and each of them as it goes on.

Nothing of a request is ever a path: studies are looked up by the names that a listing gave, trials
by their numbers, and assets among those that were read when the server started.
"""

import asyncio
import hashlib
import time
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from distune.dashboard.acting import ACTIONS, MOST_BYTES, act
from distune.dashboard.overview import Overview
from distune.dashboard.streaming import Stream, messages
from distune.dashboard.watching import Studies, Watched
from distune.errors import DistuneError, UserError
from distune.page.files import page_files

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".txt": "text/plain",
}
_LISTED_EVERY = 1.0  # seconds
_MOST_FOLLOWED = 20  # studies, by one browser


class Dashboard:
    """The studies of a logs directory, for browsers: `Dashboard(logs).app` is ASGI.

    Args:
        logs: the directory.
        acts: whether a browser may have studies changed, too.
    """

    def __init__(self, logs: Path, acts: bool = False) -> None:
        self._acts = acts
        self._studies = Studies(logs)
        self._overview = Overview()
        self._listed = (0.0, b"")  # when, and what browsers get
        self._streams: dict[str, Stream] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._assets = {name: _asset(name, data) for name, data in page_files().items()}
        acting = Route("/api/studies/{study}/actions/{action}", self._act, methods=["POST"])
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/assets/{name:path}", self._asset),
                Route("/api/studies", self._list),
                Route("/api/events", self._events),
                Route("/api/studies/{study}/curves", self._curves),
                Route("/api/studies/{study}/importance", self._importance),
                Route("/api/studies/{study}/trials/{number:int}", self._trial),
                *([acting] if acts else []),
            ],
            middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=3)],
        )

    def end(self) -> None:
        """End what is sent for as long as a browser wants it."""
        for one in self._streams.values():
            one.end()

    async def _page(self, request: Request) -> Response:
        return Response(*self._assets["index.html"])

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._assets:
            raise HTTPException(404)
        content, status, headers = self._assets[name]
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, status, headers)

    async def _list(self, request: Request) -> Response:
        async with self._turns[""]:  # for all browsers that ask meanwhile
            if time.monotonic() - self._listed[0] > _LISTED_EVERY:
                found = await to_thread.run_sync(self._look_at_all)
                self._listed = time.monotonic(), msgspec.json.encode(found)
        return _json(self._listed[1])

    def _look_at_all(self) -> dict[str, Any]:
        about = {"logs": str(self._studies.logs), "actions": self._acts}
        try:
            rows = self._overview.look(self._studies.there())
        except DistuneError as error:
            return {"trouble": str(error), **about, "studies": []}
        return {"trouble": None, **about, "studies": rows}

    async def _watched(self, name: str) -> Watched:
        try:
            return await to_thread.run_sync(self._studies.__getitem__, name)
        except UserError as error:
            raise HTTPException(404, str(error)) from None
        except DistuneError as error:
            raise HTTPException(503, str(error)) from None

    async def _events(self, request: Request) -> Response:
        names = dict.fromkeys(request.query_params.getlist("study"))
        if not 0 < len(names) <= _MOST_FOLLOWED:
            raise HTTPException(400, f"name 1 to {_MOST_FOLLOWED} studies")
        for name in names:
            watched = await self._watched(name)
            known = self._streams.get(name)
            if known is None or known.watched is not watched:
                self._streams[name] = Stream(name, watched)
        sent = _as_events([self._streams[name] for name in names])
        headers = {"content-type": "text/event-stream"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            sent, headers["content-encoding"] = _zipped(sent), "gzip"
        return StreamingResponse(sent, headers=headers)

    async def _curves(self, request: Request) -> Response:
        watched = await self._watched(request.path_params["study"])
        return await self._answer(request, watched.curves)

    async def _importance(self, request: Request) -> Response:
        watched = await self._watched(request.path_params["study"])
        return await self._answer(request, watched.importance)

    async def _trial(self, request: Request) -> Response:
        watched, number = await self._watched(request.path_params["study"]), request.path_params
        return await self._answer(request, lambda: watched.trial(number["number"]))

    async def _act(self, request: Request) -> Response:
        study, action = request.path_params["study"], request.path_params["action"]
        await self._watched(study)
        if action not in ACTIONS:
            raise HTTPException(404)
        if request.headers.get("content-type") != "application/json":
            raise HTTPException(415, "JSON is asked for")
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BYTES:
                raise HTTPException(413)
        async with self._turns[study]:
            try:
                said = await act(self._studies.logs, study, action, body)
            except DistuneError as error:
                status = 400 if isinstance(error, UserError) else 503
                return _json(msgspec.json.encode({"trouble": str(error)}), status)
        return _json(msgspec.json.encode({"said": said}))

    async def _answer(self, request: Request, ask: Callable[[], Any]) -> Response:
        """What somebody asks for, one after the other of each study."""
        async with self._turns[request.path_params["study"]]:
            try:
                found = await to_thread.run_sync(ask)
            except DistuneError as error:
                return _json(msgspec.json.encode({"trouble": str(error)}), 503)
        if found is None:
            raise HTTPException(404)
        return _json(msgspec.json.encode(found))


async def _as_events(streams: Sequence[Stream]) -> AsyncIterator[bytes]:
    """Server-sent events; the last line of an event has its study's name."""
    async for name, message in messages(streams):
        yield b"data: %s\ndata: %s\n\n" % (message, name.encode())


async def _zipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece can be read when it has come."""
    zipper = zlib.compressobj(3, wbits=zlib.MAX_WBITS | 16)
    async for piece in pieces:
        yield zipper.compress(piece) + zipper.flush(zlib.Z_SYNC_FLUSH)


def _asset(name: str, data: bytes) -> tuple[bytes, int, dict[str, str]]:
    """Content, status and headers."""
    kind = f"{_TYPES[Path(name).suffix]}; charset=utf-8"
    return data, 200, {"content-type": kind, "etag": f'"{hashlib.sha256(data).hexdigest()[:20]}"'}


def _json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")
