"""What a report says and what is in it, against numbers worked out by hand; and the command."""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distune.page.answer import answer_of
from distune.page.curves import sample
from distune.page.failures import failure_groups, shared_words
from distune.page.frozen import frozen_page
from distune.page.importance import importance_of
from distune.report import cost, curve_data, curves, progress, winner, workers
from distune.report.blocks import Choice, Paragraph, PictureGrid, Plot, Row, Section, Table
from distune.report.charts import Chart, Line, left_out, scale
from distune.report.groups import Group, even_classes, groups_of
from distune.report.page_data import page_data, sections
from distune.report.reading import read_study
from distune.report.study_data import StudyData, value_of
from distune.report.words import words_of
from distune.share.folder import Folder
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile, encode, encode_document
from distune.share.store import Store
from distune.study import figures
from distune.study.trial import Failure, Outcome, Purpose, Report, Result
from tests.conftest import Lab
from tests.histories import append_history
from tests.report_studies import (
    ABOUT,
    a_file,
    a_history,
    a_search,
    a_setting,
    a_study,
    counted,
    curve,
    some_figures,
    study_data,
)

NAN = math.nan


def plots_of(section: Section | None) -> list[Plot]:
    found: list[Plot] = []
    for block in section.blocks if section else ():
        found += (
            [block] if isinstance(block, Plot) else block.plots if isinstance(block, Row) else []
        )
    return found


def charts_of(section: Section | None) -> list[Chart]:
    return [chart for plot in plots_of(section) for chart in plot.charts.values()]


def said_in(section: Section | None) -> str:
    return " ".join(b.text for b in (section.blocks if section else ()) if isinstance(b, Paragraph))


def equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a, float), np.asarray(b, float), equal_nan=True))


# -- which trials stand for all --------------------------------------------------------------------


def test_a_sample_has_the_best_trials_and_always_the_same_others() -> None:
    study = a_study()
    history = a_history(study, (counted(i, i / 1000) for i in range(500)))
    chosen = [one.trial.number for one in sample(history, 10, 20)]
    assert len(set(chosen)) == 30
    assert set(range(490, 500)) <= set(chosen)
    assert chosen == [one.trial.number for one in sample(history, 10, 20)]
    assert len(sample(history, 300, 300)) == 500


# -- the best so far -------------------------------------------------------------------------------


def test_the_best_so_far_begins_with_the_first_finite_value() -> None:
    values = [NAN, 0.5, 0.4, math.inf, 0.7, NAN]
    assert equal(progress.best_so_far(values, "maximize"), [NAN, 0.5, 0.5, 0.5, 0.7, 0.7])
    assert equal(progress.best_so_far(values, "minimize"), [NAN, 0.5, 0.4, 0.4, 0.4, 0.4])
    assert progress.best_so_far([], "maximize") == []


@pytest.mark.parametrize(
    ("outcome", "value"),
    [(Outcome.DIVERGED, math.inf), (Outcome.PRUNED, 0.9), (Outcome.FAILED, None)],
)
def test_a_trial_that_did_not_complete_is_never_the_best(
    outcome: Outcome, value: float | None
) -> None:
    assert math.isnan(value_of(counted(0, value, outcome=outcome)))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_bands_are_those_of_all_orders(direction: Any) -> None:
    """Against every order of five trials, one of which has no value, counted one by one."""
    values, seconds = [0.3, NAN, 0.9, 0.5, 0.7], [4.0, 1.0, 3.0, 2.0, 5.0]
    orders = list(permutations(range(5)))
    made = list(map(np.array, orders))
    counts, times = np.arange(1.0, 6.0), progress.spaced(1.0, 15.0, 5)
    by_trial = progress.band(values, [1.0] * 5, direction, made, counts)
    by_time = progress.band(values, seconds, direction, made, times)
    worst_first = direction == "maximize"

    def quantile(found: list[float], share: float) -> float:
        missing = -math.inf if worst_first else math.inf
        ordered = sorted((missing if math.isnan(x) else x for x in found), reverse=not worst_first)
        value = ordered[math.ceil(share * len(ordered)) - 1]
        return value if math.isfinite(value) else NAN

    for i, at in enumerate(counts):
        reached = [
            progress.best_so_far([values[k] for k in o], direction)[int(at) - 1] for o in orders
        ]
        expected = [quantile(reached, share) for share in progress.LEVELS]
        assert equal([row[i] for row in by_trial], expected)
    for i, at in enumerate(times):
        reached = []
        for order in orders:
            spent, best = 0.0, NAN
            for k in order:
                spent += seconds[k]
                if spent > at + 1e-9:
                    break
                best = progress.best_so_far([best, values[k]], direction)[-1]
            reached.append(best)
        expected = [quantile(reached, share) for share in progress.LEVELS]
        assert equal([row[i] for row in by_time], expected)
    assert times[-1] == 15.0


