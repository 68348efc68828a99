"""States of a training on the share, for the attempt that goes on if this one does not.

A file is what the training wants to have kept, then a line of JSON that says what it belongs to,
then how long that line is. It is written aside, synced and renamed before anybody hears of it.
"""

import errno
import hashlib
import importlib
import io
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distune.errors import BadRecord, Mistake
from distune.extras import is_installed
from distune.share import protocol, records
from distune.study.trial import Checkpoint, Record, Report, Trial
from distune.training.checkpoint_folder import CheckpointFolder

_LENGTH = 12  # digits, of the line at the end
_AWAY = frozenset(
    {errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN}
)
_AWAY_FOR, _LATE_FOR, _ASK_EVERY = 60.0, 4.0, 0.5  # seconds


_Form = Literal["torch", "json", "bytes", "file"]


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
    trial: int | None = None  # if it is another one's


@dataclass(frozen=True)
class _Taken:
    """A state as it was at a step."""

    data: bytes
    step: int
    form: _Form


class Checkpoints:
    """Those of one attempt. A state is copied at once, and written by a thread: a share that is
    slow or hangs keeps no training waiting (P9). Of those that wait for it the newest is kept.

    Args:
        folder: where all of the study's are, on the share; made when first needed.
        code: digest of the user's code that trains here.
        limit: bytes that all of the study's may have.
        keep: told, by that thread, of a checkpoint whose file is complete.
        say: takes a line for people.
        pause: waits so many seconds, until a share is asked again.
    """

    def __init__(
        self,
        folder: str,
        trial: Trial,
        *,
        code: str = "",
        limit: float = float("inf"),
        keep: Callable[[Checkpoint], None] = lambda checkpoint: None,
        say: Callable[[str], None] = lambda line: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._files = CheckpointFolder(folder)
        self._trial = trial
        self._code = code
        self._limit = limit
        self._keep = keep
        self._say = say
        self._pause = pause
        self._number = 0
        self.last_kept: int | None = None  # step of the last state that is complete
        self._taken: _Taken | None = None  # whose reports are not known yet
        self._changed = threading.Condition()
        self._waiting: tuple[_Taken, Described] | None = None  # to be written
        self._writes = self._closed = False

    def load(self) -> Loaded | None:
        """The last one that is whole, of the attempts before; says why it is not the very last."""
        for checkpoint in self._trial.checkpoints:
            of = f"attempt {checkpoint.attempt}"
            if checkpoint.trial is not None:
                of += f" at trial {checkpoint.trial}"
            where = f"the checkpoint of step {checkpoint.step} of {of}"
            try:
                described, data = self._read_patiently(checkpoint)
                if described.code != self._code:
                    self._say(f"{where} was saved by other code: beginning anew")
                    return None
                state = _state_of(described.form, data)
            except Exception as error:  # whatever stands there, training goes on
                why = getattr(error, "strerror", None) or error
                self._say(f"{where} cannot be used ({why})")
                continue
            at = checkpoint.attempt, checkpoint.step
            return Loaded(*at, described, state, checkpoint.trial)
        return None

    def _read_patiently(self, checkpoint: Checkpoint) -> tuple[Described, bytes]:
        """`_read`, again and again for a while: a moment of a share that does not answer, or shows
        too late what another host has written, must not cost all that had been trained (P12).
        """
        waited = 0.0
        while True:
            try:
                return self._read(checkpoint)
            except (OSError, BadRecord) as error:
                away = isinstance(error, OSError) and error.errno in _AWAY
                if waited >= (_AWAY_FOR if away else _LATE_FOR):
                    raise
            self._pause(_ASK_EVERY)
            waited += _ASK_EVERY

    def _read(self, checkpoint: Checkpoint) -> tuple[Described, bytes]:
        """
        Raises:
            OSError: there is none, or none that can be read.
            BadRecord: it is not what was saved.
        """
        data = self._files.read(self._name(checkpoint), checkpoint.size + 1)
        if len(data) != checkpoint.size or hashlib.sha256(data).hexdigest() != checkpoint.sha256:
            raise BadRecord("it is damaged")
        end = len(data) - _LENGTH
        begin = end - int(data[end:])
        return records.load(Described, data[begin:end]), data[:begin]

    def take(self, state: Any, step: int) -> None:
        """Copy the state of a step, to be written with `write`.

        Raises:
            OSError: its file cannot be read.
            Mistake: it is nothing that can be saved, and read again.
        """
        if isinstance(state, bytes | bytearray | memoryview):
            self._taken = _Taken(bytes(state), step, "bytes")
        elif isinstance(state, os.PathLike):
            self._taken = _Taken(Path(state).read_bytes(), step, "file")
        elif (plain := _as_json(state)) is not None:
            self._taken = _Taken(plain, step, "json")
        elif not is_installed("torch"):
            raise Mistake(
                "trial.save was given what only PyTorch writes, which is not installed here: give "
                "it bytes, a path, or numbers, text, and lists and dicts of them"
            )
        else:
            file = io.BytesIO()
            _torch_format().write(state, file)
            if not self._number:
                _check_readable(file.getvalue())
            self._taken = _Taken(file.getvalue(), step, "torch")

    def write(self, reports: Sequence[Report], seconds: float) -> None:
        """Have what was taken written: it belongs to these reports."""
        taken, self._taken = self._taken, None
        if taken is None:
            return
        described = Described(form=taken.form, code=self._code, seconds=seconds, reports=[*reports])
        with self._changed:
            self._waiting = taken, described
            if not self._writes:
                self._writes = True
                self._start_writing()

    def _start_writing(self) -> None:
        threading.Thread(target=self._write_all, daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Until all is written, but no longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writes, seconds)

    def close(self) -> None:
        """Nobody is told any more of what is being written."""
        with self._changed:
            self._waiting, self._closed = None, True

    def _write_all(self) -> None:
        while True:
            with self._changed:
                if self._waiting is None:
                    self._writes = False
                    self._changed.notify_all()
                    return
                (taken, described), self._waiting = self._waiting, None
            try:
                checkpoint = self._write(taken, described)
            except OSError as error:
                self._say(
                    f"no checkpoint could be saved: {error.strerror or error}; training goes on"
                )
                continue
            with self._changed:
                if checkpoint is not None and not self._closed:
                    self._keep(checkpoint)
                    self.last_kept = checkpoint.step

    def _write(self, taken: _Taken, described: Described) -> Checkpoint | None:
        """Write a file; None if there is no room for it.

        Raises:
            OSError: the share does not take it.
        """
        line = records.dump(described)
        data = taken.data + line + b"%0*d" % (_LENGTH, len(line))
        there = len(data) + self._files.size()
        if there > self._limit:
            self._say(
                f"no checkpoint is saved: all of this study's would have {there / 1e9:.3g} GB, "
                f"and its checkpoint_limit is {self._limit / 1e9:.3g} GB"
            )
            return None
        self._number += 1
        checkpoint = Checkpoint(
            attempt=self._trial.attempt,
            number=self._number,
            step=taken.step,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        self._files.write(self._name(checkpoint), data)
        return checkpoint

    def _name(self, checkpoint: Checkpoint) -> str:
        return protocol.checkpoint_name(*self._trial.key, checkpoint)


def _as_json(state: Any) -> bytes | None:
    """For a state that needs no PyTorch, whose import takes seconds; None for any other."""
    try:
        text = json.dumps(state)
        return text.encode() if json.loads(text) == state else None
    except (TypeError, ValueError, RecursionError):
        return None


def _torch_format() -> Any:
    return importlib.import_module("distune.workloads.saved_state")  # torch, only when needed


def _state_of(form: _Form, data: bytes) -> Any:
    """What was given to be saved; of a file, the path of a copy."""
    if form == "torch":
        return _torch_format().read(data)
    if form == "json":
        return json.loads(data)
    if form == "bytes":
        return data
    descriptor, path = tempfile.mkstemp(prefix="distune-checkpoint-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return Path(path)


def _check_readable(data: bytes) -> None:
    """
    Raises:
        Mistake: what was saved could not be read by the attempt that needs it.
    """
    try:
        _torch_format().read(data)
    except Exception as error:
        raise Mistake(
            "trial.save was given what PyTorch reads only by running code from the share "
            f"({str(error).splitlines()[0]:.200}): give it tensors, numbers, text, and lists and "
            "dicts of them (a state_dict), bytes, or a path"
        ) from None
