"""Histories in which a person has settings tried, and counted trials trained again, at any moment
while masters and workers live, crash and freeze.

    python -m tests.simulated_wishes --seeds 0:1000
    python -m tests.simulated_wishes --seeds 4711 --trace   # one history, operation by operation
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from distune.errors import UserError
from distune.master.revision import ask_to_retry
from distune.share import records
from distune.share.protocol import State
from distune.study.trial import Purpose
from distune.watch.observer import Observer
from tests.histories import asked_in, make_study
from tests.simulation import World, random_faults

_OFTEN = 0.02  # at each turn of a process
_COMES_BACK = 5  # times that a person starts masters again for what they have left


class WantingWorld(World):
    """One history: `WantingWorld(seed, faults).run_for_all()`.

    Attributes:
        wishes: of settings, that a person has made.
        retried: counted trials that are to be trained again.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.wishes: list[str] = []
        self.retried: list[int] = []
        self._wants = random.Random(f"wants {self.seed}")

    def _advance(self) -> None:
        super()._advance()
        if self.healed or self._wants.random() >= _OFTEN:
            return
        store = self._by_person()
        if self._wants.random() < 0.5:
            wish = f"{self._wants.getrandbits(64):016x}"
            store.enqueue(wish, {}, "desk")
            self.wishes.append(wish)
        else:
            numbers = sorted(one.trial.number for one in Observer(store).history.standing)
            with suppress(UserError):  # it is tried again already
                some = [self._wants.choice(numbers)] if numbers else []
                self.retried += ask_to_retry(store, "desk", some) if some else []
        if store.is_finished():
            store.reopen()
        self._start_masters_again()

    def run_for_all(self) -> WantingWorld:
        """To the end; a person who sees that something is left starts the masters again."""
        self.run()
        for _ in range(_COMES_BACK):
            store = self._by_person()
            if not store.listing().is_wanted:
                break
            store.reopen()
            self._start_masters_again()
            self.run(faulty_seconds=self.clock)
        return self

    def check_wishes(self) -> None:
        """Each setting is tried, each trial is trained again once, nothing else is added."""
        where = f"seed {self.seed}"
        store = self._by_person()
        left = store.listing()
        assert not left.is_wanted, f"{where}: nobody has asked for {left.wishes} {left.retries}"
        asked, history = asked_in(store, self.study), Observer(store).history
        forgotten = [wish for wish in self.wishes if wish not in asked.wishes]
        assert not forgotten, f"{where}: forgotten: {forgotten}"
        counted: list[int] = []
        instead: dict[int, list[int]] = {}
        for path, name in self.attempts():
            if name.state is State.SEEN and name.purpose is Purpose.TRAIN:
                trial = records.parse_attempt(self.share.files[path]).trial
                counted.append(trial.number)
                if trial.replaces is not None:
                    instead.setdefault(trial.replaces, []).append(trial.number)
        assert len(counted) == len(set(counted)), f"{where}: counted twice: {sorted(counted)}"
        found = {number: len(instead.get(number, [])) for number in self.retried}
        assert set(found.values()) <= {1}, f"{where}: trained again so many times: {found}"
        wanted = (self.limits.trials or 0) + self.study.repeats * len(self.wishes)
        assert history.over == wanted, f"{where}: {history.over} trials instead of {wanted}"
        standing = {one.trial.number for one in history.standing}
        assert not standing & {*self.retried}, f"{where}: ranked: {standing}"
        twice = [path for path, times in self.share.published.items() if times > 1]
        assert not twice or self.masters > 1, f"{where}: published twice: {twice}"


def simulate_wishes(
    seed: int, masters: int | None = None, trace: Callable[[str], None] | None = None
) -> WantingWorld:
    """One history, checked. Locks lie; where appends may be torn there is one master, since two
    would glue their lines together.
    """
    rng = random.Random(f"wishes {seed}")
    faults = random_faults(rng)
    learns = rng.random() < 0.1
    more = {"sampler": "tpe", "sampler_options": {"n_startup_trials": 1}} if learns else {}
    study, limits = make_study(rng.randint(2, 8), repeats=rng.choice([1, 1, 2]), **more)
    masters = masters or rng.choice([1, 2])
    if masters > 1:
        faults.torn = 0.0
    world = WantingWorld(
        seed,
        faults,
        study=study,
        limits=limits.replace(trials=(limits.trials or 0) * study.repeats),
        workers=rng.randint(1, 4),
        masters=masters,
        remembers=rng.random() < 0.5,
        trace=trace,
    )
    world.learns = learns
    try:
        world.run_for_all()
        world.check_wishes()
    except AssertionError:
        again = f"--seeds {seed} --masters {masters}"
        print(f"\nreplay with: python -m tests.simulated_wishes {again} --trace", file=sys.stderr)
        raise
    return world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0:1000", help="one seed, or FROM:TO")
    parser.add_argument("--masters", type=int, help="as many in every history, without a lock")
    parser.add_argument("--trace", action="store_true", help="print every operation")
    options = parser.parse_args()
    first, _, last = options.seeds.partition(":")
    seeds = range(int(first), int(last or int(first) + 1))
    trace = print if options.trace else None
    worlds = [simulate_wishes(seed, options.masters, trace) for seed in seeds]
    wishes = sum(len(world.wishes) for world in worlds)
    retried = sum(len(world.retried) for world in worlds)
    print(
        f"{len(worlds)} histories: {wishes} settings that persons wanted, {retried} trials that "
        "were to be trained again, each of them once"
    )


if __name__ == "__main__":
    main()
