"""Races up the rungs of `asha` and `hyperband`: who goes on, who waits, who is given up."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from distune.errors import UserError
from distune.search.judge import Judge
from distune.search.pruners.asha import AshaPruner
from distune.search.pruners.hyperband import HyperbandPruner
from distune.search.pruning import Curve, Point
from distune.search.race import Race
from distune.search.ranking import History
from distune.search.rungs import LATECOMERS
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.space_file.read import parse_space_file
from distune.study.confirm import Confirm
from distune.study.study import Study
from distune.study.trial import Outcome, Report, Result, Rungs, Trial
from tests.histories import counted, make_study

Paused = dict[AttemptName, AttemptFile]


def a_study(pruner: str = "asha", *, repeats: int = 1, **options: Any) -> Study:
    options = {"reduction_factor": 3, **options}
    return make_study(repeats=repeats, pruner=pruner, pruner_options=options)[0]


def race_of(study: Study) -> Race:
    race = Judge(study).race
    assert race is not None
    return race


def a_trial(number: int, race: Race, *, repeats: int = 1, **more: Any) -> Trial:
    configuration, repeat = divmod(number, repeats)
    trial = Trial(
        study="s-1",
        number=number,
        attempt=1,
        configuration=configuration,
        repeat=repeat,
        params={"x": 0.5},
    )
    return race.begun(trial.replace(**more))


def rest(trial: Trial, value: float, step: int | None = None) -> tuple[AttemptName, AttemptFile]:
    """A trial that has paused at its rung."""
    name = AttemptName(trial.number, trial.attempt, worker="w-1-a", state=State.PAUSED)
    rungs = trial.pauses_at
    assert rungs is not None
    seconds = rungs.seconds or 1.0
    steps = step or rungs.step or 1
    result = Result(outcome=Outcome.PAUSED, value=value, steps=steps, seconds=seconds)
    reports = (Report(step=steps, metrics={"y": value}, seconds=seconds),)
    return name, AttemptFile(trial, None, reports, result)


def all_rest(race: Race, values: list[float]) -> Paused:
    return dict(rest(a_trial(number, race), value) for number, value in enumerate(values))


def numbers(names: Any) -> list[int]:
    return [name.trial for name in names]


def go_on(race: Race, name: AttemptName, file: AttemptFile) -> Trial:
    rungs = race.goes_on(file, promoted=True)
    return file.trial.replace(attempt=name.attempt + 1, rungs=rungs)


# -- who goes on -------------------------------------------------------------------------------


def test_the_best_third_of_a_rung_goes_on_the_best_first() -> None:
    race = race_of(a_study())
    found = race.verdicts(all_rest(race, [0.1, 0.9, 0.3, 0.8, 0.2, 0.4]), math.inf)
    assert numbers(found.promoted) == [1, 3]


def test_by_default_asha_has_the_best_quarter_go_on_and_hyperband_the_best_third() -> None:
    for pruner, many in (("asha", 3), ("hyperband", 4)):
        options = {} if pruner == "asha" else {"max_resource": 3}
        study = make_study(pruner=pruner, pruner_options=options)[0]
        race = race_of(study)
        trials = [a_trial(number, race) for number in range(60)]
        rungs = [one for one in trials if one.rungs == Rungs(step=1)][:12]
        paused = dict(rest(one, one.number / 60) for one in rungs)
        assert len(race.verdicts(paused, math.inf).promoted) == many


def test_less_is_better_where_the_study_says_so() -> None:
    race = race_of(a_study().model_copy(update={"direction": "minimize"}))
    found = race.verdicts(all_rest(race, [0.1, 0.9, 0.3]), math.inf)
    assert numbers(found.promoted) == [0]


def test_of_equals_the_first_configuration_goes_on() -> None:
    race = race_of(a_study())
    assert numbers(race.verdicts(all_rest(race, [0.5, 0.5, 0.5]), math.inf).promoted) == [0]


def test_nobody_goes_on_while_there_are_too_few_unless_no_more_will_come() -> None:
    race = race_of(a_study())
    paused = all_rest(race, [0.1, 0.9])
    assert race.verdicts(paused, math.inf).promoted == []
    assert numbers(race.verdicts(paused, math.inf, last=True).promoted) == [1]


def test_where_the_best_are_confirmed_three_go_all_the_way() -> None:
    """One alone would have nothing to be compared with."""
    study = make_study(pruner="asha", pruner_options={}, confirm=Confirm())[0]
    race = race_of(study)
    paused = all_rest(race, [0.1, 0.9, 0.5, 0.7, 0.3])
    assert numbers(race.verdicts(paused, 5.0).promoted) == [1]
    assert numbers(race.verdicts(paused, 5.0).hopeless) == [0, 4]
    assert numbers(race.verdicts(paused, 5.0, last=True).promoted) == [1, 3, 2]


def test_what_is_no_number_never_goes_on() -> None:
    race = race_of(a_study())
    paused = all_rest(race, [math.nan, math.inf, -math.inf])
    found = race.verdicts(paused, math.inf, last=True)
    assert (found.promoted, numbers(found.hopeless)) == ([], [0, 1, 2])
    assert "which is no number" in next(iter(found.hopeless.values())).reason


def test_each_rung_is_as_many_times_as_far_and_the_last_part_has_none() -> None:
    race = race_of(a_study(max_resource=20))
    trial, steps = a_trial(0, race), []
    while trial.pauses_at is not None and trial.pauses_at.step is not None:
        steps.append(trial.pauses_at.step)
        trial = go_on(race, *rest(trial, 0.5))
    assert steps == [1, 3, 9]
    assert trial.rungs == Rungs(passed=[0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("options", "epochs", "max_seconds", "first"),
    [
        ({}, None, None, 1),
        ({}, 12, None, 1),
        ({}, 81, None, 2),
        ({}, 400, None, 10),
        ({}, 400, 60.0, 1),  # which end it after who knows how many
        ({"max_resource": 81}, 400, 60.0, 2),
        ({"resource": "seconds"}, 400, 600.0, 15),
        ({"resource": "seconds"}, 400, None, 1),
        ({"min_resource": 3}, 400, None, 3),
    ],
)
def test_the_first_rung_of_a_long_training_is_not_its_first_step(
    options: dict[str, Any], epochs: int | None, max_seconds: float | None, first: float
) -> None:
    for pruner in (AshaPruner, HyperbandPruner):
        assert pruner("maximize", options).first(epochs, max_seconds) == first


def test_a_training_does_not_pause_at_or_beyond_its_own_end() -> None:
    race = race_of(a_study(min_resource=3))
    assert a_trial(0, race, params={"epochs": 3}).rungs == Rungs()
    assert a_trial(0, race, params={"epochs": 4}).rungs == Rungs(step=3)


def test_rungs_may_be_seconds_of_training() -> None:
    race = race_of(a_study(resource="seconds", min_resource=10, max_resource=60))
    trial = a_trial(0, race)
    assert trial.rungs == Rungs(seconds=10.0)
    name, file = rest(trial, 0.5, step=1)
    one_long_epoch = (file.reports[0].replace(seconds=45.0),)
    slow = AttemptFile(trial, None, one_long_epoch, file.result)
    assert race.goes_on(slow, promoted=True) == Rungs(passed=[0.5, 0.5])
    assert go_on(race, name, file).rungs == Rungs(seconds=30.0, passed=[0.5])


def test_those_that_are_furthest_go_on_first_and_nobody_twice_from_one_rung() -> None:
    race = race_of(a_study())
    paused = all_rest(race, [1.0 - i / 100 for i in range(9)])
    first = race.verdicts(paused, math.inf).promoted
    assert numbers(first) == [0, 1, 2]
    further = dict(rest(go_on(race, name, paused[name]), 0.5 + name.trial) for name in first)
    later = {**{name: file for name, file in paused.items() if name not in first}, **further}
    later |= dict(rest(a_trial(number, race), 0.999) for number in (9, 10, 11))
    found = race.verdicts(later, math.inf).promoted
    assert [(name.trial, name.attempt) for name in found] == [(2, 2), (9, 1), (10, 1), (11, 1)]


def promoted_of(race: Race, values: list[float]) -> tuple[Paused, list[int]]:
    """What rests in the end, if each that goes on is trained at once and rests no more; and who
    went on.
    """
    paused: Paused = {}
    promoted: list[int] = []
    for number, value in enumerate(values):
        paused |= dict([rest(a_trial(number, race), value)])
        for name in race.verdicts(paused, math.inf).promoted:
            race.note_promoted([go_on(race, name, paused.pop(name))])
            promoted.append(name.trial)
    return paused, promoted


def test_of_a_rung_its_best_part_goes_on_and_two_that_come_late() -> None:
    """Each better than all before: by the paper's rule each one would go on."""
    race = race_of(a_study())
    paused, promoted = promoted_of(race, [number / 60 for number in range(60)])
    assert len(promoted) == 60 // 3 + LATECOMERS
    assert promoted[:3] == [2, 3, 4]
    late = max(paused)
    _, says = race.standing(paused[late])
    stands = f"rung at step 1: {late.trial / 60:.5g}, among the best third of 60"
    assert says == f"{stands}, after 22 had gone on"