def test_orders_are_permutations_and_the_same_for_the_same_seed() -> None:
    orders = [tuple(map(int, order)) for order in progress.random_orders(6, 50)]
    assert len(set(orders)) > 30
    assert {tuple(sorted(order)) for order in orders} == {(0, 1, 2, 3, 4, 5)}
    assert orders == [tuple(map(int, order)) for order in progress.random_orders(6, 50)]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_bands_never_get_worse_again(direction: Any) -> None:
    bands = progress.bands_of(a_search(150, direction=direction))
    assert bands is not None
    for over in ("trials", "training"):
        for level in bands[over]["quantiles"]:
            known = [value for value in level if not math.isnan(value)]
            assert len(known) > 50
            gains = [b - a for a, b in pairwise(known)]
            assert all(gain * (1 if direction == "maximize" else -1) >= 0 for gain in gains)


def test_only_a_random_search_is_reshuffled() -> None:
    assert progress.bands_of(a_search(20, sampler="random", params={})) is not None
    assert progress.bands_of(a_search(20, sampler="grid", params={})) is None
    assert progress.bands_of(a_search(2)) is None


def test_a_few_diverged_trials_do_not_squeeze_the_others_and_it_is_said() -> None:
    values = [0.1 if i == 7 else 0.98 + i / 10_000 for i in range(100)]
    shown = scale(values, "maximize")
    assert 0.97 < shown["low"] < 0.985
    assert 0.9899 < shown["high"] < 1
    assert left_out(values, "maximize") == " The scale leaves out the worst tenth: 6 of 100."
    assert left_out([0.9, 0.95, 0.99] * 10, "maximize") == ""
    assert scale([10.0**-i for i in range(5)], "minimize") == {"log": True}


# -- words and tables ------------------------------------------------------------------------------


def a_history_of(*pairs: tuple[float, float], **fields: Any) -> StudyData:
    """Trials of a learning rate and a value each, an hour apart."""
    trials = [
        counted(i, value, params={"lr": lr}, repeat=i % fields.get("repeats", 1), elapsed=60.0 * i)
        for i, (lr, value) in enumerate(pairs)
    ]
    return study_data(a_study({"lr": [0.1, 0.2, 0.3]}, **fields), trials)


def test_the_answer_says_how_sure_it_is_and_what_it_beats() -> None:
    made = a_history_of((0.1, 0.9), (0.1, 0.8), (0.2, 0.84), (0.2, 0.84), repeats=2)
    answer = answer_of(made.history)
    assert answer["value"] == "val_accuracy 0.8500 ± 0.0707"
    assert answer["spread"] == "±: the standard deviation over 2 repeats that differ by their seeds"
    assert answer["setting"] == "lr 0.1"
    assert answer["words"][0] == (
        "The next best, trial 2, has 0.8400: nearer than the spread, so the two may change places "
        "in a repetition."
    )
    assert "4 trials counted (4 complete), by 1 worker in 3m00s, with 40s of training." in " ".join(
        words_of(made)
    )
    assert answer["command"] == "distune master --space best.json --workers 1"
    space = json.loads(answer["space"])
    assert (space["params"], space["repeats"]) == ({"lr": 0.1}, 2)


def test_of_one_training_nothing_is_said_of_its_spread() -> None:
    answer = answer_of(a_history_of((0.1, 0.9), (0.2, 0.5)).history)
    assert answer["value"] == "val_accuracy 0.9000"
    assert "not known" in answer["spread"]
    assert answer["words"][0] == "The next best, trial 1, has 0.5000."


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([], "No trial has been counted yet."),
        ([NAN], "The one trial diverged"),
        ([NAN, NAN, NAN], "All 3 trials diverged: val_accuracy was no finite number"),
    ],
)
def test_without_an_answer_it_is_said_why(values: list[float], why: str) -> None:
    made = [counted(i, value, outcome=Outcome.DIVERGED) for i, value in enumerate(values)]
    (key,) = answer = answer_of(study_data(a_study(), made).history)
    assert key == "nothing"
    assert answer[key].startswith(why)


def test_the_words_say_which_trial_was_best_and_when_it_came() -> None:
    words = " ".join(words_of(a_history_of((0.1, 0.5), (0.2, 0.9), (0.3, 0.4))))
    assert (
        "The best single trial has val_accuracy 0.9000: trial 1, which was number 2 of the 3 "
        "trials counted, when the study had run for 1m00s." in words
    )
    assert "Each setting was trained once, so nothing is known of its spread" in words


# -- failures --------------------------------------------------------------------------------------


