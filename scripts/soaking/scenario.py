"""A study of short trials, and everything that can go wrong with it, one after another."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from scripts.soaking.rigs import Outage, Rig
from scripts.soaking.study import STUDY, NotInTime, Process, SoakedStudy, wait_for
from scripts.soaking.verdict import ATTEMPT, Evidence, judge

_WORKERS = 6
_FAST = 0.2  # seconds for a trial when all faults are over
_SHORTEST_OUTAGE = 15.0  # seconds, so that it is worth a line in a log
_RECOVERY = 300.0  # seconds; a TCP connection tries again only every minute or two

TROUBLE = re.compile(r"(training goes on, results are kept|nothing is lost), (trying|waiting)")
BACK = re.compile(r"the share is back")
EVICTED = re.compile(r"taken back (by the master|meanwhile)")


@dataclass
class Fault:
    """What was done, and what came of it."""

    kind: str
    at: float  # seconds after the start
    lasted: float = 0.0
    #: Attempts that were declared lost between its beginning and the recovery from it.
    lost: int = 0
    #: Seconds until the trial of a killed worker was taken up again.
    taken_up: float | None = None
    #: How often, at most, one process said that something is wrong; once is right.
    repeated: int = 0
    #: Of each process that should have said something: its line.
    said: dict[str, str] = field(default_factory=dict)


class Soak:
    """`Soak(rig, trials=200, lease="5s").run()`."""

    def __init__(self, rig: Rig, trials: int, lease: str | None, seed: int) -> None:
        self.rig = rig
        self.trials = trials
        self.lease = float(lease[:-1]) if lease else (120.0 if rig.network else 20.0)
        self.default_lease = lease is None
        self._outages = rig.outages()
        self._length = max(1.25 * self.lease, _SHORTEST_OUTAGE)
        # Enough trials for all that is to come: a soak whose study ends too early proves less.
        expected = (4 + len(self._outages)) * (self._length + 15)
        pause = max(1.0, expected * _WORKERS / (0.7 * trials))
        self.study = SoakedStudy(rig, trials, round(pause, 2), lease, seed)
        self.faults: list[Fault] = []
        self.problems: list[str] = []
        self._began = time.monotonic()

    def run(self) -> dict[str, Any]:
        """The whole of it; what happened, as plain data."""
        try:
            self._start()
            self._kill_a_worker("worker killed", "A", "given back by {id}: its worker was", False)
            # With everything that could act for it: what is left is the lease.
            self._kill_a_worker("worker's host killed", "B", r"lost: {id}\b", True)
            self._kill_the_master()
            self._freeze_a_worker()
            for outage in self._outages:
                self._suffer(outage)
            self.study.hurry(_FAST)
            self._finish()
        except (NotInTime, subprocess.SubprocessError) as error:
            self.problems.append(str(error))
            say(f"FAILED: {error}")
        seconds = time.monotonic() - self._began
        evidence = self._evidence()
        self.study.end()
        checks = judge(evidence, self.trials)
        checks["every fault happened and is in a log"] = self.problems
        return {
            "rig": self.rig.name,
            "mount": self._mount,
            "lease": self.lease,
            "default_lease": self.default_lease,
            "trials": self.trials,
            "workers": _WORKERS,
            "seconds": round(seconds, 1),
            "faults": [asdict(fault) for fault in self.faults],
            "attempts": evidence.attempts(),
            "checks": checks,
            "sound": not any(checks.values()),
        }

    # -- the course of things --------------------------------------------------------------

    def _start(self) -> None:
        a, b = self.rig.clients["A"], self.rig.clients["B"]
        self._mount = self.rig.describe()
        say(f"{self.rig.name}: {self._mount}")
        self._master = self.study.master(a)
        for client in (a, b, a, b, a, b)[:_WORKERS]:
            self.study.worker(client)
        wait_for(lambda: all(w.id for w in self.study.workers), 180, "all workers have started")
        wait_for(
            lambda: all(self._held(w) for w in self.study.workers), 120, "each worker has a trial"
        )
        say(f"{len(self.study.workers)} workers on two clients, each with a trial")

    def _kill_a_worker(self, kind: str, client: str, said: str, whole: bool) -> None:
        victim = next(w for w in self.study.on(client) if w in self.study.workers)
        fault = self._begin(kind)
        before = self._lost()
        self._wait_held(victim)
        killed = time.monotonic()
        victim.kill(whole)
        # What it held a moment ago may have been done, and another claimed.
        wait_for(
            lambda: any(n.endswith(f".{victim.id}.lost") and self._later(n) for n in self._lost()),
            self.lease * 2 + 120,
            f"what {victim.tag} held is taken up again",
        )
        fault.taken_up = round(time.monotonic() - killed, 1)
        fault.lost = len(self._lost() - before)
        self._hear(fault, [self._master], re.compile(said.format(id=victim.id)), 0)
        say(f"taken up again after {fault.taken_up} s")

    def _kill_the_master(self) -> None:
        fault = self._begin("master killed")
        before = self._lost()
        self._master.kill()
        time.sleep(3.0)
        self._master = self.study.master(self.rig.clients["A"])
        wait_for(lambda: self._master.size(), 60, "the second master speaks")
        self._recover(fault, before)
        self._hear(fault, [self._master], re.compile("the master before this one"), 0)

    def _freeze_a_worker(self) -> None:
        victim = next(w for w in self.study.on("B") if w in self.study.workers)
        fault = self._begin("worker frozen")
        before = self._lost()
        held = self._wait_held(victim)
        sizes = {p.tag: p.size() for p in self.study.processes}
        victim.freeze()
        began = time.monotonic()
        try:
            wait_for(lambda: held not in self._names(), self.lease * 2 + 120, f"{held} is lost")
            time.sleep(max(0.0, self._length - (time.monotonic() - began)))
        finally:
            victim.thaw()
        fault.lasted = round(time.monotonic() - began, 1)
        fault.lost = len(self._lost() - before)
        lost = re.compile(rf"lost: {victim.id}\b")
        self._hear(fault, [self._master], lost, sizes[self._master.tag])
        self._hear(fault, [victim], EVICTED, sizes[victim.tag])
        self._recover(fault, before)

    def _suffer(self, outage: Outage) -> None:
        fault = self._begin(outage.kind)
        if self._is_over():
            raise NotInTime(f"the study was over before this: {outage.kind}")
        before = self._lost()
        hit = self.study.on(*outage.hits)
        sizes = {p.tag: p.size() for p in hit}
        began = time.monotonic()
        outage.begin()
        try:
            time.sleep(self._length)
        finally:
            outage.end()
            fault.lasted = round(time.monotonic() - began, 1)
        deadline = time.monotonic() + _RECOVERY  # for all of them together
        if outage.witnesses == "all":
            for process in hit:
                for line in (TROUBLE, BACK):
                    patience = max(1.0, deadline - time.monotonic())
                    self._hear(fault, [process], line, sizes[process.tag], patience)
        elif outage.witnesses == "some":
            for line in (TROUBLE, BACK):
                what = f"{outage.kind}: a process says {line.pattern!r}"
                wait_for(partial(_anybody_says, hit, line, sizes), _RECOVERY, what)
            for process in hit:
                self._record_line(fault, process, TROUBLE, sizes[process.tag])
                self._record_line(fault, process, BACK, sizes[process.tag])
        self._recover(fault, before)
        fault.repeated = max(len(TROUBLE.findall(p.said(sizes[p.tag]))) for p in hit)

    def _finish(self) -> None:
        say("all faults are over")
        wait_for(lambda: self._master.status is not None, _RECOVERY + self.trials, "the end")
        for worker in self.study.workers:
            wait_for(partial(_has_ended, worker), 120, f"{worker.tag} ends")

    # -- seeing what happens ---------------------------------------------------------------

    def _begin(self, kind: str) -> Fault:
        fault = Fault(kind, round(time.monotonic() - self._began, 1))
        self.faults.append(fault)
        say(f"{kind} (after {fault.at:.0f} s)")
        return fault

    def _recover(self, fault: Fault, before: set[str]) -> None:
        """Wait until everybody who lives works again."""
        sizes = {w.tag: w.size() for w in self.study.workers if not w.killed}

        def busy() -> bool:
            return all(
                "claimed in" in w.said(sizes[w.tag]) or self._held(w)
                for w in self.study.workers
                if not w.killed
            )

        what = f"all workers work after: {fault.kind}"
        wait_for(lambda: self._is_over() or busy(), _RECOVERY, what)
        fault.lost = len(self._lost() - before)
        say(f"recovered; {fault.lost} attempts lost")

    def _hear(
        self,
        fault: Fault,
        processes: list[Process],
        line: re.Pattern[str],
        since: int,
        patience: float = 30.0,
    ) -> None:
        """Wait until each of them says it."""
        for process in processes:
            try:
                wait_for(
                    partial(_anybody_says, [process], line, {process.tag: since}), patience, ""
                )
            except NotInTime:
                self.problems.append(f"{fault.kind}: {process.tag} never says {line.pattern!r}")
                say(self.problems[-1])
            self._record_line(fault, process, line, since)

    def _record_line(
        self, fault: Fault, process: Process, line: re.Pattern[str], since: int
    ) -> None:
        found = [text for text in process.said(since).splitlines() if line.search(text)]
        if found:
            before = fault.said.get(process.tag)
            fault.said[process.tag] = f"{before} ... {found[0]}" if before else found[0]

    def _names(self) -> list[str]:
        """What lies in `trials/` and may still become a result; nothing in an outage."""
        return self.rig.names(f"logs/{STUDY}/trials") or []

    def _held(self, worker: Process) -> str | None:
        """The file of the attempt that a worker holds."""
        ours = f".{worker.id}.taken"
        return next((n for n in self._names() if worker.id and n.endswith(ours)), None)

    def _wait_held(self, worker: Process) -> str:
        wait_for(lambda: self._held(worker), 60, f"{worker.tag} has a trial")
        return self._held(worker) or self._wait_held(worker)

    def _seen(self) -> list[str]:
        found: list[str] = []
        for folder in self.rig.names(f"logs/{STUDY}/seen") or []:
            found += self.rig.names(f"logs/{STUDY}/seen/{folder}") or []
        return found

    def _lost(self) -> set[str]:
        return {n for n in [*self._names(), *self._seen()] if n.endswith(".lost")}

    def _later(self, filename: str) -> bool:
        """Whether a later attempt at the same trial is, or was, in a worker's hands."""
        mine = ATTEMPT.fullmatch(filename)
        assert mine is not None
        for name in [*self._names(), *self._seen()]:
            other = ATTEMPT.fullmatch(name)
            if other is None or other["trial"] != mine["trial"] or not other["state"]:
                continue
            if int(other["attempt"]) > int(mine["attempt"]):
                return True
        return False

    def _is_over(self) -> bool:
        return "finished.json" in (self.rig.names(f"logs/{STUDY}") or [])

    def _evidence(self) -> Evidence:
        folder = self.rig.work / "evidence"
        try:
            self.rig.fetch(folder)
        except (OSError, subprocess.SubprocessError) as error:
            self.problems.append(f"the share cannot be looked at in the end: {error}")
        try:
            status = json.loads(self.study.status(self.rig.clients["B"]))
        except (subprocess.SubprocessError, ValueError) as error:
            self.problems.append(f"distune status fails: {error}")
            status = {}
        return gather(folder / "logs" / STUDY, self.study, status)


def _anybody_says(
    processes: Iterable[Process], line: re.Pattern[str], since: dict[str, int]
) -> bool:
    return any(line.search(p.said(since[p.tag])) for p in processes)


def _has_ended(process: Process) -> bool:
    return process.status is not None


def gather(folder: Path, study: SoakedStudy, status: dict[str, Any]) -> Evidence:
    """What is left at the end, to be judged."""
    names = [
        f"{sub.parent.relative_to(folder)}/{sub.name}"
        for sub in sorted(folder.rglob("*"))
        if sub.is_file()
    ]
    history = folder / "history.jsonl"
    finished = folder / "finished.json"
    return Evidence(
        names=[n.removeprefix("./") for n in names],
        history=history.read_text() if history.exists() else "",
        finished=json.loads(finished.read_text()) if finished.exists() else None,
        status=status,
        logs={p.tag: p.said() for p in study.processes},
        exits={p.tag: (p.status, p.expected) for p in study.processes},
    )


def say(text: str) -> None:
    """A line for the person who waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
