"""Half an hour and more of random faults, and whether anything grows meanwhile.

Everything is sampled from outside: memory and descriptors of the processes by /proc, the
length of the listings that distune reads again and again by listing them.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.soaking.rigs import Outage, Rig
from scripts.soaking.scenario import gather, say
from scripts.soaking.study import STUDY, NotInTime, Process, SoakedStudy, wait_for
from scripts.soaking.verdict import judge

_WORKERS = 6
_LEASE = "5s"
_SAMPLE_EVERY = 10.0  # seconds
_WARM_UP = 60.0  # seconds after its start, before which a process is not judged
_JUDGED_FROM = 600.0  # seconds that a process must have lived for a trend to be seen
_CALM = 15.0  # seconds between two faults
_MAY_GROW = 0.05  # of the first third, or
_MAY_GROW_MB, _MAY_GROW_FDS, _MAY_GROW_NAMES = 2.0, 2.0, 8.0
#: Of memory, for each trial that a master has counted: it keeps the history, to rank it.
_KEPT_PER_TRIAL = 2 / 1024  # MB
_LEAVING = 0.4  # of the time at the end, in which no master is killed: one has to grow old


@dataclass(frozen=True)
class Sample:
    """One process at one time."""

    at: float  # seconds
    tag: str
    memory: float  # MB: see `measure`
    descriptors: int
    counted: int  # trials of the study by then


@dataclass(frozen=True)
class Listings:
    """How many names there are where distune looks at each poll."""

    at: float
    trials: int
    workers: int
    top: int
    seen: int  # the fullest folder of it, which has a thousand trials at most


@dataclass(frozen=True)
class Trend:
    """What became of a figure: the median of its first third and of its last.

    `counted`: how many trials the study counted from the one to the other.
    """

    what: str
    first: float
    last: float
    most: float
    may_grow: float
    counted: int = 0

    @property
    def flat(self) -> bool:
        """It did not grow by more than a twentieth, or by what is allowed for its kind."""
        return self.last - self.first <= max(_MAY_GROW * self.first, self.may_grow)


def trend(
    what: str,
    values: Sequence[float],
    may_grow: float,
    counted: Sequence[int] = (),
    per_trial: float = 0.0,
) -> Trend:
    """What became of these values, one after another.

    Args:
        what: their name.
        values: at equal distances.
        may_grow: by so much in any case,
        counted: how many trials the study had at each of them,
        per_trial: and by so much for each that came to be counted meanwhile.
    """
    third = max(1, len(values) // 3)
    first, last = statistics.median(values[:third]), statistics.median(values[-third:])
    trials = 0
    if counted:
        trials = round(statistics.median(counted[-third:]) - statistics.median(counted[:third]))
    allowed = round(max(may_grow, per_trial * trials), 2)
    return Trend(what, round(first, 2), round(last, 2), round(max(values), 2), allowed, trials)


class Endurance:
    """`Endurance(rig, trials=10_000, minutes=30, seed=0).run()`; the rig must be a local one."""

    def __init__(self, rig: Rig, trials: int, minutes: float, seed: int) -> None:
        self.rig = rig
        self.trials = trials
        self.minutes = minutes
        self._random = random.Random(seed)
        # So slow that the trials outlast the time; what is left of them then goes faster.
        pause = max(0.1, 0.95 * minutes * 60 * _WORKERS / trials)
        self.study = SoakedStudy(rig, trials, round(pause, 2), _LEASE, seed)
        self.faults: Counter[str] = Counter()
        self.problems: list[str] = []
        self.samples: list[Sample] = []
        self.listings: list[Listings] = []
        self._next_sample = 0.0
        self._began = time.monotonic()

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    def run(self) -> dict[str, Any]:
        """The whole of it; what happened, as plain data."""
        mount = self.rig.describe()
        say(f"{self.rig.name}: {mount}; {self.trials} trials, {self.minutes:g} minutes")
        try:
            self._master = self.study.master(self.rig.clients["A"])
            for i in range(_WORKERS):
                self.study.worker(self.rig.clients["AB"[i % 2]])
            #: One on each client is left alone by kills, so that it grows old.
            self._spared = {w.tag for w in self.study.workers[:2]}
            wait_for(lambda: all(w.id for w in self.study.workers), 120, "all workers have started")
            while self._now < self.minutes * 60 and not self._is_over():
                self._pass(_CALM * self._random.uniform(0.5, 1.5))
                self._fault()
            say("no more faults")
            self.study.hurry(0.1)
            while self._master.status is None:
                self._pass(1.0)
            wait_for(
                lambda: all(w.status is not None for w in self.study.workers), 120, "workers end"
            )
        except (NotInTime, subprocess.SubprocessError) as error:
            self.problems.append(str(error))
            say(f"FAILED: {error}")
        return self._result(mount)

    # -- faults ----------------------------------------------------------------------------

    def _fault(self) -> None:
        kinds: dict[str, Callable[[], None]] = {
            "worker killed": lambda: self._kill_worker(whole=False),
            "worker's host killed": lambda: self._kill_worker(whole=True),
            "worker frozen": self._freeze_worker,
        }
        if self._now < self.minutes * 60 * (1 - _LEAVING):
            kinds["master killed"] = self._kill_master
        for outage in self.rig.outages():
            kinds[outage.kind] = lambda outage=outage: self._outage(outage)  # type: ignore[misc]
        kind = self._random.choice(list(kinds))
        say(f"{kind} (after {self._now:.0f} s, {self._counted()} trials counted)")
        kinds[kind]()
        self.faults[kind] += 1

    def _victim(self) -> Process:
        living = [w for w in self.study.workers if not w.killed and w.status is None]
        return self._random.choice([w for w in living if w.tag not in self._spared])

    def _kill_worker(self, whole: bool) -> None:
        victim = self._victim()
        victim.kill(whole)
        self.study.worker(victim.client)

    def _freeze_worker(self) -> None:
        victim = self._victim()
        victim.freeze()
        try:
            self._pass(self._random.uniform(2.0, 15.0))
        finally:
            victim.thaw()

    def _kill_master(self) -> None:
        self._master.kill()
        self._pass(self._random.uniform(0.0, 10.0))
        self._master = self.study.master(self.rig.clients["A"])

    def _outage(self, outage: Outage) -> None:
        outage.begin()
        try:
            self._pass(self._random.uniform(2.0, 15.0))
        finally:
            outage.end()

    # -- looking ---------------------------------------------------------------------------

    def _pass(self, seconds: float) -> None:
        """Let time go by, and look at everything now and then."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._now >= self._next_sample:
                self._next_sample = self._now + _SAMPLE_EVERY
                self._look()
            time.sleep(0.2)

    def _look(self) -> None:
        at, counted = round(self._now, 1), self._counted()
        for process in self.study.processes:
            if process.pid is not None and process.status is None and not process.killed:
                sample = measure(process.pid, process.tag, at, counted)
                if sample is not None:
                    self.samples.append(sample)
        counts = {f: len(self._names(f)) for f in ("trials", "workers", "")}
        seen = [len(self._names(f"seen/{f}")) for f in self._names("seen")]
        self.listings.append(
            Listings(at, counts["trials"], counts["workers"], counts[""], max(seen, default=0))
        )

    def _names(self, folder: str) -> list[str]:
        return [n for n in self.rig.names(f"logs/{STUDY}/{folder}") or [] if n[0] != "."]

    def _is_over(self) -> bool:
        return "finished.json" in self._names("")

    def _counted(self) -> int:
        return sum(len(self._names(f"seen/{f}")) for f in self._names("seen"))

    # -- the end ---------------------------------------------------------------------------

    def trends(self) -> list[Trend]:
        """Of every process that lived long enough, and of the listings."""
        found = []
        for process in self.study.processes:
            mine = [s for s in self.samples if s.tag == process.tag]
            mine = [s for s in mine if s.at >= mine[0].at + _WARM_UP]
            if not mine or mine[-1].at - mine[0].at < _JUDGED_FROM:
                continue
            found += [
                trend(
                    f"{process.tag}: memory, MB",
                    [s.memory for s in mine],
                    _MAY_GROW_MB,
                    [s.counted for s in mine],
                    _KEPT_PER_TRIAL if process in self.study.masters else 0.0,
                ),
                trend(f"{process.tag}: descriptors", [s.descriptors for s in mine], _MAY_GROW_FDS),
            ]
        late = [entry for entry in self.listings if entry.at >= _WARM_UP]
        for folder in ("trials", "workers", "top"):
            values = [float(getattr(entry, folder)) for entry in late]
            if values:
                found.append(trend(f"names in {folder}", values, _MAY_GROW_NAMES))
        return found

    def _result(self, mount: str) -> dict[str, Any]:
        seconds = self._now
        folder = self.rig.work / "evidence"
        self.rig.fetch(folder)
        try:
            status = json.loads(self.study.status(self.rig.clients["B"]))
        except (subprocess.SubprocessError, ValueError) as error:
            self.problems.append(f"distune status fails: {error}")
            status = {}
        evidence = gather(folder / "logs" / STUDY, self.study, status)
        self.study.end()
        trends = self.trends()
        checks = judge(evidence, self.trials)
        checks["it went as planned"] = self.problems
        checks["it took as long as asked for"] = (
            [] if seconds >= self.minutes * 60 else [f"only {seconds:.0f} s"]
        )
        checks["nothing grows"] = [
            f"{t.what}: from {t.first:g} to {t.last:g}" for t in trends if not t.flat
        ]
        checks["there was something old enough to judge"] = (
            [] if any("master" in t.what for t in trends) else ["no master"]
        )
        for one in trends:
            say(
                f"{one.what:<32} first third {one.first:g}, last {one.last:g}, most "
                f"{one.most:g}, {one.counted} trials counted in between"
            )
        return {
            "rig": self.rig.name,
            "mount": mount,
            "endurance": True,
            "lease": float(_LEASE[:-1]),
            "default_lease": False,
            "trials": self.trials,
            "workers": _WORKERS,
            "seconds": round(seconds, 1),
            "faults": dict(sorted(self.faults.items())),
            "attempts": evidence.attempts(),
            "trends": [{**asdict(t), "flat": t.flat} for t in trends],
            "fullest_seen_folder": max((entry.seen for entry in self.listings), default=0),
            "samples": len(self.samples),
            "checks": checks,
            "sound": not any(checks.values()),
        }


def measure(pid: int, tag: str, at: float, counted: int = 0) -> Sample | None:
    """Memory and open descriptors of a process; None if it is gone.

    The memory is what it has written to, a page that others have, too, in equal shares. The pages
    of libraries would count for the more the fewer other processes use Python meanwhile.
    """
    kilobytes = {}
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            key, _, value = line.partition(":")
            kilobytes[key] = int(value.split()[0])
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    return Sample(at, tag, kilobytes["Pss_Anon"] / 1024, descriptors, counted)