def test_who_cannot_have_a_place_any_more_is_given_up() -> None:
    race = race_of(a_study())
    paused, promoted = promoted_of(race, [number / 12 for number in range(12)])
    assert len(promoted) == 6
    assert numbers(race.verdicts(paused, most=14).hopeless) == numbers(paused)
    assert race.verdicts(paused, most=60).hopeless == {}


def test_a_master_that_starts_anew_knows_who_has_gone_on() -> None:
    """From what is counted, what is under way, and what rests at the next rung."""
    study = a_study()
    before = race_of(study)
    paused = all_rest(before, [1 - number / 12 for number in range(12)])
    first = before.verdicts(paused, math.inf).promoted
    assert numbers(first) == [0, 1, 2, 3]
    gone = [go_on(before, name, paused.pop(name)) for name in first]
    paused |= dict(rest(a_trial(number, before), 1 + number / 99) for number in (12, 13, 14))
    judge, history = Judge(study), History(study)
    one = counted(0, {"x": 0.5}, 0.1, Outcome.PRUNED, steps=3)
    curve = [[1.0, 3.0], [1.0, 3.0], [1.0, 0.1]]
    history.add(one.replace(trial=gone[0], curve=curve))
    paused |= dict([rest(gone[1], 0.1)])
    judge.look(history, paused, gone[2:])
    # Of fifteen five go on, and two more.
    promoted = judge.at_rest(paused, math.inf).promoted
    assert numbers(promoted) == [14, 13, 12]
    paused |= dict(rest(a_trial(number, before), 2 + number) for number in (15, 16))
    assert numbers(judge.at_rest(paused, math.inf).promoted) == [16, 15, 14]


