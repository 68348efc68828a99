"""Whether lines and heartbeats read back as they were written."""

from __future__ import annotations

import time

from distune.doctor.measurements import Lines, Rewrites
from distune.doctor.probes.trials import example_trial, publish_trials
from distune.doctor.sandbox import Sandbox
from distune.errors import BadRecord
from distune.share.protocol import AttemptName
from distune.share.store import Store
from distune.study.trial import Report

_LINES = 30
_LINE_LIMIT = 2.0  # seconds until a line must be readable where it was written
_REWRITES = 20


def probe_appending(sandbox: Sandbox) -> Lines:
    """Whole lines, appended and fsynced to a file one owns, read back by opening it anew."""
    retry = sandbox.operations.retry
    store = publish_trials(sandbox.folder("appending"), 1)
    taken = retry(store.claim, AttemptName.waiting(example_trial(0)), "doctor")
    if taken is None:
        return Lines(lines=_LINES, wrong=_LINES)
    reports: list[Report] = []
    slowest = 0.0
    for i in range(_LINES):
        if slowest >= _LINE_LIMIT:
            break  # that is enough to know
        reports.append(Report(step=i, metrics={"y": i / 7}, seconds=float(i)))
        retry(store.append, taken, reports[-1:])
        begin = time.monotonic()
        while not _says(store, taken, reports[-1]) and time.monotonic() - begin < _LINE_LIMIT:
            time.sleep(0.05)
        slowest = max(slowest, time.monotonic() - begin)
    wrong = sum(not _says(store, taken, report) for report in reports)
    return Lines(lines=len(reports), wrong=wrong, slowest=slowest)


def _says(store: Store, name: AttemptName, report: Report) -> bool:
    try:
        return report in store.read_attempt(name).reports
    except (BadRecord, FileNotFoundError):
        return False


def heartbeat(counter: int) -> bytes:
    """What a heartbeat looks like: always of one length, always another content."""
    return (b'{"counter": %d}' % counter).ljust(4095) + b"\n"


def probe_rewriting(sandbox: Sandbox) -> Rewrites:
    """A heartbeat, rewritten in place and read by opening anew."""
    folder = sandbox.folder("rewriting")
    stale = 0
    for i in range(_REWRITES):
        folder.operations.retry(folder.rewrite, "beat", heartbeat(i))
        stale += folder.read("beat") != heartbeat(i)
    return Rewrites(tries=_REWRITES, stale=stale)
