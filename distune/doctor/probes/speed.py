"""Seconds that each operation takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from distune.doctor.measurements import Speed
from distune.doctor.probes.lines import heartbeat
from distune.doctor.sandbox import Sandbox

_TIMES = 15


def probe_speed(sandbox: Sandbox) -> Speed:
    """One operation after the other, each several times."""
    folder = sandbox.folder("speed")
    retry = folder.operations.retry
    line = b"x" * 200 + b"\n"
    operations: dict[str, Callable[[int], object]] = {
        "publish": lambda i: folder.put(f"a{i}", line),
        "rename": lambda i: folder.transfer(f"a{i}", f"b{i}"),
        "list": lambda i: folder.names(""),
        "read": lambda i: folder.read(f"b{i}"),
        "append": lambda i: retry(folder.append, f"b{i}", line),
        "rewrite": lambda i: retry(folder.rewrite, "beat", heartbeat(i)),
    }
    return Speed(**{name: _median_seconds(do) for name, do in operations.items()})


def _median_seconds(do: Callable[[int], object]) -> float:
    seconds = []
    for i in range(_TIMES):
        begin = time.perf_counter()
        do(i)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)