def test_a_repeat_goes_on_if_another_of_its_configuration_has() -> None:
    race = race_of(a_study(repeats=2))
    trials = [a_trial(number, race, repeats=2) for number in range(6)]
    paused = dict(rest(one, 0.9 - one.configuration / 10) for one in trials)
    first, second = race.verdicts(paused, math.inf).promoted
    race.note_promoted([go_on(race, first, paused.pop(first))])
    paused |= dict(
        rest(a_trial(number, race, repeats=2), 0.99) for number in (*range(6, 10), 10, 11, 12, 13)
    )
    assert second in race.verdicts(paused, math.inf).promoted


def rounded(reached: Mapping[int, tuple[int, float]]) -> dict[int, tuple[int, float]]:
    return {number: (step, round(value, 9)) for number, (step, value) in reached.items()}


def test_samplers_hear_of_the_last_rung_that_all_repeats_have_reached() -> None:
    race = race_of(a_study(repeats=2))
    trials = [a_trial(number, race, repeats=2) for number in range(6)]
    paused = dict(rest(*one) for one in zip(trials[:5], [0.2, 0.4, 0.5, 0.7, 0.9], strict=True))
    race.note_paused(paused.values())
    assert rounded(race.reached(paused.values(), [])) == {0: (1, 0.3), 1: (1, 0.6)}
    names = list(paused)[2:4]
    gone = [go_on(race, name, paused.pop(name)) for name in names]
    race.note_promoted(gone)
    assert rounded(race.reached(paused.values(), gone))[1] == (1, 0.6)
    paused |= dict(rest(*one) for one in zip(gone, [0.8, 0.9], strict=True))
    race.note_paused(paused.values())
    assert rounded(race.reached(paused.values(), []))[1] == (3, 0.85)
    worst = dict([rest(a_trial(20, race, repeats=2), math.nan)])
    worst |= dict([rest(a_trial(21, race, repeats=2), 0.5)])
    race.note_paused(worst.values())
    assert race.reached(worst.values(), []) == {}


def test_what_persons_ask_for_takes_no_part() -> None:
    race = race_of(a_study())
    assert a_trial(7, race, replaces=3).pauses_at is None
    assert a_trial(7, race, extends=3).pauses_at is None


# -- who is given up -------------------------------------------------------------------------


def test_what_cannot_be_among_the_best_any_more_is_given_up_with_its_place() -> None:
    race = race_of(a_study())
    found = race.verdicts(all_rest(race, [0.1, 0.9, 0.3, 0.8, 0.2]), most=9)
    assert numbers(found.promoted) == [1]
    # Of nine at most three go on, and these are worse than three already.
    assert numbers(found.hopeless) == [0, 4]
    reason = found.hopeless[next(iter(found.hopeless))].reason
    assert reason == "rung at step 1: 0.1, not among the best third of 5"


