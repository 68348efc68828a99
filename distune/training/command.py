"""An objective that is a command: a program of the user's that prints its metrics."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence

from distune.study.command import fill_in
from distune.study.trial import Metrics, Scalar
from distune.training import children
from distune.training.trial_context import TrialContext

_GRACE = 2.0  # seconds between TERM and KILL
_LONGEST_LINE = 2**16  # bytes of one line of a command's output that are looked at


def run_command(
    command: Sequence[str], params: Mapping[str, Scalar], context: TrialContext
) -> Iterator[Metrics]:
    """Run a program of the user's and yield the JSON objects it prints, a line each.

    Its other lines and its standard error go where this process's output goes.

    Raises:
        RuntimeError: it ended with another status than 0.
        MemoryError: the kernel killed it for want of memory.
    """
    trial: dict[str, Scalar] = {
        "trial_number": context.number,
        "trial_attempt": context.attempt,
        "trial_seed": context.seed,
        "trial_device": context.device,
        "trial_dir": context.folder,
    }
    if any("{trial_dir}" in part for part in command):
        context.dir  # noqa: B018  made by asking for it
    arguments = fill_in(command, {**params, **trial})
    kills = children.memory_kills()
    with children.guarded(arguments, _GRACE) as process:
        assert process.stdout is not None
        for line in iter(lambda: process.stdout.readline(_LONGEST_LINE), b""):  # type: ignore[union-attr]
            try:
                metrics = json.loads(line)
            except (ValueError, RecursionError):
                metrics = None
            if isinstance(metrics, dict):
                yield metrics
            else:
                os.write(1, line)
        status = process.wait()
        if status == -signal.SIGKILL and children.memory_kills() > kills:
            raise MemoryError(f"{arguments[0]} was killed: this machine is out of memory")
        if status:
            raise RuntimeError(f"{arguments[0]} {children.describe_exit(status)}")
