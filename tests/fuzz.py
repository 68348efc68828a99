"""Fuzzing: bytes and names for the parsers, garbage for whole studies.

Everything random comes from one seed, so that a failure can be replayed:

    python -m tests.fuzz --seconds 60             # until the time is over
    python -m tests.fuzz --seed 4711 --only parsers --inputs 1

What a hostile share costs in memory and time is another part, without chance: see `tests.hostile`.

    python -m tests.fuzz --hostile                # a table; exit status 1 beyond a bound
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distune.errors import BadRecord, SpaceError
from distune.presets.catalogue import preset_names, read_preset, read_starter
from distune.share import protocol, records
from distune.share.heartbeat import Beat, Finished, Mark, MasterBeat, Progress
from distune.share.protocol import AttemptName, Halt, State
from distune.space_file.read import parse_space_file
from distune.study.study import Limits, Study
from distune.study.trial import (
    Claim,
    Counted,
    Document,
    Failure,
    Outcome,
    Purpose,
    Record,
    Report,
    Result,
    Trial,
)
from distune.training.messages import Assignment, Ready, decode_message, encode_message
from tests import hostile
from tests.garbage import ALL, CHANGES, NAMES, Bench, place, resealed, spoil
from tests.histories import make_study

CORPUS = Path(__file__).parent / "corpus"
SLOWEST = 5.0  # seconds for one input, on a busy machine

# -- valid bytes, to begin from --------------------------------------------------------------

TRIAL = Trial(
    study="s-1", number=17, attempt=1, seed=7, params={"lr": 0.1, "opt": "sgd", "b": True}
)
RESULT = Result(
    outcome=Outcome.FAILED,
    value=float("nan"),
    metrics={"val": 0.97, "loss": float("inf")},
    seconds=2.5,
    steps=2,
    failure=Failure(message="it broke", traceback="Traceback", output="\x1b[2J"),
)
LINES: list[Record] = [
    TRIAL,
    Claim(worker="gpu7-812-4f", host="gpu7", device="cuda:0", time=1.5e9),
    Report(step=1, metrics={"val": 0.91}, seconds=1.0),
    Report(step=2, metrics={"val": 0.97}, seconds=2.0),
    RESULT,
]
STUDY = make_study()[0]
DOCUMENTS: list[Record | Document] = [
    STUDY,
    Beat(
        worker="gpu7-812-4f", host="gpu7", pid=812, device="cuda:0", jobs=2, counter=7,
        state="working", running=[Progress(file="000017.1.jsonl", study="s-1", fraction=0.5)],
    ),
    MasterBeat(study="s-1", host="h", pid=1, counter=9, state="running", elapsed=1.5,
        limits=Limits(trials=40, time_limit=60.0, target=0.9)),
    Finished(study="s-1", reason="all 6 trials are counted", trials=6, elapsed=12.5),
    Mark(study="s-1", host="gpu7"),
    Limits(trials=40),
    TRIAL,
    RESULT,
]  # fmt: skip
ATTEMPT = b"".join(map(records.encode, LINES))
HISTORY = b"".join(
    records.encode(Counted(trial=TRIAL.replace(number=n), worker="w-1", result=RESULT))
    for n in range(4)
)


# -- parsers ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A parser, what it may raise, and valid inputs.

    `sealed`: what it accepts has a checksum, so that an altered input must be refused, or
    mean what it meant.
    """

    name: str
    parse: Callable[[bytes], object]
    refuses_with: tuple[type[Exception], ...]
    seeds: Sequence[bytes]
    sealed: bool = False


def _name(data: bytes) -> object:
    name = AttemptName.parse(os.fsdecode(data))
    assert os.fsencode(name.filename) == data
    return name


def _beat_name(data: bytes) -> object:
    worker = protocol.parse_beat(os.fsdecode(data))
    assert os.fsencode(protocol.beat_path(worker)) == b"workers/" + data
    return worker


def _written_again(model: Any) -> Callable[[bytes], object]:
    """What is read can be written: it will be, into other files."""

    def parse(data: bytes) -> object:
        record = records.decode_document(model, data)
        again = records.decode_document(model, records.encode_document(record))
        assert repr(again) == repr(record), f"{again} is not {record}"
        return repr(record)

    return parse


def _line(data: bytes) -> object:
    record = records.decode(data)
    assert repr(records.decode(records.encode(record))) == repr(record)
    return repr(record)


def _lines(data: bytes) -> object:
    return [repr(record) for record in records.decode_lines(data)]


def _message(data: bytes) -> object:
    return repr(decode_message(data))