def test_failures_are_grouped_by_what_they_say_with_what_they_have_in_common() -> None:
    """All that rmsprop does at a high learning rate fails; the losses in the messages differ."""
    made = []
    for i in range(48):
        params = a_setting(i)
        fails = params["optimizer"] == "rmsprop" and params["lr"] >= 0.065
        failure = Failure(message=f"ValueError: loss {i / 7:.3f} at step {i}") if fails else None
        outcome = Outcome.FAILED if fails else Outcome.COMPLETE
        made.append(
            counted(i, None if fails else 0.9, params=params, outcome=outcome, failure=failure)
        )
    made.append(counted(48, None, outcome=Outcome.FAILED, failure=Failure(message="other")))
    first, second = failure_groups(study_data(a_study(), made).history)
    assert (len(first["trials"]), second["trials"]) == (7, [48])
    assert first["shared"] == (
        "7 of 7 have lr >= 0.082 and optimizer rmsprop, where 0 of 42 others are"
    )
    assert second["shared"] == ""


def test_nothing_is_said_in_common_that_chance_often_does() -> None:
    others = [a_setting(i) for i in range(40)]
    assert shared_words([a_setting(100), a_setting(101)], others) == ""
    assert shared_words([{"x": 1}] * 9, []) == ""
    assert shared_words([{"x": 1}] * 9, [{"x": 1}] * 9) == ""


def test_what_diverged_is_a_failure_too() -> None:
    made = [counted(i, NAN, outcome=Outcome.DIVERGED) for i in range(3)]
    (group,) = failure_groups(study_data(a_study(), made).history)
    assert (group["message"], group["trials"]) == ("diverged: no finite value", [0, 1, 2])


# -- learning curves -------------------------------------------------------------------------------


def colour_groups(values: Mapping[int, Any]) -> tuple[list[Group], bool]:
    return groups_of(values, 7, even_classes)


def test_up_to_seven_values_have_a_colour_each_in_their_order() -> None:
    groups, ordered = colour_groups({1: 0.1, 2: 1, 3: 0.1, 4: 10.0})
    assert ordered
    assert [(g.label, g.trials) for g in groups] == [("0.1", [1, 3]), ("1", [2]), ("10", [4])]


def test_many_numbers_are_put_into_classes_of_as_many_trials() -> None:
    groups, ordered = colour_groups({i: i / 10 for i in range(100)})
    assert ordered
    assert [len(g.trials) for g in groups] == [20] * 5
    assert [g.label for g in groups][::4] == ["0 to 1.9", "8 to 9.9"]


def test_an_integer_that_no_float_can_be_is_a_choice_like_any_other() -> None:
    groups, ordered = colour_groups({i: i or 10**400 for i in range(12)})
    assert not ordered
    assert groups[-1].label == "others"


def test_many_choices_are_the_most_frequent_ones_and_others() -> None:
    values = {i: f"c{i if i < 10 else i % 6}" for i in range(40)}
    groups, ordered = colour_groups(values)
    assert not ordered
    assert [g.label for g in groups] == [*(f"c{i}" for i in (4, 5, 0, 1, 2, 3)), "others"] or (
        {g.label for g in groups[:-1]} == {f"c{i}" for i in range(6)}
    )
    assert sorted(n for g in groups for n in g.trials) == list(range(40))


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (["epoch", "train_loss", "val_loss", "val_accuracy", "seconds", "parameters"],
         [("accuracy", "val_accuracy", None), ("loss", "val_loss", "train_loss")]),
        (["loss", "val_loss", "lr"], [("loss", "val_loss", "loss"), ("lr", "lr", None)]),
        (["score"], [("score", "score", None)]),
        (["train_loss"], [("loss", None, "train_loss")]),
        (["epoch"], []),
    ],
)  # fmt: skip
def test_metrics_of_one_quantity_belong_together(
    metrics: list[str], expected: list[tuple[str, str | None, str | None]]
) -> None:
    found = curve_data.families(metrics, "val_accuracy")
    assert [(one.name, one.validation, one.training) for one in found] == expected


def test_the_middle_of_curves_is_where_half_of_them_still_train() -> None:
    three = [[(1.0, 1.0), (3.0, 3.0)], [(1.0, 5.0), (2.0, 5.0)], [(1.0, 9.0)]]
    central = curve_data.middle(three)
    assert central is not None
    assert central.x == [1.0, 2.0]
    assert central.median == [5.0, 3.5]  # at 2: half way up the first one, and the second one
    assert central.low == [3.0, 2.75]
    assert central.high == [7.0, 4.25]


def test_curves_of_which_no_two_have_a_time_in_common_have_no_middle() -> None:
    apart = [[(10.0**i, 1.0), (2 * 10.0**i, 2.0)] for i in range(5)]
    assert curve_data.middle(apart) is None
    made, files = [counted(i, 0.5) for i in range(5)], {}
    for one, points in zip(made, apart, strict=True):
        steps = [Report(step=i, metrics={"loss": y}, seconds=x) for i, (x, y) in enumerate(points)]
        files[one.trial.number] = a_file(one.trial, "w", 0.0, steps)
    assert curves.section(study_data(a_study(), made, files=files), []) is not None


