"""Garbage for a study's folder, and a study to throw it into: real files, a real master and a
real worker in this process, and a clock to turn by hand.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import zlib
from collections.abc import Callable
from pathlib import Path

from distune.errors import ShareError
from distune.master.lock import Identity
from distune.master.master import Master
from distune.share import protocol, records
from distune.share.find_studies import find_studies
from distune.share.folder import Folder
from distune.share.heartbeat import Beat
from distune.share.protocol import AttemptName, State
from distune.share.store import Store
from distune.study.trial import Claim, Outcome, Record, Result, Trial
from distune.watch.display.json_data import snapshot_json, trial_json
from distune.watch.display.live import render
from distune.watch.display.state import plain_progress
from distune.watch.display.trial_detail import trial_detail
from distune.watch.observer import Observer
from distune.watch.snapshot import Event
from distune.worker.context import WorkerIdentity
from distune.worker.worker import Worker
from tests.fake_executor import SimulatedExecutor, objective
from tests.histories import asked_trial, make_study

GHOST = "ghost-7-0000ff"
SPARSE = 10 * 2**30  # bytes
_MOST_RESEALED = 100  # lines: what was spoiled before may have a million, each to grow


# -- garbage ---------------------------------------------------------------------------------


def resealed(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Valid bytes, changed by a program that knows how the checksums are made."""
    if re.search(rb'\n  "crc": "[0-9a-f]{8}"\n\}\s*$', data):
        body = change(data.rpartition(b',\n  "crc"')[0])
        return b'%s,\n  "crc": "%08x"\n}\n' % (body, zlib.crc32(body))
    lines = []
    for line in data.splitlines()[:_MOST_RESEALED]:
        body = change(line.rpartition(b',"crc"')[0])
        lines.append(b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body)))
    return b"".join(lines)


def with_field(value: bytes) -> Callable[[bytes], bytes]:
    """Give a field that every record has another value."""

    def change(body: bytes) -> bytes:
        known = rb'("(?:number|step|lease|counter|pid|trials|time|seconds|elapsed)": ?)[^,}\n]+'
        return re.sub(known, lambda match: match[1] + value, body, count=1)

    return change


def flipped(data: bytes) -> bytes:
    """One bit of a digit, in every number of it."""
    return re.sub(rb"(?<=[:., ])[0-6](?=[,}.\d\n])", lambda m: bytes([m[0][0] ^ 1]), data) + b""


def _version_99(body: bytes) -> bytes:
    newer = body.replace(b'"format": 2,', b'"format": 99,')
    return newer if newer != body else with_field(b'{"format":99}')(body)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda valid: b"",
    "truncated": lambda valid: valid[: (valid + b"\n").index(b"\n") // 2],
    "nul": lambda valid: bytes(max(len(valid), 100)),
    "large nul": lambda valid: bytes(3 * 2**20),
    "only newlines": lambda valid: b"\n" * 10**6,
    "only blanks": lambda valid: b" \n" * 10**5,
    "not utf-8": lambda valid: b"\xff\xfe\x80" * 50 + b"\n",
    "utf-16": lambda valid: valid.decode(errors="replace").encode("utf-16"),
    "text": lambda valid: b"<!DOCTYPE html><title>502</title>\r\n" * 20,
    "another version": lambda valid: resealed(valid, _version_99),
    "nested": lambda valid: b'{"kind":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    "nested, sealed": lambda valid: resealed(
        valid, lambda body: body + b',"x":' + b"[" * 100_000 + b"]" * 100_000
    ),
    "nan": lambda valid: resealed(valid, with_field(b"NaN")),
    "infinity": lambda valid: resealed(valid, with_field(b"-Infinity")),
    "1e999": lambda valid: resealed(valid, with_field(b"1e999")),
    "huge integer": lambda valid: resealed(valid, with_field(b"9" * 5000)),
    "large integer": lambda valid: resealed(valid, with_field(b"1" + b"0" * 18)),
    "surrogate": lambda valid: resealed(valid, with_field(b'"\\ud800"')),
    "key twice": lambda valid: resealed(valid, lambda body: body + b',"x":1,"x":2'),
    "flipped bit": flipped,
    "another study": lambda valid: resealed(
        valid, lambda body: re.sub(rb'("(?:study|id)": ?")s-1', rb"\g<1>other", body)
    ),
}  # fmt: skip


def _socket(path: Path) -> None:
    # By a short relative name: a socket's path has a hundred characters at most.
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(".s")
        os.rename(".s", path.name)
    finally:
        os.fchdir(before)
        os.close(before)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SPARSE)


