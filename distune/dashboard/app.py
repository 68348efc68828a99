"""The dashboard's server: the page, the studies of a folder, and each of them as it goes on.

Nothing of a request is ever a path: studies are looked up by the names that a listing gave, trials
by their numbers, and assets among those that were read when the server started.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from distune.dashboard.overview import Overview
from distune.dashboard.watching import Watched
from distune.errors import DistuneError
from distune.page.files import page_files
from distune.share.find_studies import find_studies
from distune.share.store import Store
from distune.watch.display.json_data import trial_json

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


class Dashboard:
    """The studies of a logs directory, for browsers: `Dashboard(logs).app` is ASGI."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._overview = Overview()
        self._watched: dict[str, Watched] = {}
        self._stores: dict[str, Store] = {}
        self._assets = page_files()
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/assets/{name:path}", self._asset),
                Route("/api/studies", self._studies),
                Route("/api/studies/{study}/events", self._events),
                Route("/api/studies/{study}/curves", self._curves),
                Route("/api/studies/{study}/importance", self._importance),
                Route("/api/studies/{study}/trials/{number:int}", self._trial),
            ]
        )

    async def _page(self, request: Request) -> Response:
        return Response(self._assets["index.html"], media_type="text/html")

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._assets:
            raise HTTPException(404)
        return Response(self._assets[name], media_type=_TYPES[Path(name).suffix])

    async def _studies(self, request: Request) -> Response:
        try:
            found = await to_thread.run_sync(self._look_at_all)
        except DistuneError as error:
            return _json({"trouble": str(error), "studies": []})
        return _json({"trouble": None, "logs": str(self._logs), "studies": found})

    def _look_at_all(self) -> list[dict[str, Any]]:
        self._stores = find_studies(self._logs)
        return self._overview.look(self._stores)

    async def _store(self, request: Request) -> tuple[str, Store]:
        name = request.path_params["study"]
        if name not in self._stores:
            self._stores = await to_thread.run_sync(find_studies, self._logs)
        if name not in self._stores:
            raise HTTPException(404, f"no study {name!r} in {self._logs}")
        return name, self._stores[name]

    async def _events(self, request: Request) -> Response:
        name, store = await self._store(request)
        watched = self._watched.setdefault(name, Watched(store))
        return StreamingResponse(_as_events(watched), media_type="text/event-stream")

    async def _curves(self, request: Request) -> Response:
        name, store = await self._store(request)
        watched = self._watched.setdefault(name, Watched(store))
        return _json(await to_thread.run_sync(watched.curves))

    async def _importance(self, request: Request) -> Response:
        name, store = await self._store(request)
        watched = self._watched.setdefault(name, Watched(store))
        return _json(await to_thread.run_sync(watched.importance))

    async def _trial(self, request: Request) -> Response:
        _, store = await self._store(request)
        number = request.path_params["number"]

        def read() -> dict[str, Any] | None:
            attempts = store.attempts_of(number)
            return trial_json(attempts) if attempts else None

        try:
            found = await to_thread.run_sync(read)
        except DistuneError as error:
            return _json({"trouble": str(error)}, 503)
        if found is None:
            raise HTTPException(404, f"no trial {number}")
        return _json(found)


async def _as_events(watched: Watched) -> AsyncIterator[bytes]:
    """Server-sent events; a comment now and then, so that a browser that has gone is noticed."""
    async for message in watched.follow():
        yield b"data: " + message + b"\n\n"


def _json(tree: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(tree), status, media_type="application/json")
