"""A program of the user's as an objective: what it prints are its reports, and its output."""

import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from distune.errors import Mistake
from distune.study.command import RESUME, fill_in
from distune.study.trial import Metrics, Scalar
from distune.training import children
from distune.training.context import TrialContext

_GRACE = 2.0  # seconds between TERM and KILL
_LONGEST_LINE = 2**16  # bytes of one line that are looked at
_LOOK_EVERY = 100  # milliseconds between two looks whether a silent program has ended
_REST_WITHIN = 1.0  # seconds for what it has printed, once it has ended
_PIECE = 2**16
_END_OF_LINE = re.compile(rb"(?<=[\r\n])")  # a progress bar may stand before a report
_STEERING = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_CHECKPOINT = "checkpoint"
_LONGEST_REASON = 300  # characters


def run_command(
    command: Sequence[str],
    params: Mapping[str, Scalar],
    context: TrialContext,
    *,
    names: Iterable[str] = (),
    metric: str = "value",
) -> Iterator[Metrics]:
    """Run a program and yield its reports: the JSON objects that it prints, a line each, with a
    number in them. What else it prints goes where this process's output goes. A command with
    `{trial_resume}` may name a file to go on from, `{"checkpoint": "model.pt"}`, that is complete.

    Args:
        names: of the parameters that the study's trials may have.
        metric: of the study: kept in a report, number or not, to be complained about.

    Raises:
        RuntimeError: it ended with another status than 0.
        MemoryError: the kernel killed it for want of memory.
    """
    trial: dict[str, Scalar] = {
        "trial_number": context.number,
        "trial_attempt": context.attempt,
        "trial_seed": context.seed,
        "trial_device": context.device,
        "trial_devices": ",".join(context.devices),
        "trial_n_devices": len(context.devices),
        "trial_dir": context.folder,
    }
    if any("{trial_dir}" in part for part in command):
        context.dir  # noqa: B018  made by asking for it
    resumes = any(f"{{{RESUME}}}" in part for part in command)
    if resumes and (state := context.load()) is not None:
        trial[RESUME] = str(state)
    arguments = fill_in(command, params, trial, [*names, RESUME])
    kills = children.memory_kills()
    with children.guarded(arguments, _GRACE) as process:
        errors = bytearray()
        latest: tuple[Path, int] | None = None
        for line in _lines(_printed(process, errors)):
            fields = _fields_in(line)
            report = {n: v for n, v in fields.items() if isinstance(v, float) or n == metric}
            saved = fields.get(_CHECKPOINT) if resumes else None
            if isinstance(saved, str):
                # Before the report that it came with, after which the training may be over.
                latest = Path(saved), len(context.reports) + bool(report)
                context.save(*latest)
            if report:
                yield report
            if not report and not isinstance(saved, str):
                _pass_on(1, line)
        status = process.wait()
    if status == -signal.SIGKILL and children.memory_kills() > kills:
        raise MemoryError(f"{arguments[0]} was killed: {children.NO_MEMORY}")
    if request := children.request_of(status):
        # Somebody wants it to end, and it is as if this process had been asked.
        _pass_on(1, f"{arguments[0]} {children.describe_exit(status)}\n".encode())
        children.die_of(request)
    if not status and latest is not None:
        with suppress(Mistake):  # it has cleared away what it no longer needs
            context.save(*latest, last=True)
    if status:
        reason = _last_line(errors)
        raise RuntimeError(
            f"{arguments[0]} {children.describe_exit(status)}" + (f": {reason}" if reason else "")
        )


def _printed(process: subprocess.Popen[bytes], errors: bytearray) -> Iterator[bytes]:
    """What it prints, until it has ended: a child that it left behind may hold its pipes open for
    ever. Its errors are passed on, and the last of them put into `errors`.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    output, poll = process.stdout.fileno(), select.poll()
    is_open = {output, process.stderr.fileno()}
    for descriptor in is_open:
        poll.register(descriptor, select.POLLIN)
    ended_at: float | None = None
    while is_open:
        if ended_at is None and process.poll() is not None:
            ended_at = time.monotonic()
        ready = poll.poll(_LOOK_EVERY if ended_at is None else 0)
        # Asked in this order: what it printed before it ended is in the pipe by now.
        if ended_at is not None and (not ready or time.monotonic() > ended_at + _REST_WITHIN):
            return
        for descriptor, _ in ready:
            piece = os.read(descriptor, _PIECE)
            if not piece:
                poll.unregister(descriptor)
                is_open.remove(descriptor)
            elif descriptor == output:
                yield piece
            else:
                _pass_on(2, piece)
                errors += piece
                del errors[:-_PIECE]


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Each with its end; a longer one than anybody reads comes in parts."""
    rest = b""
    for piece in pieces:
        *lines, rest = _END_OF_LINE.split(rest + piece)
        yield from lines
        if len(rest) >= _LONGEST_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


def _fields_in(line: bytes) -> dict[str, Any]:
    """What a line of JSON says, its numbers as floats; nothing, if it is none."""
    if b"{" in line and len(line) <= _LONGEST_LINE:
        with suppress(ValueError, RecursionError):
            found = json.loads(_STEERING.sub(b"", line), parse_int=float)
            if isinstance(found, dict):
                return found
    return {}


def _pass_on(descriptor: int, data: bytes) -> None:
    with suppress(OSError):  # nobody reads it
        os.write(descriptor, data)


def _last_line(output: bytearray) -> str:
    text = _STEERING.sub(b"", output).decode(errors="replace")
    return next(filter(None, map(str.strip, reversed(text.splitlines()))), "")[:_LONGEST_REASON]