def test_the_gap_is_validation_minus_training() -> None:
    reports = [
        Report(step=i, metrics={"val_loss": 2.0, "train_loss": 2.0 - i / 4}, seconds=float(i))
        for i in (1, 2)
    ]
    found = curve_data.by_step(reports, "val_loss", "train_loss")
    assert found == [(1.0, 0.25), (2.0, 0.5)]


def names_of(chart: Chart) -> list[Any]:
    return [one for one in chart.series if getattr(one, "name", "")]


def test_colours_are_for_the_parameter_that_is_asked_for() -> None:
    def names(*by: str) -> set[str]:
        section = curves.section(a_search(80), by)
        return {one.name for chart in charts_of(section) for one in names_of(chart)}

    assert names("optimizer") == {"sgd", "adam", "rmsprop"}
    assert "without momentum" in names("momentum")
    assert names() == {"all"}


def test_curves_can_be_coloured_by_other_parameters_the_wanted_one_first() -> None:
    section = curves.section(a_search(80), ["optimizer", "lr", *map(str, range(20))])
    assert section is not None
    (choice,) = (block for block in section.blocks if isinstance(block, Choice))
    assert choice.options == ["optimizer", "lr", *map(str, range(6))]  # no more than eight
    for row in (block for block in section.blocks if isinstance(block, Row)):
        for plot in row.plots:
            assert (list(plot.charts), plot.chosen_by) == (choice.options, choice.name)
            assert "adam" in plot.alts[0]
            assert "adam" not in plot.alts[1]


def test_one_parameter_alone_is_no_choice() -> None:
    section = curves.section(a_search(80), ["optimizer"])
    assert section is not None
    assert not any(isinstance(block, Choice) for block in section.blocks)
    assert "One colour for each value of optimizer" in said_in(section)


def a_staged_search() -> StudyData:
    """Three settings of a first stage, of which the second is best, and two of the next."""
    groups = {"rate": {"lr": [1, 2, 3]}, "depth": {"n": [2, 4]}}
    named = [{"name": name, "params": params} for name, params in groups.items()]
    study = a_study({"lr": 0, "n": 1}, stages=named)
    settings = [(1, 1), (2, 1), (3, 1), (2, 2), (2, 4)]
    made = [
        counted(i, value, params={"lr": lr, "n": n}, steps=12)
        for i, ((lr, n), value) in enumerate(zip(settings, [0.5, 0.8, 0.6, 0.9, 0.7], strict=True))
    ]
    files = {i: a_file(one.trial, one.worker, 0.0, curve(0.9, 5.0)) for i, one in enumerate(made)}
    return study_data(study, made, files=files)


def test_stages_say_what_each_has_found() -> None:
    stages = page_data(a_staged_search(), ABOUT)["study"]["status"]["stages"]
    assert [
        (one["name"], one["state"], one["counted"], one["winner"]["value"]) for one in stages
    ] == [
        ("rate", "over", 3, 0.8),
        ("depth", "over", 2, 0.9),
    ]


def the_curves(data: StudyData, color_by: str | None = None) -> Section:
    weights = [one["name"] for one in importance_of(data.history).get("parameters", ())]
    return next(one for one in sections(data, weights, color_by) if one.key == "curves")


def test_the_curves_of_a_staged_search_have_the_colours_of_its_stages_first() -> None:
    made = a_staged_search()
    section = the_curves(made)
    (choice,) = (block for block in section.blocks if isinstance(block, Choice))
    assert choice.options[0] == "stage"
    lines = [one for one in charts_of(section)[0].series if isinstance(one, Line)]
    assert {(one.name, one.said) for one in lines if "trial" in one.said} == {
        ("rate", "trial 0"), ("rate", "trial 1"), ("rate", "trial 2"),
        ("depth", "trial 3"), ("depth", "trial 4"),
    }  # fmt: skip
    (choice,) = (block for block in the_curves(made, "n").blocks if isinstance(block, Choice))
    assert choice.options[:2] == ["n", "stage"]


def test_a_few_curves_are_drawn_one_by_one_and_many_as_medians_with_bands() -> None:
    few = charts_of(curves.section(a_search(10), ["optimizer"]))[0].series
    assert sum("trial" in one.said for one in few if isinstance(one, Line)) == 9
    many = charts_of(curves.section(a_search(300), ["optimizer"]))[0].series
    assert [type(one).__name__ for one in many] == ["Band", "Line"] * 3


def test_a_loss_over_decades_has_a_log_scale_and_an_accuracy_has_none() -> None:
    def is_log(metric: str, direction: str) -> bool:
        study = a_study({"x": [1, 2]}, metric=metric, direction=direction)
        one = counted(0, 0.9, params={"x": 1}, steps=3)
        reports = [Report(step=i, metrics={metric: 10.0**-i}, seconds=1.0 * i) for i in (1, 2, 3)]
        made = study_data(study, [one], files={0: a_file(one.trial, "w", 0.0, reports)})
        return charts_of(curves.section(made, ["x"]))[0].y.log

    assert is_log("val_loss", "minimize")
    assert not is_log("val_accuracy", "maximize")


