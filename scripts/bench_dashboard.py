"""Measures the dashboard: time to the first paint, memory, scrolling, what it sends.

    python scripts/bench_dashboard.py                    # 10,000 trials, 300 studies: a minute
    python scripts/bench_dashboard.py --keep /tmp/many   # make the studies there, or use them again

A real server shows real folders in the protocol's format to chromium, which has no screen. Each
figure is of a server and a browser that were started for it. On a machine that does other work only
the seconds of CPU mean much.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil

from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.protocol import AttemptName
from distune.share.store import Store
from distune.space_file.freeze import freeze
from distune.space_file.read import parse_space_file
from distune.study.trial import Claim, Counted, Failure, Outcome, Purpose, Report, Result, Trial

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.benching import machine, spread, table, tell

SPACE = {
    "objective": "mnist-cnn",
    "metric": "val_accuracy",
    "direction": "maximize",
    "params": {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
        "optimizer": ["sgd", "adam", "rmsprop"],
        "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
        "epochs": 12,
    },
    "sampler": "random",
}
LARGE = "large"
_STEPS = 12
_WORKERS = [f"gpu{i}-{4000 + i}-{i:06x}" for i in range(8)]


# -- the studies ---------------------------------------------------------------------------------


def a_trial(study: str, number: int, rng: random.Random) -> Counted:
    """One of a random search: some fail, diverge, or are pruned; rates near 0.05 are good."""
    params: dict[str, Any] = {
        "lr": 10 ** rng.uniform(-4, 0),
        "batch_size": rng.randrange(16, 257),
        "optimizer": rng.choice(["sgd", "adam", "rmsprop"]),
        "dropout": rng.uniform(0, 0.5),
        "epochs": _STEPS,
    }
    if params["optimizer"] == "sgd":
        params["momentum"] = rng.uniform(0, 0.99)
    outcome = {3: Outcome.DIVERGED, 8: Outcome.FAILED, 11: Outcome.PRUNED}.get(
        number % 40, Outcome.COMPLETE
    )
    value: float | None = 0.99 - 0.1 * (math.log10(params["lr"]) + 1.3) ** 2 - 0.02 * rng.random()
    failure = None
    if outcome is Outcome.FAILED:
        value, failure = None, Failure(message=f"CUDA error at step {number}")
    elif outcome is Outcome.DIVERGED:
        value = math.nan
    return Counted(
        trial=Trial(
            study=study, number=number, attempt=1, configuration=number, seed=number, params=params
        ),
        worker=_WORKERS[number % len(_WORKERS)],
        device="cuda:0",
        result=Result(
            outcome=outcome,
            value=value,
            metrics={"val_accuracy": value, "val_loss": 0.1} if value else {},
            seconds=rng.uniform(5, 60),
            steps=_STEPS,
            failure=failure,
        ),
        elapsed=4.0 * number,
    )


def count(folder: Path, one: Counted) -> None:
    """What a master leaves of a trial that it has counted."""
    with (folder / protocol.HISTORY).open("ab") as history:
        history.write(records.encode(one))
    path = folder / AttemptName.counted(one.key).seen_path
    path.parent.mkdir(exist_ok=True)
    claim = Claim(worker=one.worker, host="gpu", device=one.device, time=1.7e9)
    path.write_bytes(b"".join(map(records.encode, (one.trial, claim, *curve_of(one), one.result))))


def make_study(logs: Path, name: str, trials: int) -> None:
    """A study's folder with so many counted trials, as a master that was killed left it."""
    folder = logs / name
    folder.mkdir(parents=True)
    file = parse_space_file(json.dumps(SPACE), "space.json")
    study = freeze(file, name=name, study_id=f"id-{name}", lease=20.0, created=1.7e9)
    Store(Folder(folder)).create(study)
    rng = random.Random(name)
    for number in range(trials):
        count(folder, a_trial(study.id, number, rng))


def curve_of(one: Counted) -> list[Report]:
    best = one.result.value or 0.5
    return [
        Report(
            step=i,
            metrics={"val_accuracy": best * (1 - math.exp(-i / 2))},
            seconds=one.result.seconds * i / _STEPS,
        )
        for i in range(1, _STEPS + 1)
    ]


# -- a server and a browser ----------------------------------------------------------------------


