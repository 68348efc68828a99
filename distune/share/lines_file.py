"""A file of records, a line each, that the master appends to and remembers: `asked.jsonl`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from distune.errors import BadRecord
from distune.share import records
from distune.share.store import Store
from distune.study.trial import Record

_LIMIT = 2**32  # bytes


class LinesFile:
    """`LinesFile(store, "asked.jsonl")`; the master writes, and knows what should be in it.

    Attributes:
        problem: why the file, as far as it was read, is not what this study's masters wrote; None
            if it is. Half a line, which a crash leaves, is no problem.
    """

    def __init__(self, store: Store, path: str) -> None:
        self.problem: str | None = None
        self._store = store
        self._path = path
        self._begin, self._last = 0, b""  # where the last line that was seen begins, and that line
        self._unseen: set[bytes] = set()  # lines that were appended since

    def read(self, take: Callable[[Record, bytes], bool]) -> None:
        """Read what was not read before.

        Args:
            take: is given each record with its line, and says whether it belongs here.
        """
        try:
            data = self._store.folder.read(self._path, self._begin, limit=_LIMIT)
            if not data.startswith(self._last):  # it was written anew
                data = self._store.folder.read(self._path, limit=_LIMIT)
                self._begin, self._last = 0, b""
            for record, line in records.decode_with_lines(data[len(self._last) :], self._judge):
                if not take(record, line):
                    self.problem = "a line in it is of another kind, or of another study"
        except FileNotFoundError:
            self.problem = "it was gone"
            return
        except BadRecord as error:
            self.problem = str(error)
            return
        self._see(data)

    def append(self, lines: Iterable[bytes]) -> None:
        """Add lines, and have them on the disk.

        Raises:
            FileNotFoundError: there is no such file.
            BadRecord: there is something else of its name.
            ShareError: they may be there or not.
        """
        lines = list(lines)
        self._store.append_lines(self._path, lines)
        self._unseen.update(line.rstrip(b"\n") for line in lines)

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Have exactly these lines in it; what is there is set aside if it made no sense."""
        if self.problem is not None:
            self._store.set_aside(self._path, self.problem)
        data = b"".join(lines)
        self._store.write_document(self._path, data)
        self.problem = None
        self._begin, self._last = 0, b""
        self._see(data)

    def is_whole(self) -> bool:
        """Whether the file still has the last line that was seen in it, in its place, and all that
        was appended since. If the share came back in an older state, it has not.
        """
        try:
            data = self._store.folder.read(self._path, self._begin, limit=_LIMIT)
        except (FileNotFoundError, BadRecord) as error:
            self.problem = "it was gone" if isinstance(error, FileNotFoundError) else str(error)
            return False
        if not data.startswith(self._last) or not self._unseen.issubset(data.split(b"\n")):
            return False
        self._see(data)
        return True

    def _see(self, data: bytes) -> None:
        """Note the last line of what was read from where the last one began."""
        self._unseen.clear()
        end = data.rfind(b"\n") + 1
        begin = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
        self._begin, self._last = self._begin + begin, data[begin:end]

    def _judge(self, line: bytes) -> None:
        """What is no record may be half of one: then a master died while it wrote."""
        head = b'{"kind":"'[: len(line)]
        if line[: len(head)] != head:
            self.problem = "a line in it is no record"
