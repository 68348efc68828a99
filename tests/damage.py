"""Damage to what a live study has counted, as by a disk, a restore or a hand: bits that flip, files
that are swapped, copied over others or cut short, while masters and workers are killed.

Everything random comes from one seed, so that a study can be replayed:

    python -m tests.damage --studies 1000           # so many
    python -m tests.damage --seed 4711 --studies 1  # one of them
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from distune.master.verification import verify
from distune.share import protocol
from distune.share.folder import Folder
from distune.share.store import Store
from distune.study.trial import Counted
from tests.fake_executor import objective
from tests.garbage import Bench
from tests.histories import read_history

_OWN = [protocol.HISTORY, protocol.HISTORY, protocol.ASKED, protocol.STUDY]


class DamagedStudy:
    """`DamagedStudy(seed, folder).run()`, then `check()`.

    Attributes:
        touched: trials whose own files were damaged, or got a double.
        done: how often each kind of damage was done.
    """

    def __init__(self, seed: int, root: Path) -> None:
        self.bench = Bench(root, trials=random.Random(f"shape {seed}").randint(4, 24))
        self.touched: set[int] = set()
        self.done: Counter[str] = Counter()
        self._rng = random.Random(f"damage {seed}")
        self._workers = 1
        self._frozen = (self.bench.path / protocol.STUDY).read_bytes()
        self._counted: dict[int, Counted] = {}  # trials, as they were first counted

    # -- what happens ------------------------------------------------------------------------

    def run(self) -> None:
        """Damage it as long as it lives; then let it end, and live once more."""
        for _ in range(self._rng.randint(10, 80)):
            self.bench.step(self._rng.choice([0, 1, 2, 4]))
            self._remember()
            if self.bench.master.finished is not None:
                break
            if self._rng.random() < 0.25:
                self._kill()
            if self._rng.random() < 0.6:
                self._damage()
        self._put_study_back()
        for _ in range(2):
            self.bench.run()
            self._remember()
            self.bench.restart()
        self.bench.run()

    def _remember(self) -> None:
        for counted in self.bench.master.observer.history.trials:
            self._counted.setdefault(counted.trial.number, counted)

    def _kill(self) -> None:
        if self._rng.random() < 0.5:
            self._workers += 1
            self.bench.worker = self.bench.new_worker(f"w-{self._workers}-aaaaaa")
        self._put_study_back()  # no master starts without it, and says so to a person
        self.bench.restart()

    def _put_study_back(self) -> None:
        (self.bench.path / protocol.STUDY).write_bytes(self._frozen)

    def _damage(self) -> None:
        files = sorted(self.bench.path.glob("seen/*/*.jsonl*"))
        pool = [*files, *files, *(self.bench.path / name for name in _OWN)]
        pool = [path for path in pool if path.is_file() and path.stat().st_size]
        path, other = self._rng.choice(pool), self._rng.choice(pool)
        data = path.read_bytes()
        kind = self._rng.choice(["flip", "cut", "swap", "copy", "double"])
        match kind:
            case "flip":
                bit = self._rng.randrange(8 * len(data))
                at = bit // 8
                self._write(path, data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :])
            case "cut":
                self._write(path, data[: self._rng.randrange(len(data))])
            case "swap":
                self._write(path, other.read_bytes())
                self._write(other, data)
            case "copy":
                self._write(other, data)
            case _:
                self._write(path.with_name(self._double_of(path.name)), data)
        self.done[kind] += 1

    def _double_of(self, name: str) -> str:
        """A name for a copy: another trial's, or another attempt's at it."""
        number = f"{self._rng.randrange(self.bench.trials):06d}"
        name = re.sub(r"^\d{6}", lambda found: self._rng.choice([found[0], number]), name)
        return re.sub(r"(\.\d)?\.jsonl", self._rng.choice([".jsonl", ".1.jsonl", ".2.jsonl"]), name)

    def _write(self, path: Path, data: bytes) -> None:
        number = re.match(r"\d{6}", path.name)
        if number is not None:
            self.touched.add(int(number[0]))
        path.write_bytes(data)

    # -- what must hold ----------------------------------------------------------------------

    def check(self) -> None:
        """Every trial is counted once, with its own value, and all that tells of it agrees; one
        whose own files were not touched with the very attempt that was counted first.
        """
        self.bench.check()
        store = Store(Folder(self.bench.path))
        assert [str(one) for one in verify(store).found] == []
        lines = {counted.trial.number: counted for counted in read_history(store)}
        assert sorted(lines) == list(range(self.bench.trials))
        for number, line in lines.items():
            assert line.result.value == objective(line.trial.params), number
            if number not in self.touched:
                first = self._counted[number]
                assert line.replace(elapsed=None) == first.replace(elapsed=None), number


def damage_study(seed: int) -> Counter[str]:
    """One study; what was done to it, and how often.

    Raises:
        AssertionError: a trial suffered from what was done to another, or is not counted once.
    """
    with tempfile.TemporaryDirectory(prefix="distune-damage-") as root:
        study = DamagedStudy(seed, Path(root))
        study.run()
        study.check()
        return study.done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="begin with this one")
    options = parser.parse_args()
    os.fsync = lambda fd: None  # nothing here waits for a disk
    done: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.studies):
        try:
            done += damage_study(seed)
        except BaseException:
            print(
                f"\nreplay with: python -m tests.damage --seed {seed} --studies 1", file=sys.stderr
            )
            raise
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(done.items()))
    print(
        f"{done.total()} damages ({kinds}) to {options.studies} live studies: every trial counted "
        "once, and sound"
    )


if __name__ == "__main__":
    main()