def test_without_a_limit_a_thousand_wait_at_a_rung() -> None:
    race = race_of(a_study())
    values = [random.Random(0).random() + i for i in range(2400)]
    found = race.verdicts(all_rest(race, values), math.inf)
    assert len(found.promoted) == 800
    assert len(found.hopeless) == 600
    assert max(numbers(found.hopeless)) == 599


def test_who_is_given_up_at_a_rung_makes_the_next_one_smaller() -> None:
    race = race_of(a_study())
    paused = all_rest(race, [i / 9 for i in range(9)])
    promoted = race.verdicts(paused, most=9).promoted
    for name, file in paused.items():
        if name not in promoted:
            result = file.result
            assert result is not None
            assert result.value is not None
            point = Point(1, 1.0, result.value, result.value)
            race.note(Curve(file.trial, [point]), over=True)
    further = dict(rest(go_on(race, name, paused[name]), name.trial / 9) for name in promoted)
    found = race.verdicts(further, most=9)
    assert (numbers(found.promoted), sorted(numbers(found.hopeless))) == ([8], [6, 7])


# -- repeats -----------------------------------------------------------------------------------


def test_repeats_go_on_together_by_their_mean_when_all_have_come() -> None:
    race = race_of(a_study(repeats=2, reduction_factor=2))
    values = [1.0, 0.0, 0.6, 0.6]
    trials = [a_trial(number, race, repeats=2) for number in range(4)]
    paused = dict(rest(*one) for one in zip(trials[:3], values[:3], strict=True))
    assert race.verdicts(paused, math.inf).promoted == []
    paused |= dict([rest(trials[3], values[3])])
    assert numbers(race.verdicts(paused, math.inf).promoted) == [2, 3]


def test_a_repeat_that_has_failed_keeps_nobody_waiting() -> None:
    race = race_of(a_study(repeats=2, reduction_factor=2))
    trials = [a_trial(number, race, repeats=2) for number in range(4)]
    race.note(Curve(trials[0], []), over=True)
    paused = dict(rest(trials[n], value) for n, value in ((1, 0.9), (2, 0.6), (3, 0.6)))
    assert numbers(race.verdicts(paused, math.inf).promoted) == [1]


# -- trainings that do not pause --------------------------------------------------------------


def curve_of(trial: Trial, values: list[float]) -> Curve:
    best = itertools.accumulate(values, max)
    points = [
        Point(i, float(i), v, b) for i, (v, b) in enumerate(zip(values, best, strict=True), 1)
    ]
    return Curve(trial, points)


def test_a_training_that_does_not_pause_is_stopped_at_its_rung() -> None:
    race = race_of(a_study(min_resource=2))
    for number, value in enumerate([0.9, 0.8, 0.7]):
        race.note(curve_of(a_trial(number, race), [0.1, value, value, value]), over=True)
    bad = a_trial(3, race)
    assert race.judge(curve_of(bad, [0.1, 0.5])) is None  # it may pause yet
    assert race.judge(curve_of(bad, [0.1, 0.5, 0.6])) is None
    stop = race.judge(curve_of(bad, [0.1, 0.5, 0.6, 0.99]))
    assert stop is not None
    assert stop.reason == "rung at step 2: 0.5, not among the best third of 4"
    assert race.judge(curve_of(a_trial(4, race), [0.1, 0.95, 0.95, 0.95])) is None


def test_one_that_was_promoted_is_not_stopped_at_the_rung_before() -> None:
    race = race_of(a_study())
    for number in range(6):
        race.note(curve_of(a_trial(number, race), [0.9] * 4), over=True)
    promoted = a_trial(6, race).replace(rungs=Rungs(step=9, passed=[0.1, 0.1]))
    assert race.judge(curve_of(promoted, [0.1] * 8)) is None


def test_what_is_stopped_at_its_rung_says_how_many_steps_it_had_reported() -> None:
    """Where a share shows a file as it was, it is not counted with less than it was judged by."""
    study = a_study(min_resource=2)
    judge, history = Judge(study), History(study)
    judge.look(history, {})
    assert judge.race is not None
    for number, value in enumerate([0.9, 0.8, 0.7]):
        judge.race.note(curve_of(a_trial(number, judge.race), [0.1, value, value]), over=True)
    name = AttemptName(3, 1, worker="w-1-a", state=State.TAKEN)
    curve = curve_of(a_trial(3, judge.race), [0.1, 0.5, 0.6, 0.99])
    assert [stop.steps for stop in judge.verdicts(history, {name: curve}).values()] == [4]


# -- restarts, and who died in between ----------------------------------------------------------


