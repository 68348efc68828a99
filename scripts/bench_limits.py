"""Measures what is trained in vain by workers whose batch jobs are short, with a worker that knows
when its time is up and with one that is ended by a signal.

    python scripts/bench_limits.py             # a minute
    python scripts/bench_limits.py --jobs 30   # several, with less chance in it

Jobs follow each other, two at a time, as in a batch array; each has a worker, which trains one
trial at a time. Both sides have the same jobs at the same time. `--time-limit` is a second less
than a job has, for the worker to start and to end in. A trial sleeps, so that four workers do not
disturb each other on two cores.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.benching import Checks, machine, table, tell

_LANES = 2  # jobs at a time
_SHORTEST_TRIAL, _LONGEST_TRIAL = 1.5, 2.5  # seconds
_SHORTEST_JOB, _LONGEST_JOB = 5.0, 7.0  # seconds
_ROOM = 1.0  # seconds
_OBJECTIVE = """\
import time
from pathlib import Path

def train(params, trial):
    began = time.monotonic()
    log = Path(__file__).with_name(f"{trial.number}.{trial.attempt}.trained")
    while (passed := time.monotonic() - began) < params["seconds"]:
        log.write_text(str(passed))
        time.sleep(0.02)
    log.rename(log.with_suffix(".complete"))
    return passed
"""
_DISTUNE = [sys.executable, "-m", "distune"]


@dataclass
class Side:
    """Workers that know of their job's end, or do not."""

    name: str
    folder: Path
    knows: bool
    used: float = 0.0  # seconds, of all jobs
    had: float = 0.0
    statuses: list[int] = field(default_factory=list)

    def start_master(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir()
        (self.folder / "train.py").write_text(_OBJECTIVE)
        seconds = {"type": "float", "low": _SHORTEST_TRIAL, "high": _LONGEST_TRIAL}
        space = {"objective": "train:train", "params": {"seconds": seconds}, "trials": 100_000}
        fields = {**space, "metric": "value", "direction": "minimize", "sampler": "random"}
        (self.folder / "space.json").write_text(json.dumps(fields))
        command = [*_DISTUNE, "master", "--space", "space.json", "--plain"]
        master = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)
        while not (self.folder / "logs/space/study.json").exists() and master.poll() is None:
            time.sleep(0.05)
        return master

    def run_job(self, seconds: float) -> None:
        began = time.monotonic()
        limit = ["--time-limit", f"{seconds - _ROOM}s"] if self.knows else []
        worker = subprocess.Popen(
            [*_DISTUNE, "worker", "--objective", "train:train", "--jobs", "1", *limit],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        try:
            worker.wait(seconds)
        except subprocess.TimeoutExpired:
            worker.send_signal(signal.SIGTERM)
        self.statuses.append(worker.wait())
        self.used += time.monotonic() - began
        self.had += seconds

    def trained(self, how: str) -> list[float]:
        return [float(path.read_text() or 0) for path in self.folder.glob(f"*.{how}")]


def run(sides: list[Side], jobs: int, rng: random.Random) -> None:
    """Jobs of the same length on both sides, one after the other in each lane."""
    lanes = [[rng.uniform(_SHORTEST_JOB, _LONGEST_JOB) for _ in range(jobs)] for _ in range(_LANES)]

    def work(side: Side, lane: list[float]) -> None:
        for number, seconds in enumerate(lane):
            side.run_job(seconds)
            tell(f"{side.name}: job {number + 1} of {jobs} is over")

    with ThreadPoolExecutor(len(sides) * _LANES) as pool:
        for done in [pool.submit(work, side, lane) for side in sides for lane in lanes]:
            done.result()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=8, help="one after the other, in each lane")
    options = parser.parse_args()
    checks, rows, wasted = Checks(), [], {}
    with tempfile.TemporaryDirectory() as folder:
        sides = [
            Side("ended by SIGTERM", Path(folder, "without"), knows=False),
            Side("--time-limit", Path(folder, "with"), knows=True),
        ]
        masters = [side.start_master() for side in sides]
        try:
            run(sides, options.jobs, random.Random(0))
        finally:
            for master in masters:
                master.terminate()
                master.wait()
        for side in sides:
            complete, lost = side.trained("complete"), side.trained("trained")
            wasted[side.name] = 100 * sum(lost) / (sum(complete) + sum(lost))
            numbers = [len(complete), len(lost), wasted[side.name], 100 * side.used / side.had]
            units = ["", "", " %", " %"]
            rows.append([side.name, *(f"{n:.0f}{u}" for n, u in zip(numbers, units, strict=True))])
            checks.true(
                f"{side.name}: exit status {set(side.statuses)}",
                set(side.statuses) <= ({0} if side.knows else {143}),
            )
    print(f"{_LANES * options.jobs} jobs of {_SHORTEST_JOB:g} to {_LONGEST_JOB:g} s, trials of "
          f"{_SHORTEST_TRIAL:g} to {_LONGEST_TRIAL:g} s; {machine()}\n")  # fmt: skip
    table(["job", "complete", "given back", "trained in vain", "of its time used"], rows)
    checks.at_most("trained in vain with --time-limit, %", wasted["--time-limit"], 2.0)
    checks.true("without, more than 20 %", wasted["ended by SIGTERM"] > 20)
    return checks.status


if __name__ == "__main__":
    sys.exit(main())
