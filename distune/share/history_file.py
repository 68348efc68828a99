"""`history.jsonl`: one line for each counted trial, appended by the master, followed by viewers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from distune.errors import BadRecord
from distune.share import protocol, records
from distune.share.store import Store
from distune.study.trial import Counted

_CHUNK = 2 * 2**20  # bytes read at a time
_SIZE_LIMIT = 2**32
_BEGINNING = b'{"kind":"counted",'


class HistoryFile:
    """The history of one study on the share: `HistoryFile(store, study.id).read()`.

    Only the study's master writes it.

    Attributes:
        problem: why the file, as far as it was read, is not what this study's master wrote;
            None if it is. A torn line is no problem.
        lost: whether lines were missing once that had been there; until it is written anew.
    """

    def __init__(self, store: Store, study: str) -> None:
        self._store = store
        self._study = study
        self.problem: str | None = None
        self.lost = False
        self._offset = 0  # where the next unread line begins
        #: Where the last known line begins, and that line.
        self._mark = 0, b""
        self._unchecked: set[bytes] = set()  # lines added since that

    def read(self) -> Iterator[tuple[Counted, bytes]]:
        """The counted trials that were not read before, each with its line; all of them again if
        the file is another one.

        Raises:
            BadRecord: it is nothing that a master wrote.
        """
        if self._offset and not self.is_whole():
            self._start_over()
        while True:
            # The end of the line before belongs to it: else the file has been made anew.
            start = max(self._offset - 1, 0)
            try:
                data = self._store.folder.read(protocol.HISTORY, start, _CHUNK, part=True)
            except FileNotFoundError:
                self._start_over()
                return
            if self._offset and data[:1] != b"\n":
                self._start_over()
                continue
            end = data.rfind(b"\n") + 1
            new = data[self._offset - start : end]
            if new:
                yield from self._counted_in(new)
                self._offset = start + end
                self._mark = _last_line(data, start)
            elif len(data) > records.LINE_LIMIT:
                raise BadRecord("a line of it does not end")
            if len(data) < _CHUNK:
                self._judge(data[end:])
                return
            if self._offset > _SIZE_LIMIT:
                raise BadRecord("it is too large")

    def _start_over(self) -> None:
        self._offset = 0
        self._mark = 0, b""

    def _counted_in(self, data: bytes) -> Iterator[tuple[Counted, bytes]]:
        for record, line in records.decode_with_lines(data, self._judge):
            if not isinstance(record, Counted):
                self.problem = "a line in it is no counted trial's"
            elif record.trial.study != self._study:
                self.problem = "a line in it belongs to another study"
            else:
                yield record, line

    def _judge(self, line: bytes) -> None:
        """What is no record may be half of one: then there was a crash."""
        known = _BEGINNING[: len(line)]
        if line[: len(known)] != known:
            self.problem = "a line in it is no record"

    def is_whole(self) -> bool:
        """Whether the file still has, in its place, the last line that it had when this was
        asked before, and all that was added since. A share that came back in an older state
        has not.
        """
        offset, line = self._mark
        try:
            data = self._store.folder.read(protocol.HISTORY, offset, limit=_SIZE_LIMIT)
        except FileNotFoundError:
            data = b""
        if not data.startswith(line) or not self._unchecked.issubset(data.split(b"\n")):
            self.lost = True
            return False
        self._unchecked.clear()
        self._mark = _last_line(data, offset)
        return True

    def append(self, lines: Sequence[bytes], whole: Iterable[bytes]) -> None:
        """Add lines.

        Args:
            lines: to be added.
            whole: all lines, these among them, in case the file has to be made anew.
        """
        try:
            self._store.append_lines(protocol.HISTORY, lines)
            self._unchecked.update(line.rstrip(b"\n") for line in lines)
        except FileNotFoundError:  # the cache was deleted
            self.rewrite(whole)
        except BadRecord as error:
            self.mend(str(error), whole)

    def mend(self, why: str, lines: Iterable[bytes]) -> None:
        """Set the file aside and begin a new one with these lines."""
        self._store.set_aside(protocol.HISTORY, why)
        self.rewrite(lines)
        self.problem = None

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Put these lines in the place of what is there."""
        self._store.write_document(protocol.HISTORY, b"".join(lines))
        self._mark = 0, b""
        self._unchecked.clear()
        self.lost = False

    def distrust_tail(self) -> None:
        """The master before this one may have died in the middle of a line."""
        self._store.distrust_tail(protocol.HISTORY)


def _last_line(data: bytes, offset: int) -> tuple[int, bytes]:
    """The last whole line of what was read from an offset on, and where in the file it begins."""
    end = data.rfind(b"\n") + 1
    begin = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
    return offset + begin, data[begin:end]
