"""Pruners, and how the master asks them."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import optuna
import pytest

from distune.search.judge import Judge
from distune.search.optuna_bridge import OptunaStudy
from distune.search.plateau import Plateau
from distune.search.pruners import PRUNERS
from distune.search.pruning import Curve, KeptPoints, Peers, points_of
from distune.search.ranking import History
from distune.share.protocol import AttemptName, State
from distune.study.constraint import Constraint
from distune.study.trial import Dropped, Outcome, Purpose
from distune.watch.curves import kept_curve
from tests.histories import WORKER, counted, make_study, reports
from tests.pruner_contract import (
    STEPS,
    PrunerContract,
    a_study,
    curve_of,
    learning,
    peers_of,
    training,
)


class TestMedian(PrunerContract):
    name = "median"

    def never_with(self) -> dict[str, Any]:
        return {"n_startup_trials": 20}


class TestPercentile(PrunerContract):
    name = "percentile"
    options = {"percentile": 60.0, "n_warmup_steps": 2}


class TestMedianAfterEqualTime(PrunerContract):
    name = "median"
    options = {"resource": "seconds", "interval_steps": 2}


class TestThreshold(PrunerContract):
    name = "threshold"
    options = {"lower": 0.2, "n_warmup_steps": 1}
    flipped = {"upper": -0.2, "n_warmup_steps": 1}


class TestPatience(PrunerContract):
    name = "patience"
    options = {"patience": 3, "min_delta": 0.001}

    def never_with(self) -> dict[str, Any]:
        return {"patience": 10}

    def test_what_is_as_good_at_each_step_is_not_stopped_where_the_worse_is_not(self) -> None:
        """It compares a training with itself alone: a level is nothing to it."""
        values = learning(0.5)
        assert self.judge(values) == self.judge([value + 1 for value in values]) is None


# -- their rules -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "percentile"), [("median", 50.0), ("percentile", 25.0)])
def test_against_complete_peers_it_stops_what_optunas_pruner_stops(
    name: str, percentile: float
) -> None:
    rng, stopped = random.Random(3), 0
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for _ in range(40):
        study = optuna.create_study(
            direction="maximize",
            pruner=optuna.pruners.PercentilePruner(percentile),
        )
        many = [learning(rng.random()) for _ in range(8)]  # which rise, as what it stands at does
        for values in many:
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.COMPLETE,
                    value=max(values),
                    intermediate_values=dict(enumerate(values, 1)),
                )
            )
        mine = learning(rng.random(), rng)[: rng.randint(1, STEPS)]
        trial = study.ask()
        for step, value in enumerate(mine, 1):
            trial.report(value, step)
        peers = Peers([curve_of(values, n, complete=True) for n, values in enumerate(many)])
        found = PRUNERS[name]("maximize", {}).judge(curve_of(mine), peers)
        assert (found is not None) is bool(trial.should_prune()), mine
        stopped += found is not None
    assert stopped > 0


def test_what_is_compared_after_equal_time_need_not_have_made_as_many_steps() -> None:
    """A host that is twice as fast has made twice the steps."""
    study = a_study()
    slow = points_of(study, [r.replace(seconds=2 * r.seconds) for r in reports(
        *({"y": value} for value in learning(0.8)))])  # fmt: skip
    fast = peers_of([0.8] * 6)
    mine = Curve(training(99), slow[:4])
    by_steps = PRUNERS["median"]("maximize", {}).judge(mine, fast)
    by_seconds = PRUNERS["median"]("maximize", {"resource": "seconds"}).judge(mine, fast)
    assert by_steps is None
    assert by_seconds is not None
    assert by_seconds.reason == (
        f"step 4 of {STEPS} after 4 s: 0.60792, worse than 0.75388, the median of 6"
    )


def test_a_warm_up_and_an_interval_say_when_a_training_is_judged() -> None:
    peers = peers_of([0.9] * 6)
    judged = [
        steps
        for steps in range(1, STEPS + 1)
        if (stop := PRUNERS["median"](
            "maximize", {"n_warmup_steps": 3, "interval_steps": 4}
        ).judge(curve_of([0.01] * steps), peers))
        and stop.reason.startswith(f"step {steps} ")
    ]  # fmt: skip
    assert judged == [4, 8, 12]


def test_nothing_is_stopped_before_enough_trials_are_complete() -> None:
    pruner = PRUNERS["median"]("maximize", {"n_startup_trials": 4})
    peers = peers_of([0.9] * 4)
    assert pruner.judge(curve_of([0.01]), peers) is not None
    assert pruner.judge(curve_of([0.01]), Peers(peers.counted[1:], peers.counted[:1])) is None


def test_a_threshold_without_a_bound_is_refused() -> None:
    for options, problem in [
        ({}, "pruner: say which"),
        ({"lower": 2.0, "upper": 1}, "greater than upper"),
        ({"lower": "low"}, r"pruner\.lower"),
    ]:
        with pytest.raises(ValueError, match=problem):
            PRUNERS["threshold"].check(options)  # type: ignore[arg-type]


def test_what_patience_ends_has_learnt_what_it_can() -> None:
    stop = PRUNERS["patience"]("maximize", {"patience": 2}).judge(
        curve_of([0.5, 0.7, 0.6, 0.65, 0.9]), Peers([])
    )
    assert stop is not None
    assert stop.complete
    assert stop.reason == f"step 4 of {STEPS}: no better for 2 steps than 0.7 at step 2"


# -- curves ----------------------------------------------------------------------------------


def test_a_trial_stands_where_it_would_be_ranked() -> None:
    values = [0.3, 0.5, 0.4]
    assert [p.standing for p in curve_of(values).points] == [0.3, 0.5, 0.5]
    assert [p.standing for p in curve_of(values, summary="last").points] == values


def test_of_a_long_curve_the_history_keeps_a_part_and_a_short_one_whole() -> None:
    study = a_study(pruner="median")
    for many, most in ((64, 64), (1000, 64 + 5 * 32), (100_000, 64 + 12 * 32)):
        kept = kept_curve(study, reports(*({"y": float(i)} for i in range(many))))
        assert isinstance(kept, list)
        points = KeptPoints(kept)
        assert len(points) <= most
        assert (points[0].step, points[-1].step, points[-1].standing) == (1, many, many - 1)
        gaps = [b.step - a.step for a, b in itertools.pairwise(points)]
        assert all(gap <= max(1, p.step / 32) for gap, p in zip(gaps, points[1:], strict=True))
    assert not isinstance(kept_curve(a_study(), reports({"y": 1.0})), list)


def test_a_curve_ends_where_it_ends_unless_it_is_complete() -> None:
    running, complete = curve_of([0.1, 0.2]), curve_of([0.1, 0.2], complete=True)
    assert running.at_step(2) is not None
    assert running.at_step(3) is complete.at_step(3) is running.at_step(0) is None
    assert running.after(1.0) is not None
    assert running.after(1.1) is running.after(0.4) is None
    assert complete.after(5.0) == 0.2


# -- the judge -------------------------------------------------------------------------------


def judged(
    trial: Any, *before: Any, values: tuple[float, ...] = (0.01,), pruner: str = "median"
) -> str | None:
    """Why an attempt at a trial is stopped in a study in which six others were good."""
    study = a_study(trials=20, pruner=pruner)
    history = History(study)
    for number in range(6):
        curve = kept_curve(study, reports(*({"y": v} for v in learning(0.9))))
        history.add(counted(number, {"x": 0.5}, 0.9).replace(curve=curve))
    for one in before:
        history.add(one)
    name = AttemptName(trial.number, 1, trial.purpose, WORKER, State.TAKEN)
    curves = {name: Curve(trial, curve_of(values).points)}
    stop = Judge(study).verdicts(history, curves).get(name)
    return None if stop is None else stop.reason


def test_what_a_person_asked_for_and_what_is_tested_is_never_stopped() -> None:
    usual = training(50)
    assert judged(usual) == f"step 1 of {STEPS}: 0.01, worse than 0.27, the median of 6"
    for of in ({"replaces": 3}, {"extends": 3}, {"purpose": Purpose.TEST}):
        assert judged(usual.replace(**of)) is None


def test_repeats_of_a_stopped_configuration_are_stopped_with_it() -> None:
    of = {"configuration": 50, "repeat": 0}
    why = "step 1: 0.1, worse than 0.5, the median of 6"
    stopped = counted(50, {"x": 0.1}, 0.1, Outcome.PRUNED, trial=of, reason=why)
    ended = counted(50, {"x": 0.1}, 0.1, Outcome.PRUNED, trial=of)  # when the study was over
    other = training(51, 50).replace(repeat=1)
    assert judged(other, stopped, values=()) == "repeat 1 of its configuration was stopped"
    assert judged(other, ended, values=()) is None


def test_its_own_repeats_are_no_peers() -> None:
    study = a_study(trials=20, pruner="median", pruner_options={"n_startup_trials": 1})
    history = History(study)
    curve = kept_curve(study, reports({"y": 0.9}))
    history.add(counted(0, {"x": 0.5}, 0.9, trial={"configuration": 7}).replace(curve=curve))
    name = AttemptName(1, 1, Purpose.TRAIN, WORKER, State.TAKEN)
    mine = Curve(training(1, 7), curve_of([0.1]).points)
    assert Judge(study).verdicts(history, {name: mine}) == {}


def test_each_report_is_judged_once() -> None:
    study = a_study(trials=20, pruner="median", pruner_options={"n_startup_trials": 1})
    judge, history = Judge(study), History(study)
    name = AttemptName(99, 1, Purpose.TRAIN, WORKER, State.TAKEN)
    mine = curve_of([0.1])
    assert judge.verdicts(history, {name: mine}) == {}
    curve = kept_curve(study, reports({"y": 0.9}, {"y": 0.95}))
    history.add(counted(0, {"x": 0.5}, 0.95).replace(curve=curve))
    assert judge.verdicts(history, {name: mine}) == {}
    assert name in judge.verdicts(history, {name: curve_of([0.1, 0.1])})
    assert name in Judge(study).verdicts(history, {name: mine})  # of another master


def test_a_trial_that_is_dropped_is_no_peer_any_more() -> None:
    study = a_study(trials=20, pruner="median", pruner_options={"n_startup_trials": 1})
    judge, history = Judge(study), History(study)
    good = counted(0, {"x": 0.5}, 0.9)
    history.add(good.replace(curve=kept_curve(study, reports({"y": 0.9}, {"y": 0.9}))))
    name = AttemptName(99, 1, Purpose.TRAIN, WORKER, State.TAKEN)
    assert name in judge.verdicts(history, {name: curve_of([0.1])})
    history.drop(Dropped.of(good))
    assert judge.verdicts(history, {name: curve_of([0.1, 0.1])}) == {}


def test_a_gaussian_process_learns_from_what_was_stopped_too() -> None:
    """Optuna's hears of complete trials only, so it would learn from the survivors."""
    study = make_study(sampler="gp", pruner="median")[0]
    history = History(study)
    for number in range(6):
        x = number / 10
        history.add(counted(number, {"x": x}, x, Outcome.PRUNED, steps=1, reason="step 1: ..."))
    hears_of_all = OptunaStudy(study.space, "GPSampler", {}, worst=True)
    hears_of_all.follow(history, (), {})
    suggested = hears_of_all.suggest(0)
    assert suggested is not None
    found = suggested["x"]
    assert isinstance(found, float)
    assert found > 0.5
    hears_of_complete_ones = OptunaStudy(study.space, "GPSampler", {})
    hears_of_complete_ones.follow(history, (), {})
    assert hears_of_complete_ones.suggest(0) is None


