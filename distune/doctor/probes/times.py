"""The unit of file times, and whose clock makes them. Shown only: no clock is used (P6)."""

from __future__ import annotations

import os
import time
from itertools import pairwise

from distune.doctor.measurements import Times
from distune.doctor.probes.lines import heartbeat
from distune.doctor.sandbox import Sandbox

_GRANULARITIES = [2.0, 1.0, 0.1, 0.01, 0.004, 0.001, 1e-6, 1e-7, 1e-9]  # seconds


def probe_times(sandbox: Sandbox) -> Times:
    folder = sandbox.folder("times")
    stamps: list[int] = []
    ahead = 0.0
    for i in range(20):
        if i >= 16:  # whole seconds: even and odd ones have to be seen, however slow it is here
            if _unit(stamps) < 1.0 or (i > 16 and _unit(stamps) < 2.0):
                break
            time.sleep(1.01)
        before = time.time()
        folder.rewrite("file", heartbeat(i))
        with folder.operations.doing("reading the times of times/file"):
            stamp = os.stat(folder.root / "file").st_mtime_ns
        stamps.append(stamp)
        ahead = stamp / 1e9 - (before + time.time()) / 2
        time.sleep(0.0031)
    return Times(granularity=_unit(stamps), ahead=ahead)


def _unit(stamps: list[int]) -> float:
    """Seconds of which all these stamps (in nanoseconds) are multiples, or between two ticks."""
    unit = next((g for g in _GRANULARITIES if all(s % round(g * 1e9) == 0 for s in stamps)), 1e-9)
    # A clock that ticks: its tick counts, not its digits. Seconds may have been missed.
    if unit < 1.0 and len(set(stamps)) < len(stamps):
        steps = [b - a for a, b in pairwise(stamps) if b > a]
        unit = max([unit, *([min(steps) / 1e9] if steps else [])])
    return unit