def _full_directory(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("something")


THINGS: dict[str, Callable[[Path], None]] = {
    "directory": Path.mkdir,
    "full directory": _full_directory,
    "link to a file": lambda path: path.symlink_to(outside(path) / "file"),
    "link to a directory": lambda path: path.symlink_to(outside(path) / "folder"),
    "link to zeros": lambda path: path.symlink_to("/dev/zero"),
    "dangling link": lambda path: path.symlink_to(outside(path) / "nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "fifo": os.mkfifo,
    "socket": _socket,
    "ten sparse gigabytes": _sparse,
}
if os.geteuid() == 0:
    THINGS["device"] = lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))

ALL = [*CHANGES, *THINGS]


def outside(path: Path) -> Path:
    """The folder beside `logs` that no process may touch."""
    while path.name != "logs":
        path = path.parent
    return path.parent / "outside"


def wipe(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def spoil(path: Path, garbage: str, valid: bytes | None = None) -> None:
    """Put garbage in the place of a file."""
    while garbage in THINGS:
        wipe(path)
        try:
            THINGS[garbage](path)
        except FileExistsError:  # the master has written its heartbeat in between
            continue
        return
    if valid is None:
        valid = path.read_bytes()
    bad = CHANGES[garbage](valid)
    assert bad != valid, garbage
    wipe(path)
    path.write_bytes(bad)


#: Names that no file of the protocol has; a `/` cannot be in one.
NAMES: list[bytes] = [
    b"notes.txt", b"with blank", b"two\nlines", b"tab\there", b'quo"te', b"quo'te", b"`id`",
    b"$(id)", b"-rf", b"--help.beat", b"--logs=x.beat", b"\\..\\..\\etc", b"..%2f..%2fetc",
    b"..;", b"...", b"\x1b[2J\x07", b"\x7f", b"\xff\xfe", b"\xed\xa0\x80", "\u202eevil".encode(),
    "٠٠٠٠٠٣.1.jsonl".encode(), b"x" * 255, b"000003.1.jsonl~", b"000003.1.jsonl.swp",
    b"1000000000000000000.1.jsonl", b"999999999999.1.jsonl", b"000777.1.jsonl.w-1-a.done",
    b"099999.1.jsonl", b"000003.0.jsonl", b"000003.999999.jsonl", b"000003.01.jsonl",
    b"000003.1.jsonl.--help.taken", b"000003.1.jsonl.-.done", b"000003.1.jsonl.a.b.done",
    b"000099.jsonl", b"000003.test.jsonl", b"000003.1.jsonl.w-1-a.seen",
    b"000003.1.jsonl.w-1-a.pruned", b"000003.1.jsonl.w-1-a",
    b"000003.1.test.jsonl", b"-00003.1.jsonl", b"con", b"Thumbs.db", b"desktop.ini",
    b"000003.1 (conflicted copy).jsonl", b"000003.1.jsonl\n", b"000003.1.jsonl.gpu7.Taken",
    b"w" * 250 + b".beat", b"w w.beat", b".beat"[1:], b"UPPER.beat",
]  # fmt: skip


def place(folder: Path, name: bytes, content: bytes = b"garbage") -> Path:
    path = folder / os.fsdecode(name)
    path.write_bytes(content)
    return path


# -- a study to throw it into ----------------------------------------------------------------


class Bench:
    """A study with a master and a worker; `run()` lets them finish it.

    Attributes:
        lines: what the master's log says, a line an event.
        said: what the worker says.
    """

    def __init__(self, root: Path, trials: int = 4, folder: Callable[[Path], Folder] = Folder):
        self.now = 0.0
        self.trials = trials
        self.logs = root / "logs"
        self.path = self.logs / "s"
        self.path.mkdir(parents=True)
        self.outside = root / "outside"
        (self.outside / "folder").mkdir(parents=True)
        for file in (self.outside / "file", self.outside / "folder" / "file"):
            file.write_text("another program's business")
        self._folder = folder
        self.study, self.limits = make_study(trials)
        Store(folder(self.path)).create(self.study)
        self.lines: list[str] = []
        self.said: list[str] = []
        self._say: list[Event] = []
        self.master = self.new_master()
        self.worker = self.new_worker("w-1-aaaaaa")

    def clock(self) -> float:
        return self.now

    def rest(self) -> None:
        """Have no process hold a directory open, as between two looks."""
        self.master.store.folder.rest()
        self.worker.rest()

    def new_master(self) -> Master:
        return Master(
            Store(self._folder(self.path)),
            self.limits,
            Identity("h", 1),
            monotonic=self.clock,
            wall=self.clock,
        )

    def new_worker(self, name: str) -> Worker:
        return Worker(
            WorkerIdentity(name, "h", 1, "cpu"),
            lambda: find_studies(self.logs),
            [SimulatedExecutor(random.Random(1), self.clock, 0.0, 0.5)],
            forever=True,
            say=self.said.append,
            monotonic=self.clock,
            wall=self.clock,
            rng=random.Random(2),
            base=self.logs,
        )

    def restart(self) -> None:
        """Another master, as if the first had been killed."""
        self.master = self.new_master()
        self._listen()

    def _listen(self) -> None:
        for event in list(self.master.observer.events):
            if not any(event is known for known in self._say):
                self._say.append(event)
                self.lines.append(event.text)

    def step_master(self) -> None:
        try:
            self.master.step()
        except (ShareError, FileNotFoundError) as error:
            self.master.observer.blind()
            self.lines.append(str(error))
        self._listen()

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += 0.5
            if self.master.finished is None:
                self.step_master()
            self.worker.step()

    def run(self, steps: int = 1500) -> None:
        """To the end of the study."""
        for _ in range(steps):
            if self.master.finished is not None:
                return
            self.step()
        raise AssertionError(f"no end: {self.tree()}\n{self.lines[-20:]}\n{self.said[-20:]}")

    # -- what a test does to it --------------------------------------------------------------

    def trial(self, number: int, attempt: int = 1) -> Trial:
        return asked_trial(self.study, self.master._sampler, number, attempt)

    def ended(self, trial: Trial, worker: str = GHOST) -> bytes:
        """The file of an attempt at it that is complete."""
        x = trial.params
        lines: list[Record] = [
            trial,
            Claim(worker=worker, host="h", device="cpu", time=1.25),
            Result(outcome=Outcome.COMPLETE, value=objective(x), metrics={"y": objective(x)}),
        ]
        return b"".join(map(records.encode, lines))

    def publish_all(self) -> None:
        """Have the master publish all of them, as for a worker that trains many at a time."""
        store = Store(Folder(self.path))
        beat = Beat(
            worker=GHOST, host="h", pid=1, device="cpu", jobs=self.trials, counter=1, state="idle"
        )
        store.beat(GHOST, beat)
        self.step_master()
        store.remove_beat(GHOST)

    def put(self, number: int, state: State) -> Path:
        """A trial's file in some state, as a worker that is gone would have left it."""
        waiting = self.path / AttemptName.waiting(self.trial(number)).live_path
        waiting.unlink(missing_ok=True)
        if state is State.WAITING:
            waiting.write_bytes(records.encode(self.trial(number)))
            return waiting
        path = self.path / AttemptName(number, 1, worker=GHOST, state=state).live_path
        path.write_bytes(self.ended(self.trial(number)))
        return path

    # -- what must hold --------------------------------------------------------------------

    def tree(self) -> list[str]:
        return sorted(str(p.relative_to(self.path)) for p in self.path.rglob("*"))

    def quarantined(self) -> list[str]:
        return sorted(os.listdir(self.path / protocol.QUARANTINE))

    def lines_about(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    def check(self) -> None:
        """Every trial counted once, with the right value; nothing outside was touched."""
        assert self.master.finished is not None
        assert not self.master.finished.failed, self.master.finished
        for observer in (self.master.observer, Observer(Store(Folder(self.path)))):
            history = observer.history
            numbers = sorted(counted.trial.number for counted in history.trials)
            assert numbers == list(range(self.trials)), numbers
            for counted in history.trials:
                assert counted.trial.study == self.study.id
                assert counted.result.value == objective(counted.trial.params)
        self.look()
        self.check_outside()
        for line in [*self.lines, *self.said]:
            assert "\n" not in line, line

    def look(self) -> None:
        """Everything that a viewer does; none of it fails."""
        store = Store(Folder(self.path))
        snapshot = Observer(store).look(curves=True)
        json.dumps(snapshot_json(snapshot), allow_nan=False)
        render(snapshot, 100, 40)
        plain_progress(snapshot)
        for number in range(min(self.trials, 4)):
            if files := store.attempts_of(number):
                json.dumps(trial_json(files), allow_nan=False)
                trial_detail(snapshot, files, 100)

    def check_outside(self) -> None:
        assert sorted(os.listdir(self.outside)) == ["file", "folder"]
        assert os.listdir(self.outside / "folder") == ["file"]
        for file in (self.outside / "file", self.outside / "folder" / "file"):
            assert file.read_text() == "another program's business"