def test_what_a_race_says_depends_on_nothing_but_what_is_there() -> None:
    rng = random.Random(1)
    study = a_study("hyperband", max_resource=27)
    for _ in range(20):
        race = race_of(study)
        values = [rng.random() for _ in range(30)]
        paused = all_rest(race, values)
        once = race.verdicts(paused, most=60)
        shuffled = list(paused.items())
        rng.shuffle(shuffled)
        again = race_of(study).verdicts(dict(shuffled), most=60)
        assert once.promoted == again.promoted
        assert once.hopeless == again.hopeless


def test_a_history_tells_of_the_rungs_that_its_trials_have_passed() -> None:
    study = a_study()
    judge, history = Judge(study), History(study)
    assert judge.race is not None
    for number, value in enumerate([0.9, 0.8, 0.7, 0.6, 0.5]):
        trial = a_trial(number, judge.race)
        points = [[1.0], [1.0], [value]]
        one = counted(number, {"x": 0.5}, value, Outcome.PRUNED, steps=1)
        history.add(one.replace(trial=trial, curve=points))
    paused = dict([rest(a_trial(5, judge.race), 0.85)])
    judge.look(history, paused)
    assert numbers(judge.at_rest(paused, math.inf).promoted) == [5]
    paused, judge = dict([rest(a_trial(5, judge.race), 0.75)]), Judge(study)
    judge.look(history, paused)
    assert judge.at_rest(paused, math.inf).promoted == []


def test_a_lost_one_that_had_not_been_promoted_pauses_again_at_its_rung() -> None:
    race = race_of(a_study())
    paused = all_rest(race, [0.1, 0.9, 0.3])
    race.verdicts(paused, math.inf)
    rungs = [race.goes_on(file, promoted=False) for file in paused.values()]
    assert rungs == [Rungs(step=1), Rungs(step=3, passed=[0.9]), Rungs(step=1)]


# -- hyperband -------------------------------------------------------------------------------


def test_the_brackets_of_hyperband_are_those_of_the_paper() -> None:
    study = a_study("hyperband", max_resource=27)
    race = race_of(study)
    begins: dict[int | None, int] = {}
    for number in range(4000):
        rungs = a_trial(number, race).pauses_at
        assert rungs is not None
        begins[rungs.step] = begins.get(rungs.step, 0) + 1
    # n = ceil((s_max + 1) / (s + 1) eta^s): 27, 12, 6, 4
    shares = {step: begins[step] / 4000 for step in (1, 3, 9, None)}
    for step, part in zip((1, 3, 9, None), (27, 12, 6, 4), strict=True):
        assert shares[step] == pytest.approx(part / 49, abs=0.03)


def test_brackets_race_each_for_itself() -> None:
    race = race_of(a_study("hyperband", max_resource=9))
    trials = [a_trial(number, race) for number in range(60)]
    first = [one for one in trials if one.rungs == Rungs(step=1)][:3]
    second = [one for one in trials if one.rungs == Rungs(step=3)][:2]
    paused = dict(rest(one, 0.1 + one.number / 1000) for one in first)
    paused |= dict(rest(one, 0.9) for one in second)
    assert numbers(race.verdicts(paused, math.inf).promoted) == [first[-1].number]


# -- what can be asked for -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"pruner": {"name": "hyperband"}}, "give it max_resource, or the study a constant epochs"),
        (
            {"pruner": {"name": "hyperband", "resource": "seconds"}},
            "give it max_resource, or the study a constant max_seconds",
        ),
        (
            {"pruner": {"name": "asha", "min_resource": 5, "max_resource": 5}},
            "pruner.min_resource: the first rung, at 5, is not before the end of a training, at 5",
        ),
        ({"pruner": {"name": "asha", "reduction_factor": 1}}, "reduction_factor"),
        ({"pruner": {"name": "asha", "eta": 3}}, "there is no such option"),
    ],
)
def test_what_a_race_cannot_do_is_said_before_anything_runs(
    more: dict[str, Any], problem: str
) -> None:
    space = {
        "objective": "o:o",
        "params": {"x": [1, 2, 3]},
        "metric": "y",
        "direction": "maximize",
        **more,
    }
    with pytest.raises(UserError, match=problem.replace("(", r"\(")):
        parse_space_file(json.dumps(space), "space.json")


def test_stages_have_no_race() -> None:
    space = {
        "objective": "o:o",
        "params": {"x": 1},
        "stages": [{"name": "one", "params": {"x": [1, 2]}}],
        "metric": "y",
        "direction": "maximize",
        "pruner": "asha",
    }
    with pytest.raises(UserError, match="those of different stages are no peers"):
        parse_space_file(json.dumps(space), "space.json")