class Server:
    """`distune dashboard` for a folder."""

    def __init__(self, logs: Path) -> None:
        command = [sys.executable, "-m", "distune", "dashboard", "--logs", str(logs), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        if found is None:
            raise SystemExit("the dashboard does not say where it is")
        self.address = found[0]

    @property
    def memory(self) -> float:
        """MB that are resident."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has had."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def serving(logs: Path) -> Iterator[Server]:
    one = Server(logs)
    try:
        yield one
    finally:
        one.end()


#: Seconds from the navigation to the first frame in which all of these are there.
_PAINTED = """wanted => new Promise(resolve => {
  const look = () => wanted.every(one => document.querySelector(one))
    ? requestAnimationFrame(() => resolve(performance.now() / 1000)) : requestAnimationFrame(look);
  look();
})"""
#: Scrolls a table by so many pixels a frame; how long the frames were, in seconds.
_SCROLLED = """async ([inside, pixels, frames]) => {
  const table = document.querySelector(`${inside} .tabulator-tableholder`);
  table.scrollIntoView({ block: 'center' });
  await new Promise(resolve => setTimeout(resolve, 1000));  // what the page has begun
  const gaps = [];
  let before = null;
  await new Promise(resolve => {
    const step = now => {
      if (before !== null) gaps.push((now - before) / 1000);
      before = now;
      table.scrollTop += pixels;
      gaps.length < frames ? requestAnimationFrame(step) : resolve();
    };
    requestAnimationFrame(step);
  });
  return gaps;
}"""
_NOTCH, _FRAMES = 120, 180  # pixels a frame: a notch of a wheel; and three seconds of them


class Seen:
    """What a browser that has just been started has of an address.

    Attributes:
        painted: seconds from the navigation until all of `wanted` is drawn.
        cpu: seconds for which the page's main thread worked until then.
        sent: bytes that had come until then.
        frames: seconds, how long each frame was while the table was scrolled.
        work: seconds of the main thread, for each of these on average.
    """

    def __init__(self, address: str, *wanted: str, scrolls: str = "") -> None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            self._inside, self.sent = page.context.new_cdp_session(page), 0
            self._inside.send("Network.enable")
            self._inside.send("Performance.enable", {"timeDomain": "threadTicks"})
            self._inside.on("Network.dataReceived", self._received)
            page.goto(address, wait_until="commit")
            self.painted: float = page.evaluate(_PAINTED, list(wanted))
            self.cpu = self._worked()
            if scrolls:
                self.frames = page.evaluate(_SCROLLED, [scrolls, _NOTCH, _FRAMES])
                self.work = (self._worked() - self.cpu) / _FRAMES
            browser.close()

    def _received(self, event: dict[str, Any]) -> None:
        self.sent += event["encodedDataLength"]

    def _worked(self) -> float:
        metrics = self._inside.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


# -- what is printed -----------------------------------------------------------------------------

_ROUNDS = 3
_FOLLOWED = 30  # seconds
_RANKING, _STUDIES = "#ranking", "[aria-label='all studies']"


def measure(logs: Path, address: str, *wanted: str, within: str) -> list[list[str]]:
    """Rows of a table: what is seen of a server that is new, and then once more.

    Args:
        wanted: selectors of what has to be drawn, besides rows of the table `within` there.
    """
    wanted = (*wanted, f"{within} .tabulator-row")
    cold, warm, memory = [], [], []
    for _ in range(_ROUNDS):
        with serving(logs) as server:
            before = server.cpu
            cold.append(Seen(server.address + address, *wanted))
            first = server.cpu - before
            warm.append(Seen(server.address + address, *wanted, scrolls=within))
            memory.append(server.memory)
            tell(f"{logs.name}: {cold[-1].painted:.2f} s, {warm[-1].painted:.2f} s")
    longest = [max(one.frames) * 1000 for one in warm]
    usual = [statistics.median(one.frames) * 1000 for one in warm]
    return [
        ["to the first paint, with a new server", spread([c.painted for c in cold], 2), "s"],
        ["with one that has looked before", spread([w.painted for w in warm], 2), "s"],
        ["the page's work until then", spread([w.cpu for w in warm], 2), "s of CPU"],
        ["the server's work for the first browser", f"{first:.2f}", "s of CPU"],
        ["sent until then, compressed", f"{warm[-1].sent / 1e6:.2f}", "MB"],
        ["a frame while the table is scrolled", spread(usual), "ms"],
        ["the longest of 180 frames", spread(longest), "ms"],
        ["the page's work for a frame", spread([one.work * 1000 for one in warm], 1), "ms of CPU"],
        ["memory of the server", spread(memory), "MB"],
    ]  # fmt: skip


def follow(logs: Path, trials: int) -> list[list[str]]:
    """Rows of a table: what following a study costs while trials are counted, four a second."""
    folder, rng = logs / LARGE, random.Random("follow")
    study = Store(Folder(folder)).load().id
    before = (folder / protocol.HISTORY).read_bytes()
    times: list[float] = []
    with serving(logs) as server:
        events = urllib.request.urlopen(f"{server.address}api/events?study={LARGE}")
        events.readline()  # all of it

        def listen() -> None:
            with events, contextlib.suppress(OSError, HTTPException):  # the server's end
                times.extend(time.monotonic() for line in events if b'"trials"' in line)

        listening = threading.Thread(target=listen)
        listening.start()
        began = server.cpu
        for number in range(trials, trials + 4 * _FOLLOWED):
            count(folder, a_trial(study, number, rng))
            time.sleep(0.25)
        work = server.cpu - began
    listening.join()
    (folder / protocol.HISTORY).write_bytes(before)
    for number in range(trials, trials + 4 * _FOLLOWED):
        (folder / AttemptName.counted((Purpose.TRAIN, number)).seen_path).unlink()
    gaps = [later - one for one, later in itertools.pairwise(times)]
    return [
        ["from one message with counted trials to the next", spread(gaps, 2), "s"],
        ["the server's work meanwhile", f"{work / _FOLLOWED:.2f}", "s of CPU a second"],
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--keep", type=Path, help="where the studies are, or shall stay")
    options = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        kept = options.keep or Path(scratch)
        one, many = kept / "large", kept / "many"
        if not one.exists():
            make_study(one, LARGE, options.trials)
            for number in range(options.studies):
                make_study(many, f"study-{number:03}", 60)
        rows = measure(one, f"#study={LARGE}", "[aria-label=answer] .value", within=_RANKING)
        rows += follow(one, options.trials)
        table([f"a study of {options.trials:,} trials", "", ""], rows)
        rows = measure(many, "", within=_STUDIES)
        table([f"{options.studies} studies of 60 trials", "", ""], rows)


if __name__ == "__main__":
    main()
