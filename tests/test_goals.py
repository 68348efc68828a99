"""Several objectives and constraints: the front, and what stands below it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.errors import SpaceError
from distune.search.configuration import Tier
from distune.search.pareto import fronts
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.staged import make_sampler
from distune.search.told import Telling
from distune.search.warm_start import warm_start
from distune.share.records import encode_document
from distune.space_file.read import parse_space_file
from distune.study.study import Study
from distune.study.trial import Counted, Dropped, Outcome
from tests import histories

TWO = {"objectives": {"acc": "maximize", "seconds": "minimize"}}
_Points = st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=40)


def study(**fields: Any) -> Study:
    space = {name: {"type": "int", "low": 0, "high": 1000} for name in ("x", "y")}
    return histories.study(objective="o:o", params=space, trials=9, **fields)


def run(number: int, acc: float | None, seconds: float = 1.0, **more: Any) -> Counted:
    """A trial that is a configuration of its own; `x` names another."""
    x, outcome = more.pop("x", number), more.pop("outcome", Outcome.COMPLETE)
    metrics = {"acc": math.nan if acc is None else acc, **more}
    params = {"x": x}
    return histories.counted(number, params, acc, outcome, seconds=seconds, metrics=metrics)


def ranked(of: Study, *runs: Counted) -> History:
    return histories.history_of(of, runs)


def order(made: History) -> list[Any]:
    return [one.params["x"] for one in made.ranking()]


def front(made: History) -> list[Any]:
    return [one.params["x"] for one in made.front()]


def dominates(a: Any, b: Any) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


# -- fronts --------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(_Points)
def test_a_front_has_all_that_nothing_left_dominates_and_nothing_else(points: Any) -> None:
    left = set(range(len(points)))
    for found in fronts(points):
        free = [i for i in sorted(left) if not any(dominates(points[j], points[i]) for j in left)]
        assert found == free
        left -= set(found)
    assert not left


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=25), st.randoms())
def test_the_ranking_is_the_same_whatever_came_first_and_whenever_someone_looked(
    values: Any, random: Any
) -> None:
    runs = [run(i, acc, seconds) for i, (acc, seconds) in enumerate(values)]
    at_once, bit_by_bit = ranked(study(**TWO), *runs), ranked(study(**TWO))
    random.shuffle(runs)
    for one in runs:
        bit_by_bit.add(one)
        bit_by_bit.front()
    assert order(at_once) == order(bit_by_bit)
    points = {one.params["x"]: (-(one.mean or 0), one.seconds) for one in at_once.ranking()}
    best = [x for x in points if not any(dominates(p, points[x]) for p in points.values())]
    assert front(at_once) == best == order(at_once)[: len(best)]
    assert [points[x][0] for x in best] == sorted(points[x][0] for x in best)


# -- the ranking ---------------------------------------------------------------------------


def test_the_front_comes_first_then_the_front_of_the_rest_each_by_the_first_objective() -> None:
    made = ranked(
        study(**TWO), run(0, 0.5, 1), run(1, 0.9, 9), run(2, 0.8, 9), run(3, 0.4, 2), run(4, 0.7, 3)
    )
    assert order(made) == [1, 4, 0, 2, 3]
    assert front(made) == [1, 4, 0]
    winner = made.winner()
    assert winner is not None
    assert winner.params["x"] == 1


def test_equal_configurations_are_on_the_front_together_the_first_one_first() -> None:
    made = ranked(study(**TWO), run(1, 0.9, 1), run(0, 0.9, 1), run(2, 0.9, 2))
    assert front(made) == [0, 1]


@pytest.mark.parametrize(
    "other",
    [
        run(5, 0.99, 0.1, x=5, outcome=Outcome.PRUNED),
        run(5, None, 0.1, x=5, outcome=Outcome.FAILED),
        run(5, math.nan, 0.1, x=5, outcome=Outcome.DIVERGED),
        run(5, 0.99, 0.1, x=5, size=math.nan),
        run(5, 0.99, 0.1, x=5, size=math.inf),
    ],
    ids=["pruned", "failed", "diverged", "the second is no number", "the second is infinite"],
)
def test_what_has_not_a_finite_value_for_each_objective_is_not_on_the_front(other: Counted) -> None:
    three = study(objectives={"acc": "maximize", "size": "minimize", "seconds": "minimize"})
    made = ranked(three, other, run(0, 0.1, 9, size=9), run(1, 0.2, 9, size=9))
    assert front(made) == [1]
    assert order(made) == [1, 0, 5]


def test_a_configuration_without_all_its_repeats_is_not_on_the_front_of_those_that_have() -> None:
    twice = study(**TWO, repeats=2)
    few = [run(0, 0.5, 5, x=0), run(1, 0.7, 1, x=0), run(2, 0.9, 1, x=1)]
    assert front(ranked(twice, few[2])) == [1]
    made = ranked(twice, *few)
    assert front(made) == [0]
    (mean,) = {one.mean_of("seconds") for one in made.front()}
    assert mean == 3.0
    assert order(made) == [0, 1]


def test_the_target_is_one_of_the_first_objective() -> None:
    made = ranked(study(**TWO), run(0, 0.9, 9), run(1, 0.5, 1))
    reached = made.target_reached(0.8)
    assert reached is not None
    assert reached.params["x"] == 0
    assert made.target_reached(0.95) is None


def test_a_trial_that_is_dropped_leaves_the_front() -> None:
    runs = [run(0, 0.9, 1), run(1, 0.8, 2)]
    made = ranked(study(**TWO), *runs)
    assert front(made) == [0]
    made.drop(Dropped.of(runs[0]))
    assert front(made) == [1]


def test_a_study_of_one_metric_has_no_front_and_is_written_as_ever() -> None:
    one = study(metric="acc", direction="maximize")
    assert ranked(one, run(0, 0.5)).front() == []
    written = encode_document(one)
    assert b"objectives" not in written
    assert b"constraints" not in written
    same = study(objectives={"acc": "maximize"})
    assert encode_document(same) == written


# -- constraints ---------------------------------------------------------------------------

SMALL = {"metric": "acc", "direction": "maximize", "constraints": {"size": {"max": 100}}}


def test_what_breaks_a_constraint_stands_below_all_that_keeps_it_the_nearest_first() -> None:
    made = ranked(
        study(**SMALL),
        run(0, 0.99, size=300),
        run(1, 0.5, size=100),
        run(2, 0.1, size=7),
        run(3, 0.98, size=101),
        run(4, None, outcome=Outcome.FAILED),
        run(5, 0.2, outcome=Outcome.PRUNED, size=9),
    )
    assert order(made) == [1, 2, 5, 3, 0, 4]
    standings = [one.tier(1) for one in made.ranking()]
    assert standings[3:5] == [Tier.INFEASIBLE] * 2
    nearest = made.ranking()[3]
    assert str(nearest.violations[0]) == "size 101 is 1 above 100"
    assert made.best(9) == made.ranking(2)


def test_nothing_wins_while_all_break_a_constraint() -> None:
    made = ranked(study(**SMALL, target=0.5), run(0, 0.9, size=101))
    assert made.winner() is None
    assert made.target_reached(0.5) is None
    made.add(run(1, 0.1, size=100))
    winner = made.winner()
    assert winner is not None
    assert winner.params["x"] == 1


def test_a_constraint_is_kept_by_the_mean_of_the_repeats() -> None:
    twice = study(**{**SMALL, "constraints": {"seconds": {"max": "1m"}}}, repeats=2)
    made = ranked(twice, run(0, 0.5, 50, x=0), run(1, 0.5, 69, x=0))
    assert made.winner() is not None
    made = ranked(twice, run(0, 0.5, 50, x=0), run(1, 0.5, 71, x=0))
    assert made.winner() is None


def test_a_metric_that_is_no_number_keeps_no_bound() -> None:
    for bounds in ({"max": 100}, {"min": 100}, {"min": -1, "max": 1e9}):
        made = ranked(study(**{**SMALL, "constraints": {"size": bounds}}), run(0, 1, size=math.nan))
        assert made.ranking()[0].tier(1) is Tier.INFEASIBLE


def test_what_breaks_a_constraint_is_never_on_the_front() -> None:
    made = ranked(
        study(**TWO, constraints={"size": {"min": 10}}),
        run(0, 0.9, 1, size=9.5),
        run(1, 0.5, 5, size=10),
    )
    assert front(made) == [1]
    assert order(made) == [1, 0]


# -- samplers ------------------------------------------------------------------------------


def outcome_of(number: int, x: int) -> Counted:
    """What a configuration comes to: some are pruned, have no result, or are infeasible."""
    how = {5: Outcome.PRUNED, 9: Outcome.DIVERGED, 11: Outcome.OUT_OF_MEMORY}.get(number % 13)
    acc = None if how in (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY) else 1 - abs(x - 300) / 1000
    return run(number, acc, 1 + x / 100, x=x, outcome=how or Outcome.COMPLETE, size=float(x))


def searched(of: Study, count: int, *, anew: bool = False) -> list[int]:
    """What its sampler asks for, each when all before is counted; with `anew`, a new one each."""
    sampler, made, asked = make_sampler(of), ranked(of), []
    for number in range(count):
        if anew:
            sampler, made = make_sampler(of), ranked(of, *made.trials)
        found = sampler.ask(Question(number, made))
        assert isinstance(found, Suggestion)
        asked.append(int(found.params["x"]))  # type: ignore[arg-type]
        made.add(outcome_of(number, asked[-1]))
    return asked


@pytest.mark.parametrize("goals", [TWO, {"metric": "acc", "direction": "maximize"}])
@pytest.mark.parametrize(
    "sampler",
    [
        {"name": "tpe", "n_startup_trials": 4},
        pytest.param({"name": "gp", "n_startup_trials": 13}, marks=pytest.mark.long),
        {"name": "nsga2", "population_size": 4},
        {"name": "cmaes", "population_size": 4},
        {"name": "sobol"},
    ],
    ids=lambda sampler: sampler["name"],
)
def test_a_restart_changes_nothing_with_objectives_and_constraints(
    sampler: Any, goals: Any
) -> None:
    if sampler["name"] == "cmaes" and "objectives" in goals:
        return
    of = study(**goals, constraints={"size": {"max": 500}, "seconds": {"min": 1}}, sampler=sampler)
    assert searched(of, 15) == searched(of, 15, anew=True)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "cmaes"])
def test_a_sampler_that_learns_leaves_what_breaks_a_constraint(sampler: str) -> None:
    options = {} if sampler == "tpe" else {"population_size": 8}
    fields = {"metric": "size", "direction": "maximize", "constraints": {"acc": {"min": 0.9}}}
    of = study(**fields, sampler={"name": sampler, **options})

    def infeasible(of: Study) -> int:
        return sum(abs(x - 300) > 100 for x in searched_by_size(of, 60)[30:])

    blind = of.model_copy(update={"constraints": {}})
    assert infeasible(of) < infeasible(blind) - 5


def searched_by_size(of: Study, count: int) -> list[int]:
    """The same, where the larger is the better, and leads out of what is feasible."""
    sampler, made, asked = make_sampler(of), ranked(of), []
    for number in range(count):
        found = sampler.ask(Question(number, made))
        assert isinstance(found, Suggestion)
        x = int(found.params["x"])  # type: ignore[arg-type]
        asked.append(x)
        metrics = {"size": float(x), "acc": 1 - abs(x - 300) / 1000}
        made.add(histories.counted(number, found.params, float(x), metrics=metrics))
    return asked


def test_a_sampler_of_two_objectives_finds_the_front() -> None:
    """From 0 to 300 the one gets better and the other worse; beyond, both get worse."""

    def on_front(sampler: str) -> int:
        return sum(x <= 300 for x in searched(study(**TWO, sampler=sampler), 50)[20:])

    assert on_front("tpe") > on_front("random") + 6


def test_a_study_begins_with_what_another_one_has_found_of_all_that_it_ranks_by() -> None:
    of = study(**TWO, constraints={"size": {"max": 5}}, sampler="tpe")
    params = {"x": 1, "y": 2}
    known = [
        histories.counted(0, params, 0.5, metrics={"acc": 0.5, "size": 9}, seconds=4.0),
        histories.counted(1, {"x": 3, "y": 4}, 0.6, metrics={"acc": 0.6}),
    ]
    other = ranked(study(metric="acc", direction="maximize"), *known)
    found, (line,) = warm_start(of, make_sampler(of), other)
    assert [dict(one.also) for one in found.results] == [{"seconds": 4.0, "size": 9.0}]
    assert "1 are not of this space (no size: 1)" in line
    (told,) = Telling().follow(History(of.model_copy(update={"warm_start": found})), ()).over
    assert told.goals == [0.5, 4.0]
    assert told.excesses == {"size": 0.8}


def test_a_sampler_for_one_objective_says_so_before_anything_is_published() -> None:
    with pytest.raises(SpaceError, match="sampler: cmaes searches for one objective: say tpe"):
        study(**TWO, sampler="cmaes")
    stage = {"name": "s", "params": {"y": {"type": "int", "low": 0, "high": 9}}, "trials": 3}
    with pytest.raises(SpaceError, match="sampler: cmaes searches for one objective"):
        parse_space_file(
            json.dumps({**TWO, "objective": "o:o", "params": {"y": 1},
                        "stages": [{**stage, "sampler": "cmaes"}]}), "f",
        )  # fmt: skip


# -- what a space file says ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"objectives": {}}, "objectives: is empty"),
        ({**TWO, "metric": "acc"}, "objectives: there is a metric too: leave it out"),
        ({**TWO, "direction": "maximize"}, "objectives: there is a direction too"),
        ({"objectives": {"acc": "maximise"}}, "objectives.acc: Input should be 'maximize' or"),
        ({"objectives": {"seconds": "minimize"}}, "objectives: seconds cannot be the first"),
        ({"objectives": ["acc"]}, "objectives: Input should be a valid dictionary"),
        ({**SMALL, "constraints": {"size": {}}}, "constraints.size: bounds nothing: write"),
        ({**SMALL, "constraints": {"size": {"most": 1}}}, "constraints.size.most: unknown key"),
        ({**SMALL, "constraints": {"size": {"min": 2, "max": 1}}}, "constraints.size: min (2) is"),
        ({**SMALL, "constraints": {"seconds": {"max": "soon"}}}, "constraints: 'soon' is not a"),
        ({**SMALL, "constraints": {"size": {"max": "30s"}}}, "constraints.size.max: Input should"),
    ],
)
def test_a_mistake_in_it_is_one_line_that_names_the_key(fields: Any, said: str) -> None:
    with pytest.raises(SpaceError) as caught:
        study(**fields)
    assert str(caught.value).startswith(f"space.json: {said}")
    assert "\n" not in str(caught.value)


def test_a_built_in_objective_is_asked_at_once_whether_it_reports_that() -> None:
    good = '{"params": {}, "objectives": {"val_accuracy": "maximize", "parameters": "minimize"}}'
    assert len(parse_space_file(good, "f").objectives) == 2
    bad = good.replace("parameters", "paramters")
    with pytest.raises(SpaceError, match=r"objectives\.paramters: mnist-cnn does not report it"):
        parse_space_file(bad, "f")
    with pytest.raises(SpaceError, match=r"constraints\.sizes: mnist-cnn does not report it"):
        parse_space_file('{"params": {}, "constraints": {"sizes": {"max": 1}}}', "f")
