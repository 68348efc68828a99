"""The dashboard's server: the page, the studies of a folder, and each of them as it goes on.

Nothing of a request is ever a path: studies are looked up by the names that a listing gave, trials
by their numbers, and assets among those that were read when the server started.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from distune.dashboard.acting import ACTIONS, MOST_BYTES, act
from distune.dashboard.answers import Asset, events_answer, json_answer
from distune.dashboard.overview import Overview
from distune.dashboard.streaming import Stream, messages
from distune.dashboard.watching import Studies, Watched
from distune.errors import DistuneError, UserError
from distune.page.files import page_files

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
        self._listed = (0.0, msgspec.Raw())  # when, and what browsers get
        self._streams: dict[str, Stream] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._assets = {name: Asset(name, data) for name, data in page_files().items()}
        acting = Route("/api/studies/{study}/actions/{action}", self._act, methods=["POST"])
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/assets/{name:path}", self._asset),
                Route("/api/server", self._about),
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
        self._studies.end()

    async def _page(self, request: Request) -> Response:
        return self._assets["index.html"].answer(request)

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._assets:
            raise HTTPException(404)
        return self._assets[name].answer(request)

    @property
    def _itself(self) -> dict[str, Any]:
        return {"logs": str(self._studies.logs), "actions": self._acts}

    async def _about(self, request: Request) -> Response:
        return json_answer(self._itself)

    async def _list(self, request: Request) -> Response:
        async with self._turns[""]:  # for all browsers that ask meanwhile
            if time.monotonic() - self._listed[0] > _LISTED_EVERY:
                found = await to_thread.run_sync(self._look_at_all)
                self._listed = time.monotonic(), msgspec.Raw(msgspec.json.encode(found))
        return json_answer(self._listed[1])

    def _look_at_all(self) -> dict[str, Any]:
        try:
            rows = self._overview.look(self._studies.there())
        except DistuneError as error:
            return {"trouble": str(error), **self._itself, "studies": []}
        return {"trouble": None, **self._itself, "studies": rows}

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
        return events_answer(request, messages([self._streams[name] for name in names]))

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
                return json_answer({"trouble": str(error)}, status)
        return json_answer({"said": said})

    async def _answer(self, request: Request, ask: Callable[[], Any]) -> Response:
        """What somebody asks for, one after the other of each study."""
        async with self._turns[request.path_params["study"]]:
            try:
                found = await to_thread.run_sync(ask)
            except DistuneError as error:
                return json_answer({"trouble": str(error)}, 503)
        if found is None:
            raise HTTPException(404)
        return json_answer(found)
