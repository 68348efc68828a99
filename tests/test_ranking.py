"""The ranking: configurations, not runs; the same whatever the order of arrival."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.search.configuration import Configuration, Tier
from distune.search.ranking import History
from distune.study.study import Study
from distune.study.trial import Counted, Direction, Outcome, Purpose, Result, Trial

DONE, DIVERGED = Outcome.COMPLETE, Outcome.DIVERGED
PRUNED, FAILED = Outcome.PRUNED, Outcome.FAILED


def history(*runs: Counted, repeats: int = 1, direction: Direction = "maximize") -> History:
    study = Study(
        id="s",
        name="n",
        objective="train:train",
        params={},
        metric="value",
        direction=direction,
        repeats=repeats,
        lease=20.0,
    )
    made = History(study)
    made.extend(runs)
    return made


def run(
    number: int,
    x: Any,
    value: float | None = None,
    outcome: Outcome = DONE,
    purpose: Purpose = Purpose.TRAIN,
    attempt: int = 1,
    **result: Any,
) -> Counted:
    """Trial `number` of the configuration {"x": x}, or of all the params that x is."""
    params = x if isinstance(x, dict) else {"x": x}
    return Counted(
        trial=Trial(study="s", number=number, attempt=attempt, purpose=purpose, params=params),
        worker="w",
        result=Result(outcome=outcome, value=value, **result),
    )


def order(made: History) -> list[Any]:
    return [configuration.params["x"] for configuration in made.ranking()]


# -- configurations --------------------------------------------------------------------------------


def test_repeats_are_pooled_by_their_params_whatever_the_order_of_the_keys() -> None:
    made = history(
        run(0, {"a": 1, "b": 2}, 0.5), run(1, {"b": 2, "a": 1}, 0.7), run(2, {"a": 1, "b": 3}, 0.1)
    )
    first, second = made.ranking()
    assert [r.trial.number for r in first.trials] == [0, 1]
    assert first.mean == pytest.approx(0.6)
    assert first.spread == pytest.approx(statistics.stdev([0.5, 0.7]))
    assert (second.mean, second.spread) == (0.1, None)
    assert made.configurations == 2
    assert len(made) == 3


def test_params_that_differ_only_in_type_are_other_configurations() -> None:
    assert history(run(0, 1, 0.5), run(1, 1.0, 0.5), run(2, True, 0.5)).configurations == 3


def test_seconds_and_parameters_of_a_configuration_come_from_its_runs() -> None:
    made = history(
        run(0, "a", 0.5, seconds=10.0),
        run(1, "a", 0.7, seconds=20.0, metrics={"parameters": 1234.0}),
    )
    (only,) = made.ranking()
    assert (only.seconds, only.parameters) == (15.0, 1234.0)
    assert history(run(0, "a", 0.5)).ranking()[0].parameters is None


def test_a_failed_run_takes_no_part_in_the_mean() -> None:
    (only,) = history(run(0, "a", 0.5), run(1, "a", None, FAILED), repeats=2).ranking()
    assert (only.values, only.mean, only.tier(2)) == ([0.5], 0.5, Tier.PARTIAL)


def test_a_pruned_run_takes_no_part_in_the_mean_of_complete_ones() -> None:
    (only,) = history(run(0, "a", 0.5), run(1, "a", 0.1, PRUNED), repeats=2).ranking()
    assert only.values == [0.5]


def test_for_want_of_complete_runs_pruned_ones_show_their_value() -> None:
    (only,) = history(run(0, "a", 0.1, PRUNED), run(1, "a", None, PRUNED), repeats=2).ranking()
    assert (only.values, only.tier(2)) == ([0.1], Tier.PRUNED)


def test_one_diverged_repeat_makes_the_configuration_a_diverged_one() -> None:
    (only,) = history(run(0, "a", 0.9), run(1, "a", math.nan, DIVERGED), repeats=2).ranking()
    assert only.tier(2) is Tier.DIVERGED
    assert only.mean is not None
    assert math.isnan(only.mean)
    assert only.spread is None


def test_a_configuration_without_a_value_has_no_mean() -> None:
    (only,) = history(run(0, "a", None, FAILED)).ranking()
    assert (only.mean, only.spread, only.values, only.tier(1)) == (None, None, [], Tier.FAILED)


# -- the order -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "best"), [("maximize", "cba"), ("minimize", "abc")])
def test_the_direction_says_what_is_best(direction: Direction, best: str) -> None:
    made = history(run(0, "b", 0.2), run(1, "c", 0.3), run(2, "a", 0.1), direction=direction)
    assert order(made) == list(best)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_no_value_lifts_a_configuration_over_one_of_a_better_standing(
    direction: Direction,
) -> None:
    best, worst = (9.0, -9.0) if direction == "maximize" else (-9.0, 9.0)
    made = history(
        run(0, "failed", best, FAILED),
        run(1, "diverged", math.inf, DIVERGED),
        run(2, "pruned", best, PRUNED),
        run(3, "partial", best),
        run(4, "full", worst),
        run(5, "full", worst),
        repeats=2,
        direction=direction,
    )
    assert order(made) == ["full", "partial", "pruned", "diverged", "failed"]


def test_a_lucky_single_run_stands_above_none_with_all_repeats_until_it_has_its_own() -> None:
    made = history(run(0, "lucky", 0.99), run(2, "solid", 0.9), run(3, "solid", 0.9), repeats=2)
    assert order(made) == ["solid", "lucky"]
    made.add(run(1, "lucky", 0.98))
    assert order(made) == ["lucky", "solid"]


def test_a_pruned_configuration_that_is_completed_after_all_rises() -> None:
    made = history(run(0, "a", 0.9, PRUNED), run(1, "b", 0.1))
    assert order(made) == ["b", "a"]
    made.add(run(2, "a", 0.8))
    assert order(made) == ["a", "b"]


def test_equals_stand_in_the_order_of_their_first_trial() -> None:
    made = history(run(7, "late", 0.5), run(3, "early", 0.5), run(5, "middle", 0.5))
    assert order(made) == ["early", "middle", "late"]
    made.add(run(1, "late", 0.5))
    assert order(made) == ["late", "early", "middle"]


def test_the_first_of_the_ranking_can_be_asked_for_alone() -> None:
    made = history(*(run(i, i, i / 10) for i in range(10)))
    assert [c.params["x"] for c in made.ranking(3)] == [9, 8, 7]
    assert made.ranking(0) == []


# -- counted exactly once (P3) -------------------------------------------------------------------


def test_what_is_added_twice_counts_once_and_the_first_stands() -> None:
    made = history(run(0, "a", 0.5))
    assert not made.add(run(0, "a", 0.9, attempt=2))
    assert not made.add(run(0, "b", 0.9))
    assert (len(made), order(made), made.ranking()[0].mean) == (1, ["a"], 0.5)
    assert made.outcomes == {DONE: 1}


def test_a_trial_can_be_looked_up_by_purpose_and_number() -> None:
    made = history(run(0, "a", 0.5))
    made.add(run(0, "a", None, purpose=Purpose.TEST))
    for purpose in Purpose:
        found = made.get((purpose, 0))
        assert found is not None
        assert found.trial.purpose is purpose
    assert made.get((Purpose.TRAIN, 1)) is None


def test_outcomes_are_counted() -> None:
    made = history(run(0, 0, 0.5), run(1, 1, None, FAILED), run(2, 2, None, FAILED))
    assert made.outcomes == {DONE: 1, FAILED: 2}


# -- tests of the winner -------------------------------------------------------------------------


def on_test_set(number: int, x: Any, accuracy: float, outcome: Outcome = DONE) -> Counted:
    metrics = {"test_accuracy": accuracy}
    return run(number, x, None, outcome, Purpose.TEST, metrics=metrics)


@pytest.mark.parametrize("tests_first", [True, False])
def test_tests_belong_to_their_configuration_even_if_they_arrive_first(tests_first: bool) -> None:
    tests = [on_test_set(0, "a", 0.90), on_test_set(1, "a", 0.94), on_test_set(2, "b", 0.1)]
    runs = [run(0, "a", 0.5), run(1, "a", 0.6), run(2, "b", 0.4)]
    made = history(*(tests + runs if tests_first else runs + tests), repeats=2)
    a, b = made.ranking()
    assert a.test_mean("test_accuracy") == pytest.approx(0.92)
    assert b.test_mean("test_accuracy") == pytest.approx(0.1)
    assert a.test_mean("test_loss") is None


def test_tests_are_no_trials_and_change_no_place() -> None:
    made = history(run(0, "a", 0.5), run(1, "b", 0.4))
    assert made.add(on_test_set(1, "b", 0.99))
    assert not made.add(on_test_set(1, "b", 0.99))
    assert (len(made), order(made), made.outcomes) == (2, ["a", "b"], {DONE: 2})


def test_a_test_that_failed_gives_no_accuracy() -> None:
    made = history(run(0, "a", 0.5), on_test_set(0, "a", 0.9, FAILED))
    assert made.ranking()[0].test_mean("test_accuracy") is None


# -- the winner and the target -------------------------------------------------------------------


def test_without_a_finite_value_there_is_no_winner() -> None:
    assert history().winner() is None
    assert history(run(0, "a", math.nan, DIVERGED), run(1, "b", None, FAILED)).winner() is None


def test_the_winner_is_the_first_of_the_ranking() -> None:
    made = history(run(0, "lucky", 0.99), run(2, "solid", 0.9), run(3, "solid", 0.9), repeats=2)
    winner = made.winner()
    assert winner is not None
    assert winner.params == {"x": "solid"}


@pytest.mark.parametrize(
    ("direction", "value", "target", "reached"),
    [
        ("maximize", 0.9, 0.9, True),
        ("maximize", 0.9, 0.8, True),
        ("maximize", 0.9, 0.91, False),
        ("minimize", 0.9, 0.9, True),
        ("minimize", 0.9, 0.8, False),
        ("minimize", -0.1, 0.0, True),
        ("maximize", 0.0, 0.0, True),
        ("maximize", 0.9, None, False),
    ],
)
def test_a_target_is_reached_by_a_value_at_least_as_good(
    direction: Direction, value: float, target: float | None, reached: bool
) -> None:
    made = history(run(0, "a", value), direction=direction)
    assert made.target_reached(target) is (made.winner() if reached else None)


def test_a_target_is_reached_by_the_mean_of_all_repeats_only() -> None:
    made = history(run(0, "a", 0.95), repeats=2)
    assert made.target_reached(0.9) is None
    made.add(run(1, "a", 0.80))
    assert made.target_reached(0.9) is None
    assert made.target_reached(0.87) is made.winner()


def test_neither_a_pruned_nor_a_diverged_value_reaches_a_target() -> None:
    assert history(run(0, "a", 0.99, PRUNED)).target_reached(0.9) is None
    assert history(run(0, "a", math.inf, DIVERGED)).target_reached(0.9) is None
    assert history().target_reached(0.9) is None


# -- any order of arrival ------------------------------------------------------------------------

VALUED = st.tuples(st.sampled_from([DONE, DONE, PRUNED]), st.sampled_from([-0.5, 0.0, 0.5, 1e6]))
WITHOUT = st.tuples(st.sampled_from([DIVERGED, FAILED]), st.sampled_from([None, math.nan]))
RUNS = st.lists(st.tuples(st.integers(0, 4), VALUED | WITHOUT), max_size=15).map(
    lambda drawn: [run(i, x, value, outcome) for i, (x, (outcome, value)) in enumerate(drawn)]
)


def standing(configuration: Configuration, repeats: int) -> tuple[Any, ...]:
    numbers = sorted(r.trial.number for r in configuration.trials)
    return configuration.params["x"], configuration.tier(repeats), repr(configuration.mean), numbers


def ranked_by_hand(runs: list[Counted], repeats: int, direction: Direction) -> list[Any]:
    """The ranking as one would explain it, with one sort over everything."""
    sign = -1 if direction == "maximize" else 1
    places = []
    for x in {r.trial.params["x"] for r in runs}:
        own = [r for r in runs if r.trial.params["x"] == x]
        values = {o: [r.result.value or 0.0 for r in own if r.result.outcome is o] for o in Outcome}
        if values[DIVERGED]:
            place = (3, 0.0)
        elif values[DONE]:
            place = (int(len(values[DONE]) < repeats), sign * statistics.fmean(values[DONE]))
        elif values[PRUNED]:
            place = (2, sign * statistics.fmean(values[PRUNED]))
        else:
            place = (4, 0.0)
        places.append((*place, min(r.trial.number for r in own), x))
    return [x for *_, x in sorted(places)]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(RUNS, st.integers(1, 3), st.sampled_from(["maximize", "minimize"]), st.data())
def test_the_ranking_is_the_same_whatever_the_order_of_arrival(
    runs: list[Counted], repeats: int, direction: Direction, data: st.DataObject
) -> None:
    arrived = data.draw(st.permutations(runs))
    one = history(*runs, repeats=repeats, direction=direction)
    other = history(*arrived, *arrived[:3], repeats=repeats, direction=direction)
    assert [standing(c, repeats) for c in other.ranking()] == [
        standing(c, repeats) for c in one.ranking()
    ]
    assert order(one) == ranked_by_hand(runs, repeats, direction)
    assert one.outcomes == other.outcomes


@settings(deadline=None, derandomize=True, max_examples=100)
@given(RUNS, st.integers(1, 3))
def test_after_every_single_addition_the_ranking_is_that_of_all_so_far(
    runs: list[Counted], repeats: int
) -> None:
    growing = history(repeats=repeats)
    for count, counted in enumerate(runs, 1):
        assert growing.add(counted)
        assert order(growing) == ranked_by_hand(runs[:count], repeats, "maximize")
        assert growing.configurations == len({r.trial.params["x"] for r in runs[:count]})


@pytest.mark.parametrize(
    "values", [(math.inf, 0.5), (math.inf, -math.inf), (math.nan, math.nan), (1.7e308, 1.7e308)]
)
@pytest.mark.parametrize("outcome", [DONE, Outcome.PRUNED])
def test_no_value_that_a_trial_may_report_breaks_the_ranking(
    values: tuple[float, float], outcome: Outcome
) -> None:
    runs = [run(i, "a", value, outcome) for i, value in enumerate(values)]
    made = history(*runs, run(2, "b", 0.1), run(3, "b", 0.2), repeats=2)
    assert made.ranking()[0].params == run(2, "b").trial.params or values[0] == 1.7e308
    assert len([configuration.spread for configuration in made.ranking()]) == 2


def test_a_complete_run_without_a_finite_value_has_diverged_whatever_it_says() -> None:
    made = history(run(0, "a", math.nan), run(1, "b", 0.1))
    assert made.ranking()[1].tier(1) is Tier.DIVERGED
    winner = made.winner()
    assert winner is not None
    assert winner.first == 1


def test_the_trials_of_a_configuration_stand_by_number_whichever_came_first() -> None:
    made = history(run(2, "a", 0.3), run(0, "a", 0.1), run(1, "a", 0.2), repeats=3)
    (configuration,) = made.ranking()
    assert [one.trial.number for one in configuration.trials] == [0, 1, 2]
    assert configuration.values == [0.1, 0.2, 0.3]