def test_curves_that_end_far_below_all_others_leave_the_scale_which_says_so() -> None:
    def drawn(worst: float) -> Plot:
        study = a_study({"x": list(range(20))})
        ends = [0.9 + i / 1000 for i in range(18)] + [worst] * 2
        trials = [counted(i, end, params={"x": i}, steps=2) for i, end in enumerate(ends)]
        files = {
            i: a_file(one.trial, "w", 0.0, [
                Report(step=s, metrics={"val_accuracy": v}, seconds=float(s))
                for s, v in ((1, 0.5), (2, ends[i]))
            ])
            for i, one in enumerate(trials)
        }  # fmt: skip
        section = curves.section(study_data(study, trials, files=files), [])
        assert section is not None
        (row, *_) = (block for block in section.blocks if isinstance(block, Row))
        return row.plots[0]

    plot = drawn(-30.0)
    low = plot.charts[""].y.low
    assert low is not None
    assert 0.85 < low < 0.9
    assert plot.caption == "The scale leaves out the worst tenth: 2 of 20."
    plot = drawn(0.89)
    assert plot.charts[""].y.low is None
    assert plot.caption == ""


def test_what_is_no_number_in_a_curve_is_left_out() -> None:
    reports = [
        Report(step=i, metrics={"epoch": e, "loss": v}, seconds=s)
        for i, (e, v, s) in enumerate([(1.0, NAN, 1.0), (2.0, 0.5, math.inf), (NAN, 0.4, 3.0)])
    ]
    assert curve_data.by_step(reports, "loss") == [(2.0, 0.5)]
    assert curve_data.by_time(reports, "loss") == [(3.0, 0.4)]
    assert curve_data.by_time(reports, "other") == []


def test_an_objective_that_reports_nothing_but_a_number_has_no_curves() -> None:
    assert (
        curves.section(study_data(a_study(), [counted(i, i / 10) for i in range(9)]), ["lr"])
        is None
    )


# -- params ----------------------------------------------------------------------------------------


def test_the_parameter_that_decides_is_the_most_important_one() -> None:
    found = importance_of(a_search(200).history)
    assert found["parameters"][0]["name"] == "lr"
    assert "epochs" not in [one["name"] for one in found["parameters"]]  # a constant
    assert "stand out for val_accuracy by lr; the rest may be chance" in found["headline"]
    assert "on 185 configurations with a complete trial: the best 19" in found["how"]


def test_no_parameter_is_the_headline_that_does_not_pass_what_chance_gives() -> None:
    study = a_study()
    values = [counted(i, (i * 7919 % 101) / 101) for i in range(60)]
    found = importance_of(a_history(study, values))
    assert not any(one["stands_out"] for one in found["parameters"])
    assert found["headline"].startswith("No parameter stands out")


@pytest.mark.parametrize(
    ("values", "why"),
    [([0.1] * 19, "19 configurations with a complete trial: too few"), ([0.1] * 30, "the same")],
)
def test_why_nothing_is_said_of_importance_is_said(values: list[float], why: str) -> None:
    made = a_history(a_study(), (counted(i, value) for i, value in enumerate(values)))
    (key,) = found = importance_of(made)
    assert key == "unknown"
    assert why in found[key]


# -- cost ------------------------------------------------------------------------------------------


def costs(*pairs: tuple[float, float], direction: str = "maximize") -> list[cost.Point]:
    trials = [
        counted(i, value, params={"x": i}, seconds=seconds)
        for i, (seconds, value) in enumerate(pairs)
    ]
    study = a_study({"x": [0, 1]}, direction=direction)
    return cost.points(a_history(study, trials).ranking(), 1)


def test_the_front_has_what_nothing_else_beats_at_its_cost() -> None:
    given = costs((5, 0.5), (1, 0.2), (3, 0.7), (3, 0.6), (9, 0.7), (9, 0.8), (1, 0.1))
    front = cost.front(given, "maximize")
    assert [(point.cost, point.value) for point in front] == [(1, 0.2), (3, 0.7), (9, 0.8)]
    least = cost.front(given, "minimize")
    assert [(point.cost, point.value) for point in least] == [(1, 0.1)]


def test_the_best_under_a_budget_is_the_best_that_costs_no_more() -> None:
    given = costs((5, 0.5), (1, 0.2), (3, 0.7), (9, 0.8))
    found = [cost.best_under(given, seconds, "maximize") for seconds in (0.5, 1, 8, 9)]
    assert [point and point.value for point in found] == [None, 0.2, 0.7, 0.8]


def test_a_configuration_without_a_value_is_not_among_the_costs() -> None:
    assert costs((1.0, NAN), (2.0, 0.5))[0].cost == 2.0
    assert len(costs((1.0, NAN), (2.0, 0.5))) == 1


