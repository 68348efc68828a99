"""What browsers are sent as studies go on: each is looked at once a second, for all browsers."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack

import msgspec
from anyio import to_thread

from distune.dashboard.watching import Watched
from distune.errors import DistuneError
from distune.page.following import Follower

_EVERY = 1.0  # seconds between two looks
_RECENT = 1.0  # seconds
_BEHIND = 30  # messages of a study that a browser has not taken, after which it gets all anew


class Reader:
    """A browser: what it has still to be sent."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[bytes]] = {}
        self._is_over = False
        self._has_some = asyncio.Event()

    def put(self, name: str, message: bytes) -> bool:
        """Whether there was room for it."""
        messages = self._waiting.setdefault(name, [])
        if len(messages) >= _BEHIND:
            messages.clear()
            return False
        messages.append(message)
        self._has_some.set()
        return True

    def end(self) -> None:
        self._is_over = True
        self._has_some.set()

    async def take(self) -> AsyncIterator[tuple[str, bytes]]:
        while not self._is_over:
            await self._has_some.wait()
            self._has_some.clear()
            waiting, self._waiting = self._waiting, {}
            for name, messages in waiting.items():
                for message in messages:
                    yield name, message


class Stream:
    """A study for any number of browsers, looked at while there is one."""

    def __init__(self, name: str, watched: Watched) -> None:
        self._name, self.watched = name, watched
        self._follower = Follower()
        self._readers: set[Reader] = set()
        self._looking: asyncio.Task[None] | None = None

    async def enter(self, reader: Reader) -> None:
        """All of the study, then what changes."""
        self._readers.add(reader)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())  # sends all of it first
        else:
            await self._send_whole(reader)

    def leave(self, reader: Reader) -> None:
        self._readers.discard(reader)

    def end(self) -> None:
        for reader in self._readers:
            reader.end()

    async def _look_on(self) -> None:
        try:
            last = b""
            while self._readers:
                began = time.monotonic()
                message = await to_thread.run_sync(self._look)
                if message != last:
                    last = message
                    await self._send(message)
                # Of 10,000 trials it takes half a second to see which are others: half of the time
                # is left to what else runs on this host.
                looked = time.monotonic() - began
                await asyncio.sleep(max(_EVERY - looked, looked))
        finally:
            self._follower = Follower()  # what it remembers of 10,000 trials is megabytes
            self.end()  # where that went wrong, browsers come again

    async def _send(self, message: bytes) -> None:
        for reader in list(self._readers):
            if not reader.put(self._name, message):
                await self._send_whole(reader)

    async def _send_whole(self, reader: Reader) -> None:
        reader.put(self._name, await to_thread.run_sync(self._whole))

    def _look(self) -> bytes:
        try:
            with self.watched.looked(_EVERY / 2) as snapshot:  # others may have looked just now
                return self._follower.changes(snapshot)
        except DistuneError as error:
            return msgspec.json.encode({"trouble": str(error)})

    def _whole(self) -> bytes:
        try:
            with self.watched.looked(_RECENT) as snapshot:
                return self._follower.whole(snapshot)
        except DistuneError as error:
            return msgspec.json.encode({"trouble": str(error)})


async def messages(streams: Sequence[Stream]) -> AsyncIterator[tuple[str, bytes]]:
    """Of several studies, as they come, each with its study's name."""
    reader = Reader()
    with ExitStack() as entered:
        for one in streams:
            entered.callback(one.leave, reader)
            await one.enter(reader)
        async for message in reader.take():
            yield message
