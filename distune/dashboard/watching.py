"""Looks at a study for as long as browsers follow it: once a second, for all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from anyio import to_thread

from distune.errors import DistuneError
from distune.export.importance import Unknown, importances
from distune.page.curves import Point, points, sample
from distune.page.study import Follower
from distune.share.store import Store
from distune.watch.display.importance import importance_json
from distune.watch.load import StoredCurves
from distune.watch.observer import Observer

_EVERY = 1.0  # seconds between two looks
_BEST, _OTHERS = 40, 80  # trials of which curves are drawn
_BEHIND = 30  # messages that a browser has not taken, after which it gets all of it anew


class Watched:
    """A study that may be followed by any number of browsers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._observer: Observer | None = None
        self._follower = Follower()
        self._curves: dict[int, list[Point]] = {}
        self._importance: tuple[int, dict[str, Any]] | None = None
        self._queues: set[asyncio.Queue[bytes]] = set()
        self._looking: asyncio.Task[None] | None = None

    async def follow(self) -> AsyncIterator[bytes]:
        """Messages, as JSON: all of the study first, and again for who has fallen behind; then what
        has changed since the one before.
        """
        queue: asyncio.Queue[bytes] = asyncio.Queue(_BEHIND)
        if self._follower.known:
            yield msgspec.json.encode(self._follower.known)
        self._queues.add(queue)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)

    async def _look_on(self) -> None:
        while self._queues:
            message = await to_thread.run_sync(self._look)
            for queue in self._queues:
                if queue.full():
                    while not queue.empty():
                        queue.get_nowait()
                    queue.put_nowait(msgspec.json.encode(self._follower.known))
                else:
                    queue.put_nowait(message)
            await asyncio.sleep(_EVERY)

    def curves(self) -> dict[int, list[Point]]:
        """Of the best trials and of others, drawn at random, by their numbers. What is counted does
        not change: each file is read once.
        """
        if self._observer is None:
            return {}
        history, metric = self._observer.history, self._observer.study.metric
        stored = StoredCurves(self._store, history)
        found = {}
        for one in sample(history, _BEST, _OTHERS):
            number = one.trial.number
            if number not in self._curves:
                with contextlib.suppress(DistuneError):
                    self._curves[number] = points(stored[number], metric)
            found[number] = self._curves.get(number, [])
        return found

    def importance(self) -> dict[str, Any]:
        """What mattered; or why that is unknown. It is worked out once for so many trials."""
        if self._observer is None:
            return {"unknown": "nothing is known yet"}
        history = self._observer.history
        if self._importance is None or self._importance[0] != len(history):
            try:
                found = importance_json(history.study, importances(history))
            except Unknown as error:
                found = {"unknown": str(error)}
            self._importance = len(history), found
        return self._importance[1]

    def _look(self) -> bytes:
        try:
            if self._observer is None:
                self._observer = Observer(self._store)
            snapshot = self._observer.look(curves=True)
        except (DistuneError, FileNotFoundError) as error:
            if self._observer is not None:
                self._observer.blind()
            return msgspec.json.encode({"trouble": str(error)})
        return msgspec.json.encode({"trouble": None, **self._follower.changes(snapshot)})
