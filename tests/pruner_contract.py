"""What every pruner promises. A new one inherits these tests:

class TestMyPruner(PrunerContract):
    name = "mine"
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from distune.search.judge import Judge
from distune.search.pruners import PRUNERS
from distune.search.pruning import Curve, KeptPoints, Peers, Pruner, Stop, columns_of, points_of
from distune.search.ranking import History
from distune.share import records
from distune.share.protocol import AttemptName, State
from distune.study.study import Study
from distune.study.trial import Direction, Report, Scalar, Trial
from distune.watch.curves import kept_curve
from tests.histories import WORKER, counted, make_study, reports

STEPS = 12


def training(number: int, configuration: int | None = None) -> Trial:
    mine = number if configuration is None else configuration
    params: dict[str, Scalar] = {"x": number / 100, "epochs": STEPS}
    return Trial(study="s-1", number=number, attempt=1, configuration=mine, params=params)


def a_study(direction: Direction = "maximize", **fields: Any) -> Study:
    return make_study(**fields)[0].model_copy(update={"direction": direction})


def curve_of(
    values: Sequence[float],
    number: int = 99,
    *,
    direction: Direction = "maximize",
    complete: bool = False,
    summary: str = "best",
) -> Curve:
    """What trial `number` has reported, half a second a step."""
    study = a_study(direction, summary=summary)
    found = reports(*({"y": value} for value in values))
    return Curve(training(number), points_of(study, found), complete)


def learning(level: float, rng: random.Random | None = None) -> list[float]:
    """A curve that rises to a level, with noise if there is a generator."""
    noise = rng.gauss if rng is not None else lambda mean, spread: mean
    return [level * (1 - 0.7**step) + noise(0.0, 0.02) for step in range(1, STEPS + 1)]


def peers_of(levels: Sequence[float], direction: Direction = "maximize") -> Peers:
    sign = 1 if direction == "maximize" else -1
    return Peers(
        [
            curve_of([sign * v for v in learning(level)], n, direction=direction, complete=True)
            for n, level in enumerate(levels)
        ]
    )


class PrunerContract:
    """Tests of one pruner."""

    name: ClassVar[str]
    options: ClassVar[Mapping[str, Scalar]] = {}  # for curves that rise to something from 0 to 1
    flipped: ClassVar[Mapping[str, Scalar] | None] = None  # if they are others for their negatives

    def pruner(self, direction: Direction = "maximize") -> Pruner:
        flips = direction == "minimize" and self.flipped is not None
        options = self.flipped if flips else self.options
        return PRUNERS[self.name](direction, options or {})

    def judge(self, values: Sequence[float], peers: Peers | None = None) -> Stop | None:
        return self.pruner().judge(
            curve_of(values), peers or peers_of([0.1 * i for i in range(10)])
        )

    def hopeless(self) -> list[float]:
        """What it stops, at the latest when all of it is known."""
        return [0.01] * STEPS

    # -- what it says ----------------------------------------------------------------------

    def test_it_stops_what_is_hopeless_and_says_at_which_step_and_value(self) -> None:
        stop = self.judge(self.hopeless())
        assert stop is not None
        found = re.match(rf"step (\d+) of {STEPS}\b", stop.reason)
        assert found is not None, stop
        assert 1 <= int(found[1]) <= STEPS
        assert "0.01" in stop.reason
        assert stop.reason.isprintable()

    def test_it_lets_the_best_go_on_at_each_step(self) -> None:
        best = learning(2.0)
        for steps in range(1, STEPS + 1):
            assert self.judge(best[:steps]) is None

    def test_it_says_nothing_before_anything_else_was_trained(self) -> None:
        if self.name not in ("patience", "threshold"):
            assert self.judge(self.hopeless(), Peers([])) is None

    def test_what_is_as_good_at_each_step_is_not_stopped_where_the_worse_is_not(self) -> None:
        rng = random.Random(0)
        for _ in range(200):
            worse = learning(rng.random(), rng)[: rng.randint(1, STEPS)]
            gain = rng.random() * 0.3
            if self.judge(worse) is None:
                assert self.judge([value + gain for value in worse]) is None, worse

    def test_what_is_minimized_is_judged_as_its_negative_is(self) -> None:
        rng = random.Random(1)
        levels = [rng.random() for _ in range(9)]
        verdicts = set()
        for _ in range(100):
            values = learning(rng.random(), rng)[: rng.randint(1, STEPS)]
            up = self.pruner().judge(curve_of(values), peers_of(levels))
            down = self.pruner("minimize").judge(
                curve_of([-v for v in values], direction="minimize"), peers_of(levels, "minimize")
            )
            assert (up is None) is (down is None), values
            verdicts.add(up is None)
            if up is not None and down is not None:
                assert up.reason.split(":")[0] == down.reason.split(":")[0]
        assert verdicts == {True, False}

    def test_what_is_no_number_is_the_worst_there_is(self) -> None:
        stop = self.judge([math.nan] * STEPS)
        assert stop is not None
        assert self.judge([-math.inf] * STEPS) is not None
        assert self.judge([math.nan, *learning(2.0)]) is None or self.name == "threshold"

    def test_peers_without_a_number_stop_nothing_that_has_one(self) -> None:
        lost = Peers([curve_of([math.nan] * STEPS, n, complete=True) for n in range(9)])
        assert self.judge(learning(0.9), lost) is None

    # -- what it depends on ----------------------------------------------------------------

    def test_another_master_that_reads_it_from_files_says_the_same(self) -> None:
        study = a_study(trials=20, pruner=self.name, pruner_options=dict(self.options))
        rng, seen = random.Random(2), set()
        for _ in range(40):
            many = [learning(rng.random(), rng) for _ in range(8)]
            mine = learning(rng.random(), rng)[: rng.randint(1, STEPS)]
            history = History(study)
            for number, values in enumerate(many):
                said = reports(*({"y": value} for value in values))
                line = counted(number, {"x": number / 100}, max(values))
                line = line.replace(curve=kept_curve(study, said))
                decoded = records.decode(records.encode(line))
                history.add(decoded)  # type: ignore[arg-type]
            name = AttemptName(99, 1, training(99).purpose, WORKER, State.TAKEN)
            said = reports(*({"y": value} for value in mine))
            read = [records.decode(records.encode(one)) for one in said]
            file = Curve(training(99), points_of(study, [r for r in read if isinstance(r, Report)]))
            peers = [curve_of(values, n, complete=True) for n, values in enumerate(many)]
            at_once = self.pruner().judge(curve_of(mine), Peers(peers))
            found = Judge(study).verdicts(history, {name: file}).get(name)
            assert (found and found.reason) == (at_once and at_once.reason)
            seen.add(found is None)
        assert seen == {True, False}

    def test_it_takes_no_longer_than_its_peers_are_many(self) -> None:
        def seconds(many: int) -> float:
            kept = columns_of(curve_of(learning(0.5)).points)
            peers = Peers([Curve(training(n), KeptPoints(kept), True) for n in range(many)])
            pruner, mine = self.pruner(), curve_of(self.hopeless())
            began = time.process_time()
            for _ in range(3):
                pruner.judge(mine, peers)
            return time.process_time() - began

        few = min(seconds(1000) for _ in range(3))
        assert min(seconds(10_000) for _ in range(3)) < 30 * few + 0.01

    # -- what it takes ---------------------------------------------------------------------

    def test_it_refuses_options_that_it_does_not_know(self) -> None:
        PRUNERS[self.name].check(self.options)
        with pytest.raises(ValueError, match=r"pruner\.n_startup: there is no such option"):
            PRUNERS[self.name].check({**self.options, "n_startup": 3})

    def test_it_says_when_it_can_stop_nothing(self) -> None:
        assert self.pruner().never(trials=1000, steps=1000) is None
        assert self.pruner().never(trials=None, steps=None) is None
        options = {**self.options, **self.never_with()}
        PRUNERS[self.name].check(options)
        why = PRUNERS[self.name]("maximize", options).never(trials=20, steps=10)
        assert why is not None
        assert "10" in why or "20" in why

    def never_with(self) -> dict[str, Scalar]:
        """Options with which it can stop nothing in 20 trials of 10 steps."""
        return {"n_warmup_steps": 10}