# -- how long nothing better was found -------------------------------------------------------


def test_a_plateau_is_counted_in_configurations_that_are_over() -> None:
    study = make_study(repeats=2)[0]
    history, plateau = History(study), Plateau(study)
    found = []

    def add(number: int, value: float | None, outcome: Outcome = Outcome.COMPLETE) -> None:
        of = {"configuration": number // 2, "repeat": number % 2}
        history.add(counted(number, {"x": number // 2 / 10}, value, outcome, trial=of))
        found.append(plateau.since(history))

    for number, value in enumerate([0.5, 0.5, 0.4, 0.4, 0.9, 0.2, 0.6, 0.7]):
        add(number, value)
    # The third has 0.55 in the mean, the fourth 0.65: each is better than all before.
    assert found == [0, 0, 0, 1, 1, 0, 0, 0]
    add(8, None, Outcome.FAILED)
    add(9, None, Outcome.FAILED)
    assert found[-1] == 0  # failures say nothing
    add(10, 0.1, Outcome.PRUNED)
    add(11, 0.9)
    add(12, math.nan, Outcome.DIVERGED)
    add(13, math.nan, Outcome.DIVERGED)
    assert found[-1] == 2
    assert Plateau(study).since(history) == 2  # of another master


def test_what_breaks_a_constraint_is_no_improvement() -> None:
    bounds = {"size": Constraint(max=2), "seconds": Constraint(max=9)}
    study = make_study(constraints=bounds)[0]
    history, plateau = History(study), Plateau(study)
    found = []
    for number, (value, size, seconds) in enumerate(
        [(0.5, 9, 1), (0.4, 2, 1), (0.9, 3, 1), (0.8, 1, 10), (0.7, 2, 9), (0.7, 1, 1)]
    ):
        metrics = {"y": value, "size": float(size)}
        history.add(counted(number, {"x": number / 10}, value, metrics=metrics, seconds=seconds))
        found.append(plateau.since(history))
    assert found == [1, 0, 1, 2, 0, 1]


def test_of_several_objectives_what_comes_onto_the_front_is_an_improvement() -> None:
    study = make_study(objectives={"y": "maximize", "seconds": "minimize"})[0]
    history, plateau = History(study), Plateau(study)
    found = []
    for number, (value, seconds) in enumerate(
        [(0.5, 5), (0.4, 4), (0.4, 5), (0.5, 5), (0.6, 5), (0.6, 6), (0.1, 3), (math.nan, 1)]
    ):
        history.add(
            counted(number, {"x": number / 10}, value, metrics={"y": value}, seconds=seconds)
        )
        found.append(plateau.since(history))
    assert found == [0, 0, 1, 2, 0, 1, 0, 1]