def _targets() -> Iterator[Target]:
    bad = (BadRecord,)
    lines = [records.encode(record) for record in LINES] + HISTORY.splitlines(keepends=True)
    yield Target("a line", _line, bad, lines, sealed=True)
    yield Target("lines", _lines, bad, [ATTEMPT, HISTORY])
    yield Target("an attempt", lambda data: repr(records.parse_attempt(data)), bad, [ATTEMPT])
    for record in DOCUMENTS:
        model = type(record)
        seeds = [records.encode_document(record)]
        yield Target(model.__name__, _written_again(model), bad, seeds, sealed=True)
    names = [
        AttemptName(17, 2, Purpose.TRAIN, "gpu7-812-4f2a9c", state).filename.encode()
        for state in State
        if state is not State.WAITING
    ]
    names += [b"000017.1.jsonl", b"1000000.1.test.jsonl", *NAMES]
    yield Target("an attempt's name", _name, bad, names)
    yield Target("a heartbeat's name", _beat_name, bad, [b"gpu7-812-4f2a9c.beat", *NAMES])
    yield Target(
        "a folder of history",
        lambda data: protocol.parse_seen_folder(os.fsdecode(data)),
        bad,
        [b"000", b"1234567"],
    )
    spaces = [read_starter().encode(), *(read_preset(name).encode() for name in preset_names())]
    yield Target("a space file", lambda data: parse_space_file(data, "f"), (SpaceError,), spaces)
    # Both ends are ours, so a bad message is a bug; but it must be an error, and at once.
    trained = Assignment(study=None, trial=TRIAL, folder="x")
    messages: list[Record | Study] = [Ready(device="cpu"), STUDY, trained, RESULT]
    seeds = [encode_message(message) for message in messages]
    yield Target("a message", _message, (ValueError, KeyError, RecursionError), seeds)


TARGETS = {target.name: target for target in _targets()}


def check(target: Target, data: bytes, origin: bytes | None = None) -> None:
    """One input: accepted, or refused as it should be, and soon.

    Raises:
        AssertionError: it was not.
    """
    started = time.monotonic()
    reason, found = "accepted", None
    try:
        found = target.parse(data)
    except target.refuses_with as error:
        reason = str(error)
    else:
        if target.sealed and origin is not None and data.strip() != origin.strip():
            valid = map(target.parse, target.seeds)  # it may have become another of them
            assert found in valid, f"altered, and accepted as {found}"
    if target.name != "a message":
        assert reason, "refused without a reason"
        assert "\n" not in reason, reason
    took = time.monotonic() - started
    assert took < SLOWEST, f"took {took:.1f} s"


# -- mutations -------------------------------------------------------------------------------

_TOKENS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0.0", b"null", b"true", b"[]", b"{}", b'""',
    b"9" * 4400, b"1" + b"0" * 30, b'"\\ud800"', b'"\\u0000"', b"\x00", b"\xff", b"\xc3\x28",
    b"\xed\xa0\x80", b"\n", b"\r", b"[" * 5000, b'{"a":' * 2000, b'\\"' * 2000, b"//", b",",
    b"\xe2\x80\xae",
    b'"kind":"trial"', b'"crc":"00000000"}', b"..", b"/", b"%s", b"{x}", b"1_000", b"0x10",
]  # fmt: skip


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Another version of some bytes: flipped, cut, spliced, repeated, with a token inside."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice([1, 2, 8, 40]))
        match rng.randrange(9):
            case 0 if data:
                place = rng.randrange(8 * len(data))
                flipped = bytearray(data)
                flipped[place // 8] ^= 1 << place % 8
                data = bytes(flipped)
            case 1:
                data = data[:at]
            case 2:
                data = data[:at] + data[to:]
            case 3:
                data = data[:at] + rng.randbytes(rng.choice([1, 4, 60])) + data[to:]
            case 4:
                other = rng.choice(others)
                cut = rng.randrange(len(other) + 1)
                data = data[:at] + other[cut:]
            case 5:
                data = data[:at] + data[at:to] * rng.choice([2, 3, 500]) + data[to:]
            case 6:
                data = data[:at] + rng.choice(_TOKENS) + data[to:]
            case 7:
                # In the place of a value, where it hurts most.
                values = [i for i, byte in enumerate(data) if byte in b":,["]
                at = rng.choice(values or [0]) + 1
                end = next((i for i in range(at, len(data)) if data[i] in b",}]"), len(data))
                data = data[:at] + rng.choice(_TOKENS) + data[end:]
            case _:
                data = data[to:] + data[:at]
    return data


def corpus() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CORPUS.iterdir())]


def fuzz_parsers(seed: int) -> int:
    """One round over all parsers; how many inputs that were."""
    rng = random.Random(f"parsers {seed}")
    tried = 0
    for target in TARGETS.values():
        for _ in range(12):
            origin = rng.choice(target.seeds)
            data = mutate(rng, origin, [*target.seeds, ATTEMPT])
            check(target, data, origin)
            tried += 1
            if target.sealed:  # by an attacker who knows how to make the checksum
                check(target, resealed(origin, partial(mutate, rng, others=[origin])))
                tried += 1
    return tried


