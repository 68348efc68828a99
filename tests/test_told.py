"""What samplers that learn are told: each configuration once, and what can have no value."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from distune.search.neighbours import Neighbours
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.staged import make_sampler
from distune.search.told import Telling, Told, is_violated
from distune.study.study import Study
from distune.study.trial import Asked, Counted, Failure, Outcome, Rungs
from tests.histories import asked_for, counted, results_of, study

RANGE = {"type": "float", "low": 0.0, "high": 1.0}


def a_study(sampler: Any = "tpe", **fields: Any) -> Study:
    params = {"x": RANGE, "y": RANGE}
    fields = {"objective": "t:t", "direction": "minimize", "params": params, **fields}
    return study(sampler=sampler, **fields)


# -- who is to blame -------------------------------------------------------------------------------

FAILED_BEFORE = {"failed_on": ["gpu5-1-aaaaaa"]}


@pytest.mark.parametrize(
    ("outcome", "trial", "failure", "blamed"),
    [
        (Outcome.OUT_OF_MEMORY, {}, Failure(message="m"), True),
        (Outcome.DIVERGED, {}, None, True),
        (Outcome.FAILED, {}, Failure(message="m", infeasible=True), True),
        (Outcome.FAILED, FAILED_BEFORE, Failure(message="m"), True),
        (Outcome.FAILED, {}, Failure(message="m"), False),
        (Outcome.TIMEOUT, {}, Failure(message="m"), False),
        (Outcome.TIMEOUT, FAILED_BEFORE, Failure(message="m"), False),
        (Outcome.LOST, {}, None, False),
        (Outcome.RELEASED, {}, Failure(message="m"), False),
        (Outcome.PRUNED, {}, None, False),
        (Outcome.COMPLETE, {}, None, False),
    ],
)
def test_a_setting_is_blamed_for_what_any_host_would_come_to(
    outcome: Outcome, trial: dict[str, Any], failure: Failure | None, blamed: bool
) -> None:
    one = counted(0, {"x": 0.5}, outcome=outcome, trial=trial, failure=failure)
    assert is_violated(one) is blamed


def search(sampler: Any, trials: int, failure: Outcome, **fields: Any) -> int:
    """How many of so many trials have x > 0.4, which all fail; what is better is there, too."""
    of = a_study(sampler, **fields)
    asker, history = make_sampler(of), History(of)
    failed = 0
    for number in range(trials):
        found = asker.ask(Question(number, history))
        assert isinstance(found, Suggestion)
        x, y = float(found.params["x"] or 0), float(found.params["y"] or 0)
        fails = x > 0.4
        failed += fails
        how = {"outcome": failure} if fails else {"value": (y - 0.5) ** 2 - x}
        history.add(counted(number, found.params, **how))
    return failed


@pytest.mark.parametrize(
    ("sampler", "trials", "most"),
    [
        ("tpe", 60, 25),
        ({"name": "gp", "n_startup_trials": 8}, 20, 11),
        ({"name": "cmaes", "population_size": 6}, 60, 25),
        ({"name": "nsga2", "population_size": 10}, 60, 25),
        ("nsga2", 40, 12),  # all of them of its first generation
    ],
)
def test_what_can_have_no_value_is_tried_less_and_less(
    sampler: Any, trials: int, most: int
) -> None:
    assert search(sampler, trials, Outcome.OUT_OF_MEMORY) <= most


def test_tpe_holds_against_no_trial_that_it_still_runs() -> None:
    """What trains long would be taken for bad as long as it does."""
    of = a_study()
    history = History(of)
    for i in range(21):
        history.add(counted(i, {"x": i / 20, "y": 0.5}, value=i / 20))
    near = [asked_for(of, 21 + i, Suggestion({"x": i / 200, "y": 0.5})) for i in range(1, 11)]
    sampler = make_sampler(of)
    for number in range(40, 45):
        found = sampler.ask(Question(number, history, lambda: near))
        assert found == make_sampler(of).ask(Question(number, history))


def test_nothing_is_proposed_next_to_what_can_have_no_value() -> None:
    """The better the nearer to a limit: a model of where the good ones are reaches beyond it."""
    of = a_study()
    history = History(of)
    for i in range(21):
        at = {"x": i / 20, "y": (7 * i % 21) / 20}
        how = {"value": -at["x"]} if i <= 12 else {"outcome": Outcome.OUT_OF_MEMORY}
        history.add(counted(i, at, **how))
    known = Neighbours(of.params)
    for one in history.trials:
        known.add(one.trial.params, violates=is_violated(one))
    sampler = make_sampler(of)
    for number in range(21, 61):
        found = sampler.ask(Question(number, history))
        assert isinstance(found, Suggestion)
        assert not known.violates(found.params)


def test_the_nearest_of_two_decides_and_choices_are_as_far_apart_as_a_range_is_long() -> None:
    params = {"x": RANGE, "kind": ["a", "b", "c"]}
    known = Neighbours(study(objective="t:t", direction="minimize", params=params).params)
    assert not known.violates({"x": 0.5, "kind": 0})
    known.add({"x": 0.1, "kind": 0}, violates=False)
    known.add({"x": 0.9, "kind": 1}, violates=True)
    assert [known.violates({"x": 0.4, "kind": 0}), known.violates({"x": 0.6, "kind": 1})] == [0, 1]
    assert not known.violates({"x": 0.6, "kind": 0})
    assert known.violates({"x": 0.4, "kind": 1})
    known.add({"x": 0.4, "kind": 1}, violates=False)
    assert not known.violates({"x": 0.4, "kind": 1})


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2"])
def test_what_a_bad_host_has_done_is_held_against_no_setting(sampler: str) -> None:
    """Nothing of it is told: the next setting is what it is if that was never tried."""
    options = {"n_startup_trials": 3} if sampler in ("tpe", "gp") else {"population_size": 4}
    of = a_study({"name": sampler, **options})
    known = [counted(i, {"x": i / 9, "y": 0.5}, value=i / 9) for i in range(6)]
    bad_hosts = counted(6, {"x": 0.9, "y": 0.9}, outcome=Outcome.TIMEOUT)
    its_own = counted(6, {"x": 0.9, "y": 0.9}, outcome=Outcome.OUT_OF_MEMORY)

    numbers = range(7, 9) if sampler == "gp" else range(7, 50)

    def following(*more: Counted) -> Any:
        history = History(of)
        history.extend([*more, *known])
        return [make_sampler(of).ask(Question(number, history)) for number in numbers]

    assert following(bad_hosts) == following()
    assert following(its_own) != following()


# -- in which order --------------------------------------------------------------------------------


def test_all_of_a_history_is_told_in_the_order_in_which_its_parts_were() -> None:
    of, rng = a_study("cmaes", repeats=3), random.Random(0)
    asked = [
        asked_for(of, number, Suggestion({"x": number / 99, "y": 0.5})) for number in range(40)
    ]
    coming = [(one, result) for one in asked for result in results_of(of, one)]
    rng.shuffle(coming)
    open_ones = {one.configuration: of.repeats for one in asked}
    history, lasting = History(of), Telling()
    told: list[Told] = []
    for one, result in coming:
        history.add(result)
        open_ones[one.configuration] -= 1
        if rng.random() < 0.2:
            in_flight = [one for one in asked if open_ones[one.configuration]]
            told += lasting.follow(history, in_flight).over
            once = Telling().follow(history, in_flight)
            assert [one.number for one in once.over] == [one.number for one in told]
            assert set(once.running) == {one.configuration for one in in_flight}
    assert len(told) > 30
    assert all(len(one.values) == 3 for one in told)


def test_a_trial_that_is_ranked_no_more_has_all_told_anew() -> None:
    of = a_study("cmaes")
    asked = [asked_for(of, number, Suggestion({"x": number / 9, "y": 0.5})) for number in range(4)]
    history, telling = History(of), Telling()
    for one in asked:
        history.extend(results_of(of, one))
    assert len(telling.follow(history, []).over) == 4
    again = Asked(
        study=of.id, configuration=1, trial=4, repeats=1, replaces=1, params=asked[1].params
    )
    history.extend(results_of(of, again))
    news = telling.follow(history, [])
    assert news.anew
    assert sorted(one.number for one in news.over) == [0, 1, 2, 3]


# -- what has paused -------------------------------------------------------------------------------


_ASKED = 20


def with_paused(sampler: Any, found: Any, **fields: Any) -> list[float]:
    """The x of what is asked for while two dozen trials rest at a rung, and nothing is counted."""
    of = a_study(sampler, **fields)
    rest = [
        asked_for(of, number, Suggestion({"x": 7 * number % 24 / 23, "y": 11 * number % 24 / 23}))
        for number in range(24)
    ]
    reached = {one.configuration: found(float(one.params["x"] or 0)) for one in rest}
    question = Question(24, History(of), lambda: rest, lambda: reached)
    asker, xs = make_sampler(of), []
    for number in range(24, 24 + _ASKED):
        answer = asker.ask(replace(question, number=number))
        assert isinstance(answer, Suggestion)
        xs.append(float(answer.params["x"] or 0))
    return xs


LEARNING = [
    "tpe",
    {"name": "gp", "n_startup_trials": 5},
    {"name": "cmaes", "population_size": 6},
    {"name": "nsga2", "population_size": 12},
]


@pytest.mark.parametrize("sampler", LEARNING)
def test_what_has_paused_is_learnt_from_before_anything_is_counted(sampler: Any) -> None:
    low = with_paused(sampler, lambda x: (3, x))
    high = with_paused(sampler, lambda x: (3, -x))
    assert sum(high) / _ASKED > sum(low) / _ASKED + 0.2


@pytest.mark.parametrize("sampler", ["tpe", *LEARNING[2:]])
def test_who_has_come_further_is_better(sampler: Any) -> None:
    """Whatever the values: those who stay at a rung were worse there."""
    low = with_paused(sampler, lambda x: (9 if x < 0.3 else 3, 1 - x))
    high = with_paused(sampler, lambda x: (9 if x > 0.7 else 3, x))
    assert sum(high) / _ASKED > sum(low) / _ASKED + 0.2


def test_of_repeats_that_were_stopped_the_mean_of_the_furthest_is_told() -> None:
    of = a_study(repeats=3)
    told = Told(0, {"x": 0.5, "y": 0.5}, of)
    assert told.stopped is None
    for repeat, (steps, value) in enumerate([(3, 0.9), (9, 0.2), (9, 0.4)]):
        one = counted(repeat, {**told.params}, value, Outcome.PRUNED, steps=steps)
        told.take_in(one, repeat)
    assert told.stopped == (9, pytest.approx(0.3))


def test_a_rung_of_seconds_is_told_as_such() -> None:
    """Settings that differ in what a step costs are compared at the same second."""
    rungs = {"rungs": Rungs(seconds=30.0, passed=[0.5])}
    at = {"x": 0.5, "y": 0.5}
    one = counted(0, at, 0.4, Outcome.PRUNED, steps=700, trial=rungs)
    told = Told(0, at, a_study())
    told.take_in(one, 0)
    assert told.stopped == (30, 0.4)


def test_where_another_setting_stands_than_was_told_to_run_all_is_told_anew() -> None:
    """Of two masters' settings with one number."""
    of = a_study()
    mine, others = (asked_for(of, 0, Suggestion({"x": at, "y": at})) for at in (0.1, 0.9))
    history, telling = History(of), Telling()
    telling.follow(history, [mine])
    assert not telling.follow(history, [mine]).anew
    news = telling.follow(history, [others])
    assert (news.anew, news.running) == (True, {0: others.params})
    telling = Telling()
    telling.follow(history, [mine])
    history.extend(results_of(of, others))
    news = telling.follow(history, [])
    assert (news.anew, [told.params for told in news.over]) == (True, [others.params])
    assert not telling.follow(history, []).anew