def test_what_would_have_been_best_had_all_been_stopped() -> None:
    def reports(*pairs: tuple[float, float]) -> list[Report]:
        return [
            Report(step=i, metrics={"m": value}, seconds=seconds)
            for i, (seconds, value) in enumerate(pairs)
        ]

    made = {4: reports((1, 0.5), (2, 0.4), (8, 0.9)), 7: reports((2, 0.6), (9, NAN))}
    found = [cost.best_stopped(made, t, "m", "maximize", "best") for t in (0.5, 1, 2, 8)]
    assert found == [None, (4, 0.5), (7, 0.6), (4, 0.9)]
    assert cost.best_stopped(made, 2, "m", "maximize", "last") == (7, 0.6)
    assert cost.best_stopped(made, 2, "m", "minimize", "last") == (4, 0.4)


def test_budgets_are_round_and_reach_from_the_cheapest_to_the_dearest() -> None:
    assert cost.budgets([0.3, 7.0]) == [0.5, 1, 2, 5, 10]
    assert cost.budgets([61.0, 100.0]) == [120]
    assert cost.budgets([1e8]) == []


# -- workers ---------------------------------------------------------------------------------------


def a_stretch(start: float, end: float) -> workers.Stretch:
    return workers.Stretch("w", start, end, "complete", "trial 1")


def test_time_is_busy_once_however_many_trials_lie_over_it() -> None:
    own = [a_stretch(0, 4), a_stretch(2, 6), a_stretch(8, 10), a_stretch(8.5, 9)]
    assert workers.busy(own, [-1, 3, 7, 8.5, math.inf]).tolist() == [0, 3, 6, 6.5, 8]
    assert workers.utilisation(own) == 0.8
    assert workers.utilisation([a_stretch(3, 3)]) is None


def test_a_lost_attempt_is_placed_by_its_workers_own_clock() -> None:
    """That clock is a century ahead: it is only ever compared with itself."""
    ahead = 3e9
    made, files = [], {}
    for number, ended in enumerate([30.0, 60.0, 90.0]):
        one = counted(number, 0.5, seconds=20.0, elapsed=ended + 0.5, worker="w-1-a", steps=3)
        made.append(one)
        files[number] = a_file(one.trial, "w-1-a", ahead + ended - 20.0, curve(0.5, 20.0))
    lost = AttemptName(3, 1, worker="w-1-a", state=State.LOST)
    elsewhere = AttemptName(4, 1, worker="w-2-b", state=State.LOST)
    given_up = {
        lost: a_file(made[0].trial, "w-1-a", ahead + 100.0, curve(0.5, 12.0)),
        elsewhere: a_file(made[0].trial, "w-2-b", 5.0, []),  # of a worker with no trial counted
    }
    found = workers.stretches(study_data(a_study(), made, files=files, given_up=given_up))
    assert [(s.start, s.end, s.kind) for s in found] == [
        (10.5, 30.5, "complete"),
        (40.5, 60.5, "complete"),
        (70.5, 90.5, "complete"),
        (100.5, 112.5, "lost"),
    ]


def test_attempts_that_ended_no_trial_are_told_apart() -> None:
    file = a_file(counted(0, 1.0).trial, "w", 0.0, [])
    kinds = {
        outcome: workers.kind_of(replace(file, result=Result(outcome=outcome)))
        for outcome in (Outcome.RELEASED, Outcome.FAILED, Outcome.OUT_OF_MEMORY)
    }
    assert kinds == {
        Outcome.RELEASED: "given back",
        Outcome.FAILED: "failed, tried again",
        Outcome.OUT_OF_MEMORY: "failed, tried again",
    }
    assert workers.kind_of(file) == workers.kind_of(None) == "lost"


def test_a_history_made_anew_says_why_there_is_no_timeline() -> None:
    section = workers.section(study_data(a_study(), [counted(i, 0.5) for i in range(3)]))
    assert "is not known" in said_in(section)


def test_attempts_that_ended_no_trial_are_handed_to_the_timeline() -> None:
    made = a_search(120)
    kinds = [one["kind"] for one in workers.besides(made)]
    assert kinds == ["lost"] * 3
    section = workers.section(made)
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert table.header[:4] == ["worker", "device", "trials", "failed"]
    assert sum(int(row[2]) for row in table.rows) == 120


# -- what a workload leaves ------------------------------------------------------------------------


def test_each_kind_of_figure_is_drawn() -> None:
    blocks = [winner.block_of(one) for one in some_figures()]
    assert [type(block).__name__ for block in blocks] == ["Plot", "PictureGrid", "Plot", "Plot"]
    assert "300 of 348 are on the diagonal" in blocks[0].alt  # type: ignore[union-attr]


