"""`asked.jsonl`, `history.jsonl` and `dropped.jsonl`: records, a line each, that the master appends
to.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from distune.errors import BadRecord, ShareError
from distune.share import records
from distune.share.store import Store
from distune.study.study import Study
from distune.study.trial import Asked, Counted, Dropped

_CHUNK = 2 * 2**20  # bytes read at a time
#: All of it is kept in memory. A hundred thousand trials have 60 MB, with thirty parameters and
#: thirty metrics 250.
_SIZE_LIMIT = 2**29  # bytes
L = TypeVar("L", Asked, Counted, Dropped)


@dataclass(eq=False)
class LinesFile(Generic[L]):
    """One of them: `LinesFile(store, "history.jsonl", Counted, study).read()`. Only the study's
    master writes it.
    """

    _store: Store
    _path: str
    _kind: type[L]
    _study: Study
    #: Why the file, as far as it was read, is not what this study's master wrote, if so. A torn
    #: line is no problem.
    problem: str | None = None
    altered: int = 0  # lines whose checksum does not match
    torn: bool = False  # it ended in half a line when it was read last
    lost: bool = False  # lines were missing that had been there; until it is written anew
    _offset: int = 0  # where the next unread line begins
    _mark: tuple[int, bytes] = (0, b"")  # where the last known line begins, and that line
    _unchecked: set[bytes] = field(default_factory=set)  # lines added since that

    def read(self) -> Iterator[tuple[L, bytes]]:
        """The records that were not read before, each with its line; all of them again if the file
        is another one.

        Raises:
            BadRecord: it is nothing that a master wrote.
        """
        if self._offset and not self.is_whole():
            self._start_over()
        while True:
            # The end of the line before belongs to it: else the file has been made anew.
            start = max(self._offset - 1, 0)
            try:
                data = self._store.folder.read(self._path, start, _CHUNK, part=True)
            except FileNotFoundError:
                self._start_over()
                return
            if self._offset and data[:1] != b"\n":
                self._start_over()
                continue
            end = data.rfind(b"\n") + 1
            new = data[self._offset - start : end]
            if new:
                yield from self._sound_in(new)
                self._offset = start + end
                self._mark = _last_line(data, start)
                # They are looked for below the mark.
                self._unchecked.difference_update(new.split(b"\n") if self._unchecked else ())
            elif len(data) > records.LINE_LIMIT:
                raise BadRecord("a line of it does not end")
            if len(data) < _CHUNK:
                self._judge(data[end:])
                self.torn = end < len(data)
                return
            if self._offset > _SIZE_LIMIT:
                raise BadRecord("it is too large")

    def read_again(self) -> Iterator[tuple[L, bytes]]:
        """All that the file has now, as if it had never been read: see `read`."""
        self._start_over()
        self.problem = None
        return self.read()

    def _start_over(self) -> None:
        self._offset = self.altered = 0
        self._mark = 0, b""

    def _sound_in(self, data: bytes) -> Iterator[tuple[L, bytes]]:
        for record, line in records.decode_with_lines(data, self._judge):
            if not isinstance(record, self._kind):
                self.problem = "a line in it is of another kind"
            elif _study_of(record) != self._study.id:
                self.problem = "a line in it belongs to another study"
            elif self._study.is_current or not isinstance(record, Counted):
                yield record, line
            else:
                now = record.as_of_now(self._study.repeats)
                yield now, records.encode(now)

    def _judge(self, line: bytes) -> None:
        """What is no record may be half of one: then there was a crash."""
        known = records.beginning_of(self._kind)[: len(line)]
        if line[: len(known)] != known:
            self.problem = "a line in it is no record"
        else:
            self.altered += records.is_altered(line)

    def is_whole(self) -> bool:
        """Whether the file still has the last line that it had when this was asked before, and all
        that was added since. A share that came back in an older state has not.
        """
        if not self._has_known_lines():
            self.lost = True
            return False
        self._unchecked.clear()
        return True

    def _has_known_lines(self) -> bool:
        """Look for them, piece by piece: whatever else is there may be of any length."""
        missing, mark = set(self._unchecked), self._mark
        while True:
            offset, line = mark
            try:
                data = self._store.folder.read(self._path, offset, len(line) + _CHUNK, part=True)
            except FileNotFoundError:
                return False
            mark = _last_line(data, offset)
            missing.difference_update(data.split(b"\n"))
            if not missing and data.startswith(line):
                self._mark = mark
                return True
            if not data.startswith(line) or len(data) < len(line) + _CHUNK:
                self._refuse_giant()
                return False
            if mark[0] == offset:
                raise BadRecord("a line of it does not end")
            if mark[0] > _SIZE_LIMIT:
                raise BadRecord("it is too large")

    def _refuse_giant(self) -> None:
        """See that it is no file that only has to be looked at to be set aside.

        Raises:
            BadRecord: it is larger than any history.
        """
        with suppress(FileNotFoundError):
            self._store.folder.read(self._path, _SIZE_LIMIT, limit=0)

    def has_lost_lines(self) -> bool:
        """Whether lines are missing that had been there, or something else is of its name."""
        try:
            return not self.is_whole() or self.lost
        except BadRecord as error:
            self.problem = str(error)
            return True

    def append(self, lines: Sequence[bytes], whole: Iterable[bytes]) -> None:
        """Add lines; `whole` has all, these among them, in case the file has to be made anew."""
        try:
            self._store.append_lines(self._path, lines)
            self._unchecked.update(line.rstrip(b"\n") for line in lines)
        except FileNotFoundError:  # it was deleted
            self.write_anew(whole)
        except BadRecord as error:
            self.problem = str(error)
            self.write_anew(whole)

    def write_anew(self, lines: Iterable[bytes]) -> None:
        """Put these lines in the place of what is there; that is set aside if it has a problem."""
        if self.problem is not None:
            self._store.set_aside(self._path, self.problem)
        self._store.write_document(self._path, b"".join(lines))
        self.problem = None
        self.altered = 0
        self._mark = 0, b""
        self._unchecked.clear()
        self.lost = False


def study_in(store: Store, path: str) -> str | None:
    """The study that the first sound line of a file is of; None if there is none to be read."""
    try:
        data = store.folder.read(path, 0, _CHUNK, part=True)
        for record in records.decode_lines(data):
            if isinstance(record, Asked | Counted):
                return _study_of(record)
    except (FileNotFoundError, BadRecord, ShareError):
        pass
    return None


def _study_of(record: Asked | Counted | Dropped) -> str:
    return record.trial.study if isinstance(record, Counted) else record.study


def _last_line(data: bytes, offset: int) -> tuple[int, bytes]:
    """The last whole line of what was read from an offset on, and where in the file it begins."""
    end = data.rfind(b"\n") + 1
    begin = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
    return offset + begin, data[begin:end]