# -- whole studies ---------------------------------------------------------------------------


def fuzz_study(seed: int) -> int:
    """One study with garbage thrown into it while it runs; how many pieces that were.

    Raises:
        AssertionError: a trial was lost, or counted twice, or a process hung or fell over.
    """
    rng = random.Random(f"study {seed}")
    with tempfile.TemporaryDirectory(prefix="distune-fuzz-") as root:
        bench = Bench(Path(root), trials=rng.randint(1, 8))
        thrown = 0
        for _ in range(rng.randint(1, 25)):
            bench.step(rng.choice([0, 0, 1, 3]))
            if bench.master.finished is not None:
                break
            if rng.random() < 0.1:
                bench.restart()
            if rng.random() < 0.2:
                bench.now += rng.choice([1.0, 6.0, 30.0])
            thrown += throw(rng, bench)
            if rng.random() < 0.2:
                bench.look()
        bench.run()
        # One more life of the master: what it finds must be what the last one left.
        bench.restart()
        bench.run()
        bench.check()
        return thrown


def throw(rng: random.Random, bench: Bench) -> int:
    """One piece of garbage into a live study; 0 if there was no place for it."""
    kind = rng.choice(["file", "file", "name", "own", "stray"])
    if kind == "name":
        folder = bench.path / rng.choice(["trials", "workers", "seen", "seen/000"])
        if not folder.is_dir():
            return 0
        place(folder, rng.choice(NAMES), rng.choice([b"", bench.ended(bench.trial(0))]))
        return 1
    if kind == "stray":
        number = rng.choice([0, 1, bench.trials - 1, bench.trials, 777, 10**6, 10**12 - 1])
        state = rng.choice(list(State))
        worker = "" if state is State.WAITING else "stray-1-aaaaaa"
        name = AttemptName(number, rng.choice([1, 2, 7, 999_999]), worker=worker, state=state)
        path = bench.path / rng.choice(["trials", "trials", "seen/000"]) / name.filename
        valid = bench.ended(bench.trial(number % bench.trials, name.attempt % 9 + 1))
    elif kind == "own":
        own = [protocol.HISTORY, protocol.MASTER, protocol.FINISHED, protocol.BEST]
        own += [
            protocol.README,
            protocol.LEADERBOARD,
            *(halt.path for halt in Halt),
            protocol.wish_path("0" * 16),
            protocol.retry_path(3),
            f"workers/{bench.worker.identity.worker}.beat",
        ]
        path, valid = bench.path / rng.choice(own), HISTORY
    else:
        files = [*(bench.path / "trials").iterdir(), *(bench.path / "seen").glob("*/*")]
        if not files:
            return 0
        path, valid = rng.choice(sorted(files)), ATTEMPT
    if not path.parent.is_dir():
        return 0
    garbage = rng.choice(ALL)
    try:
        valid = path.read_bytes() if path.stat().st_size < 2**20 and path.is_file() else valid
    except OSError:
        pass
    if garbage in CHANGES and CHANGES[garbage](valid) == valid:
        return 0
    spoil(path, garbage, valid)
    return 1


# -- the command -----------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--seed", type=int, default=0, help="begin with this one")
    parser.add_argument("--inputs", type=int, default=sys.maxsize, help="stop after so many seeds")
    parser.add_argument("--only", choices=["parsers", "studies"], help="fuzz but these")
    parser.add_argument(
        "--hostile", nargs="*", metavar="WORD", help="measure hostile shares; those so called"
    )
    parser.add_argument("--names", type=int, help="in a flood of them; by default 99,900")
    options = parser.parse_args()
    os.fsync = lambda fd: None  # nothing here waits for a disk
    if options.hostile is not None:
        sys.exit(hostile.run(options.hostile, options.names))
    until = time.monotonic() + options.seconds
    inputs = studies = pieces = 0
    seed = options.seed
    while time.monotonic() < until and seed < options.seed + options.inputs:
        try:
            if options.only != "studies":
                for step in range(20):
                    inputs += fuzz_parsers(20 * seed + step)
            if options.only != "parsers":
                pieces += fuzz_study(seed)
                studies += 1
        except BaseException:
            print(f"\nreplay with: python -m tests.fuzz --seed {seed} --inputs 1", file=sys.stderr)
            raise
        seed += 1
    print(
        f"{inputs} inputs to {len(TARGETS)} parsers, {pieces} pieces of garbage in {studies} live "
        f"studies, seeds {options.seed}:{seed}: nothing fell over, every trial counted once"
    )


if __name__ == "__main__":
    main()