def test_a_picture_keeps_its_pixels() -> None:
    pixels = base64.b64encode(bytes(range(12))).decode()
    block = winner.block_of(
        figures.Pictures(
            title="t", height=2, width=2, channels=3,
            pictures=[figures.Picture(pixels=pixels, label="<b>")],
        )
    )  # fmt: skip
    assert isinstance(block, PictureGrid)
    assert (block.height, block.width, block.channels) == (2, 2, 3)
    assert [(one.pixels, one.label) for one in block.pictures] == [(pixels, "<b>")]


def test_a_boundary_passes_where_the_score_is_a_half() -> None:
    x, y = winner.contour([0.0, 1.0, 2.0], [0.0, 1.0], [[0.0, 1.0, 1.0], [0.25, 0.75, 1.0]])
    assert (x, y) == ([0.5, 0.5, 0.5], [0.0, 1.0, None])
    assert winner.contour([0.0, 1.0], [0.0, 1.0], [[1.0, 1.0], [1.0, 1.0]]) == ([], [])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (figures.Confusion(title="t", classes=["a", "b"], counts=[[1, 2]]), "not 2 x 2"),
        (figures.Pictures(title="t", height=2, width=2, channels=1,
                          pictures=[figures.Picture(pixels="AAAA", label="")]), "3 bytes, not 4"),
        (figures.Pictures(title="t", height=2, width=2, channels=1,
                          pictures=[figures.Picture(pixels="?", label="")]), "not base64"),
        (figures.Boundary(title="t", x=[1], y=[1], scores=[], points_x=[], points_y=[],
                          labels=[]), "not 1 x 1"),
        (figures.Boundary(title="t", x=[], y=[], scores=[], points_x=[1], points_y=[],
                          labels=[]), "do not have an x, a y and a label"),
        (figures.Scatter(title="t", x_title="", y_title="", x=[1], y=[]), "not as many x as y"),
        (figures.Scatter(title="t", x_title="", y_title="", x=[1], y=[1], y_error=[1, 2]),
         "not as many error bars"),
    ],
)  # fmt: skip
def test_a_figure_that_contradicts_itself_is_named(wrong: figures.Figure, why: str) -> None:
    block = winner.block_of(wrong)
    assert isinstance(block, Paragraph)
    assert block.tone == "bad"
    assert why in block.text


# -- the page --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trials", [0, 1, 2, 3, 12, 80])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_every_plot_says_what_it_shows_and_its_series_are_whole(
    trials: int, direction: str
) -> None:
    data = page_data(a_search(trials, direction=direction), ABOUT)
    for section in data["sections"]:
        for block in section["blocks"]:
            for plot in block.get("plots", [block] if block["kind"] == "plot" else []):
                assert plot["alt"]
                for series in (one for chart in plot["charts"].values() for one in chart["series"]):
                    x, y = (data["lists"][at] if isinstance(at, int) else at
                            for at in (series.get("x"), series.get("y")))  # fmt: skip
                    assert series["kind"] in ("cells", "band", "plane") or len(x) == len(y)


def test_what_several_charts_of_a_plot_have_in_common_is_written_once() -> None:
    data = page_data(a_search(12), ABOUT)
    (curves,) = (one for one in data["sections"] if one["key"] == "curves")
    row = next(block for block in curves["blocks"] if block["kind"] == "row")
    places = [
        [(one["x"], one["y"]) for one in chart["series"] if one["said"].startswith("trial")]
        for chart in row["plots"][0]["charts"].values()
    ]
    assert len(places) > 2
    assert {frozenset(one) for one in places} == {frozenset(places[0])}
    assert len(set(map(str, data["lists"]))) == len(data["lists"])


def page_of(made: StudyData) -> str:
    return frozen_page("t", page_data(made, ABOUT))


def test_only_the_pages_own_scripts_may_run_and_nothing_may_be_loaded() -> None:
    page = page_of(a_search(12))
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0])
    rules = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert rules["default-src"] == "'none'"
    scripts = re.findall(r"<script>", page)
    assert len(re.findall(r"'sha256-[\w+/=]{44}'", rules["script-src"])) == len(scripts)
    assert "unsafe" not in rules["script-src"]


def test_data_of_a_page_cannot_end_its_block() -> None:
    evil = "</script><!-- <script>"
    page = frozen_page(evil, {"name": evil})
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page)
    assert json.loads(data) == {"name": evil}
    assert evil not in page


def test_a_page_is_the_same_each_time_it_is_made() -> None:
    assert page_of(a_search(40)) == page_of(a_search(40))


