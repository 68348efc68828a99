"""States of a training on the share, for the attempt that goes on if this one does not.

A file is what the training wants to have kept, then a line of JSON that says what it belongs to,
then how long that line is. It is written aside, synced and renamed before anybody hears of it.
"""

import hashlib
import importlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from distune.errors import BadRecord, Mistake
from distune.share import protocol, records
from distune.study.trial import MOST_CHECKPOINTS, Checkpoint, Record, Report, Trial

_PIECE = 2**20  # bytes
_LENGTH = 12  # digits, of the line at the end
_KEPT = MOST_CHECKPOINTS + 1  # the line of the last one may not have been written yet


_Form = Literal["torch", "bytes", "file"]


class Described(Record, frozen=True, kw_only=True):
    """What a checkpoint belongs to, in its file."""

    form: _Form
    code: str = ""  # digest of the user's code that has saved it
    seconds: float = 0.0  # of training
    reports: list[Report] = []


@dataclass(frozen=True)
class Loaded:
    """What a training goes on from."""

    attempt: int
    step: int
    described: Described
    state: Any


class Checkpoints:
    """Those of one attempt.

    Args:
        folder: where all of the study's are, on the share; made when first needed.
        code: digest of the user's code that trains here.
        limit: bytes that all of the study's may have.
        keep: told of a checkpoint whose file is complete.
        say: takes a line for people.
    """

    def __init__(
        self,
        folder: Path,
        trial: Trial,
        *,
        code: str = "",
        limit: float = float("inf"),
        keep: Callable[[Checkpoint], None] = lambda checkpoint: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._folder = folder
        self._trial = trial
        self._code = code
        self._limit = limit
        self._keep = keep
        self._say = say
        self._own: list[Checkpoint] = []
        self._number = 0
        self._begun: tuple[IO[bytes], Path, int, _Form] | None = None  # a file without its end

    def load(self) -> Loaded | None:
        """The last one that is whole, of the attempts before; says why it is not the very last."""
        for checkpoint in self._trial.checkpoints:
            where = f"the checkpoint of step {checkpoint.step} of attempt {checkpoint.attempt}"
            try:
                described, data = self._read(checkpoint)
                if described.code != self._code:
                    self._say(f"{where} was saved by other code: beginning anew")
                    return None
                state = _state_of(described.form, data)
            except Exception as error:  # whatever stands there, training goes on
                why = getattr(error, "strerror", None) or error
                self._say(f"{where} cannot be used ({why})")
                continue
            return Loaded(checkpoint.attempt, checkpoint.step, described, state)
        return None

    def _read(self, checkpoint: Checkpoint) -> tuple[Described, bytes]:
        """
        Raises:
            OSError: there is none, or none that can be read.
            BadRecord: it is not what was saved.
        """
        _refuse_links(self._folder)
        descriptor = os.open(self._path(checkpoint), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(checkpoint.size + 1)
        if len(data) != checkpoint.size or hashlib.sha256(data).hexdigest() != checkpoint.sha256:
            raise BadRecord("it is damaged")
        end = len(data) - _LENGTH
        begin = end - int(data[end:])
        return records.load(Described, data[begin:end]), data[:begin]

    def begin(self, state: Any, step: int) -> None:
        """Write the state of a step; its file is complete after `complete`. If there is no room for
        it, says so.

        Raises:
            OSError: the share does not take it.
            Mistake: it is nothing that can be saved, and read again.
        """
        self.drop()
        self._number += 1
        path = self._path(self._next(step=0, size=0, sha256="0" * 64))
        _refuse_links(self._folder)
        self._folder.mkdir(exist_ok=True)
        file = _part(path).open("x+b")
        try:
            form = _write(state, file)
            file.flush()
            if self._number == 1 and form == "torch":
                _check_readable(file)
        except BaseException:
            _give_up(file, path)
            raise
        self._begun = file, path, step, form
        taken = sum(one.stat().st_size for one in os.scandir(self._folder))
        if taken > self._limit:
            self.drop()
            self._say(
                f"no checkpoint is saved: all of this study's would have {taken / 1e9:.3g} GB, "
                f"and its checkpoint_limit is {self._limit / 1e9:.3g} GB"
            )

    def complete(self, reports: Sequence[Report], seconds: float) -> None:
        """Finish what was begun: it belongs to these reports.

        Raises:
            OSError: the share does not take it.
        """
        if self._begun is None:
            return
        file, path, step, form = self._begun
        described = Described(form=form, code=self._code, seconds=seconds, reports=[*reports])
        line = records.dump(described)
        self._begun = None
        try:
            file.seek(0, os.SEEK_END)
            file.write(line + b"%0*d" % (_LENGTH, len(line)))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            _part(path).rename(path)
        except BaseException:
            _give_up(file, path)
            raise
        file.close()
        checkpoint = self._next(step=step, size=size, sha256=sha256)
        self._own.append(checkpoint)
        self._keep(checkpoint)
        for old in self._own[:-_KEPT]:
            with suppress(OSError):
                self._path(old).unlink()
        del self._own[:-_KEPT]

    def drop(self) -> None:
        """Leave nothing of what was begun and not finished."""
        if self._begun is not None:
            file, path, *_ = self._begun
            self._begun = None
            _give_up(file, path)

    def _next(self, *, step: int, size: int, sha256: str) -> Checkpoint:
        attempt = self._trial.attempt
        return Checkpoint(attempt=attempt, number=self._number, step=step, size=size, sha256=sha256)

    def _path(self, checkpoint: Checkpoint) -> Path:
        name = protocol.checkpoint_name(self._trial.purpose, self._trial.number, checkpoint)
        return self._folder / name


def _write(state: Any, file: IO[bytes]) -> _Form:
    """Write a state; returns its form."""
    if isinstance(state, bytes | bytearray | memoryview):
        file.write(state)
        return "bytes"
    if isinstance(state, os.PathLike):
        with open(state, "rb") as source:
            while piece := source.read(_PIECE):
                file.write(piece)
        return "file"
    _torch_format().write(state, file)
    return "torch"


def _torch_format() -> Any:
    return importlib.import_module("distune.workloads.saved_state")  # torch, only when needed


def _state_of(form: _Form, data: bytes) -> Any:
    """What was given to be saved; of a file, the path of a copy."""
    if form == "torch":
        return _torch_format().read(data)
    if form == "bytes":
        return data
    descriptor, path = tempfile.mkstemp(prefix="distune-checkpoint-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return Path(path)


def _check_readable(file: IO[bytes]) -> None:
    """
    Raises:
        Mistake: what was written there could not be read by the attempt that needs it.
    """
    try:
        file.seek(0)
        _torch_format().read(file.read())
    except Exception as error:
        raise Mistake(
            "trial.save was given what PyTorch reads only by running code from the share "
            f"({str(error).splitlines()[0]:.200}): give it tensors, numbers, text, and lists and "
            "dicts of them (a state_dict), bytes, or a path"
        ) from None


def _part(path: Path) -> Path:
    """Where it is written."""
    return path.with_name(f"{path.name}.part")


def _give_up(file: IO[bytes], path: Path) -> None:
    with suppress(OSError):
        file.close()
    with suppress(OSError):
        _part(path).unlink()


def _refuse_links(folder: Path) -> None:
    for one in (folder, folder.parent):
        if one.is_symlink():  # whatever it leads to is none of the study's
            raise OSError(0, f"{one} is a symbolic link, which distune does not follow")
