"""The master and the workers of a soak, started as users start them, and what they say."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.soaking.rigs import ROOT, Client, Rig

STUDY = "soak"
_OBJECTIVE = ROOT / "scripts" / "soaking" / "objective.py"


class NotInTime(Exception):
    """Something that had to happen did not; says what."""


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until it is true.

    Raises:
        NotInTime: it did not come true.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)


@dataclass
class Process:
    """One `distune` process on a client; its log, pid and exit status lie in files."""

    tag: str
    client: Client
    log: Path
    #: What it must end with; None once a signal of ours decides otherwise.
    expected: int = 0
    killed: bool = field(default=False)

    def said(self, since: int = 0) -> str:
        """Its log from a byte offset on."""
        try:
            return self.log.read_bytes()[since:].decode(errors="replace")
        except FileNotFoundError:
            return ""

    def size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    @property
    def pid(self) -> int | None:
        return _number(self.log.with_suffix(".pid"))

    @property
    def status(self) -> int | None:
        return _number(self.log.with_suffix(".status"))

    @property
    def id(self) -> str:
        """A worker's id; empty before it has said it."""
        found = re.search(r"worker ([a-z0-9-]+) on ", self.said())
        return found[1] if found else ""

    def kill(self, whole: bool = False) -> None:
        """Kill it, or the `whole` of it with all it has started, as a dying host does."""
        others = f"$(pgrep -P {self.pid})" if whole else ""
        self.client.shell(f"kill -KILL {self.pid} {others}")
        self.expected, self.killed = 128 + 9, True

    def freeze(self) -> None:
        """Stop it and the processes it has started, as a suspended host does."""
        self.client.shell(f"kill -STOP {self.pid} $(pgrep -P {self.pid})")

    def thaw(self) -> None:
        self.client.shell(f"kill -CONT $(pgrep -P {self.pid}) {self.pid}")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


class SoakedStudy:
    """Starts processes of one study on the clients of a rig.

    Args:
        rig: started.
        trials: of the study.
        pause: seconds that a trial takes, until `hurry`.
        lease: as in a space file; None for the default.
        seed: of the study.
    """

    def __init__(self, rig: Rig, trials: int, pause: float, lease: str | None, seed: int) -> None:
        self.rig = rig
        self.processes: list[Process] = []
        self._pace = rig.files / "pace"
        self._pace.mkdir()
        space = {
            "objective": "objective:train",
            "params": {"x": {"type": "float", "low": 0.0, "high": 1.0}, "pause": pause},
            "metric": "loss",
            "direction": "minimize",
            "sampler": "random",
            "trials": trials,
            "seed": seed,
            **({"lease": lease} if lease else {}),
        }
        self._space = rig.files / "space.json"
        self._space.write_text(json.dumps(space))
        (rig.files / "objective.py").write_text(_OBJECTIVE.read_text())

    @property
    def workers(self) -> list[Process]:
        return [p for p in self.processes if p.tag.startswith("worker")]

    @property
    def masters(self) -> list[Process]:
        return [p for p in self.processes if p.tag.startswith("master")]

    def on(self, *clients: str) -> list[Process]:
        """Those on these clients that have not been killed."""
        return [p for p in self.processes if p.client.name in clients and not p.killed]

    def master(self, client: Client) -> Process:
        number = len(self.masters) + 1
        return self._start(
            client, f"master-{number}", "master", "--space", str(self._space), "--plain",
            "--study", STUDY,
        )  # fmt: skip

    def worker(self, client: Client) -> Process:
        number = len(self.workers) + 1
        offer = f"{self.rig.files}/objective.py:train"
        # One at a time: that there are many of them is what is tried.
        arguments = ("worker", "--jobs", "1", "--objective", offer)
        return self._start(client, f"worker-{number}", *arguments)

    def _start(self, client: Client, tag: str, *arguments: str) -> Process:
        log = self.rig.files / f"{tag}.log"
        command = shlex.join(
            [sys.executable, "-m", "distune", *arguments, "--logs", f"{client.folder}/logs"]
        )
        script = (
            f"{command} >{log} 2>&1 & echo $! >{log.with_suffix('.pid')}; "
            f"wait $!; echo $? >{log.with_suffix('.status')}"
        )
        client.shell(
            f"cd /tmp; {self._environment()} setsid nohup bash -c {shlex.quote(script)} "
            "</dev/null >/dev/null 2>&1 &"
        )
        process = Process(tag, client, log)
        self.processes.append(process)
        return process

    def _environment(self) -> str:
        return (
            f"PYTHONPATH={ROOT} PYTHONDONTWRITEBYTECODE=1 HOME=/tmp LC_ALL=C.UTF-8 COLUMNS=200 "
            f"SOAK_PACE={self._pace}"
        )

    def hurry(self, pause: float) -> None:
        """From their next step on, trials take `pause` seconds, if that is less."""
        (self._pace / f"{pause:g}").touch()

    def status(self, client: Client) -> str:
        """What `distune status --json` says on a client."""
        command = [sys.executable, "-m", "distune", "status", "--json"]
        command += ["--logs", f"{client.folder}/logs", "--study", STUDY]
        return client.shell(f"cd /tmp; {self._environment()} {shlex.join(command)}", timeout=180)

    def end(self) -> None:
        """End whatever still runs; for a soak that failed half way."""
        for process in self.processes:
            if process.pid is not None and process.status is None:
                try:
                    process.client.shell(f"kill -KILL {process.pid}", timeout=15)
                except subprocess.SubprocessError:
                    continue