def test_a_page_says_when_where_and_by_what_it_was_made() -> None:
    assert page_data(a_search(3), ABOUT)["about"] == {**ABOUT, "id": "s1"}


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lab with a study of six trials that really ran."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.write_space(params={"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": 4,
                            "pause": 0.0})  # fmt: skip
    done = lab.run("master", "--space", "space.json", "--workers", "1", "--objective",
                   "train:train", "--plain")  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield lab
    lab.end()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A share with a study, of which no worker has run anything."""
    made = Store(Folder(tmp_path))
    made.create(a_study({"x": {"type": "float", "low": 0.0, "high": 1.0}}))
    return made


def put(store: Store, folder: Path, name: AttemptName, file: AttemptFile) -> None:
    path = folder / name.seen_path
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [file.trial, file.claim, *file.reports, file.result]
    path.write_bytes(b"".join(encode(line) for line in lines if line is not None))


def test_curves_of_counted_trials_and_attempts_that_were_given_up_are_read(
    store: Store, tmp_path: Path
) -> None:
    ended = [
        counted(0, 0.5, params={"x": 0.1}, steps=12, worker="w-1-a"),
        counted(1, 0.6, params={"x": 0.2}, steps=12, worker="w-1-a", outcome=Outcome.PRUNED),
        counted(2, 0.7, params={"x": 0.3}, steps=12, worker="w-1-a"),  # its file is gone
    ]
    append_history(store, *ended)
    for one in ended[:2]:
        name = AttemptName.counted(one.key)
        put(store, tmp_path, name, a_file(one.trial, "w-1-a", 5.0, curve(0.5, 10.0)))
    lost = AttemptName(3, 1, worker="w-2-b", state=State.LOST)
    trial = counted(3, None, params={"x": 0.4}).trial
    put(store, tmp_path, lost, a_file(trial, "w-2-b", 5.0, curve(0.5, 10.0)[:2]))
    bad = tmp_path / AttemptName(4, 1, worker="w-2-b", state=State.LOST).seen_path
    bad.write_text("not a record")
    made = read_study(store)
    assert {number: len(reports) for number, reports in made.curves.items()} == {0: 12, 1: 12}
    assert {name.trial: file and len(file.reports) for name, file in made.given_up.items()} == {
        3: 2,
        4: None,
    }


def test_of_many_trials_few_files_are_read(store: Store, tmp_path: Path) -> None:
    many = [counted(i, i / 1000, params={"x": i / 1000}, steps=12) for i in range(1000)]
    append_history(store, *many)
    for one in many:
        name = AttemptName.counted(one.key)
        put(store, tmp_path, name, a_file(one.trial, one.worker, 5.0, curve(0.5, 10.0)[:2]))
    made = read_study(store)
    assert len(made.files) == 300
    assert set(range(940, 1000)) <= set(made.files)
    assert made.sampled
    assert "300 of the 1,000 trials" in said_in(curves.section(made, ["x"]))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encode_document(figures.Figures(figures=some_figures()[:1])), 1),
        (b"{}", "cannot be used: it has no checksum"),
        (None, 0),
    ],
)
def test_figures_of_the_winners_test_are_read(
    store: Store, tmp_path: Path, content: bytes | None, expected: int | str
) -> None:
    best = counted(7, 0.9, params={"x": 0.5})
    test = counted(7, None, params={"x": 0.5}, purpose=Purpose.TEST)
    append_history(store, best, test)
    folder = tmp_path / "artifacts" / "000007.1"
    folder.mkdir()
    if content is not None:
        (folder / "figures.json").write_bytes(content)
    made = read_study(store)
    if isinstance(expected, str):
        assert expected in " ".join(made.problems)
    else:
        assert sum(map(len, made.figures.values())) == expected
        assert list(made.problems) == []


def test_a_file_where_the_artifacts_should_be_is_told_and_does_no_harm(
    store: Store, tmp_path: Path
) -> None:
    append_history(store, counted(7, 0.9, params={"x": 0.5}))
    append_history(store, counted(7, None, params={"x": 0.5}, purpose=Purpose.TEST))
    (tmp_path / "artifacts" / "000007.1").write_text("")
    assert "cannot be used" in " ".join(read_study(store).problems)


def test_the_command_writes_one_file_named_after_the_study(finished: Lab) -> None:
    done = finished.run("report")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "wrote space-report.html; open it in a browser\n"
    text = (finished.folder / "space-report.html").read_text()
    assert "Learning curves of 6 of the 6 trials" in text
    assert "6 trials counted (6 complete)" in text
    assert sorted(p.name for p in finished.folder.glob(".space*")) == []


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("missing/r.html", "cannot write missing/r.html: there is no folder "),
        ("logs", "logs is a folder: name a file in it with --out"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(finished: Lab, out: str, why: str) -> None:
    done = finished.run("report", "--out", out)
    assert done.returncode == 2
    assert done.stderr.startswith(f"distune: {why}")
    assert sorted(p.name for p in finished.folder.glob(".*")) == []


def test_a_parameter_that_is_not_there_is_a_mistake(finished: Lab) -> None:
    done = finished.run("report", "--color-by", "y")
    assert done.returncode == 2
    assert done.stderr == (
        "distune: --color-by: space has no parameter 'y'; there are x, steps, pause\n"
    )
