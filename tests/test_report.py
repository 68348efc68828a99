"""What a report says and draws, against numbers worked out by hand; and the command."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from distune.page.curves import sample
from distune.report import (
    cost,
    curve_data,
    curves,
    heat_map,
    importance,
    parameters,
    progress,
    summary,
    winner,
    workers,
)
from distune.report.blocks import Choice, Paragraph, PictureGrid, Plot, Row, Section, Table
from distune.report.groups import Group, classes, even_classes, groups_of
from distune.report.plotting import safe_figure
from distune.report.reading import read_study
from distune.report.study_data import StudyData, value_of
from distune.report.writing import all_sections, html_page
from distune.share.folder import Folder
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile, encode, encode_document
from distune.share.store import Store
from distune.study import figures
from distune.study.space import CategoricalParameter
from distune.study.trial import Failure, Outcome, Purpose, Report, Result
from tests.conftest import Lab
from tests.histories import append_history
from tests.report_studies import (
    a_file,
    a_history,
    a_search,
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


def figures_of(section: Section | None) -> list[dict[str, Any]]:
    return [figure for plot in plots_of(section) for figure in plot.figures.values()]


def words_of(section: Section | None) -> str:
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


def test_only_a_random_search_is_reshuffled() -> None:
    def names(sampler: str) -> set[str]:
        made = a_search(20, sampler=sampler, params={})
        return {
            trace["name"]
            for figure in figures_of(progress.section(made))
            for trace in figure["data"]
        }

    assert "median order" in names("random")
    assert names("grid") == {"as it happened"}


def test_a_search_is_drawn_as_it_happened_in_trials_training_time_and_time_of_the_study() -> None:
    trials = [
        counted(i, value, seconds=10.0, elapsed=elapsed)
        for i, (value, elapsed) in enumerate([(0.5, 11.0), (0.4, 12.0), (0.8, 30.0)])
    ]
    against_trials, training, running = figures_of(
        progress.section(study_data(a_study(sampler="grid"), trials))
    )
    assert [(t["x"], t["y"]) for t in against_trials["data"]] == [([1, 3], [0.5, 0.8])]
    assert [(t["x"], t["y"]) for t in training["data"]] == [([10, 30], [0.5, 0.8])]
    assert [(t["x"], t["y"]) for t in running["data"]] == [([11, 30], [0.5, 0.8])]


def test_a_few_diverged_trials_do_not_squeeze_the_others() -> None:
    trials = [counted(i, 0.1 if i == 7 else 0.98 + i / 10_000) for i in range(100)]
    figure = figures_of(progress.section(study_data(a_study(), trials)))[0]
    low, high = figure["layout"]["yaxis"]["range"]
    assert 0.97 < low < 0.985
    assert 0.9899 < high < 1


# -- words and tables ------------------------------------------------------------------------------


def test_the_summary_says_what_was_found() -> None:
    trials = [
        counted(i, value, params={"lr": lr}, repeat=i % 2, elapsed=60.0 * i)
        for i, (lr, value) in enumerate([(0.1, 0.9), (0.1, 0.8), (0.2, 0.5), (0.2, 0.5)])
    ]
    words = words_of(summary.summary(study_data(a_study({"lr": [0.1, 0.2]}, repeats=2), trials)))
    assert "0.8500 ± 0.0707 (standard deviation over 2 repeats): lr 0.1" in words
    assert "4 trials counted (4 complete), by 1 worker in 3m00s, with 40s of training." in words


def test_the_table_has_a_hundred_rows_and_says_how_many_there_are() -> None:
    (table,) = summary.ranking(a_search(1000)).blocks  # type: ignore[union-attr]
    assert isinstance(table, Table)
    assert len(table.rows) == 100
    assert "of 1,000" in table.caption
    assert len({len(row) for row in [table.header, *table.rows]}) == 1
    assert table.rows[0][0] == "1"


def test_failures_are_told_with_what_was_tried() -> None:
    failure = Failure(message="ValueError: <no>")
    trials = [counted(4, None, outcome=Outcome.FAILED, failure=failure, params={"lr": 0.5})]
    (table,) = summary.failures(study_data(a_study({"lr": [0.5, 1.0]}), trials)).blocks  # type: ignore[union-attr]
    assert isinstance(table, Table)
    assert table.rows == [["4", "failed", "ValueError: <no>", "gpu7-812-4f2a9c", "lr 0.5"]]


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


def test_colours_are_for_the_parameter_that_is_asked_for() -> None:
    def names(*by: str) -> set[str]:
        section = curves.section(a_search(80), by)
        return {trace["name"] for figure in figures_of(section) for trace in figure["data"]}

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
            assert (list(plot.figures), plot.chosen_by) == (choice.options, choice.key)
            assert "adam" in plot.alts[0]
            assert "adam" not in plot.alts[1]


def test_one_parameter_alone_is_no_choice() -> None:
    section = curves.section(a_search(80), ["optimizer"])
    assert section is not None
    assert not any(isinstance(block, Choice) for block in section.blocks)
    assert "One colour for each value of optimizer" in words_of(section)


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


def test_stages_are_a_table_of_what_each_has_found() -> None:
    section = summary.stages(a_staged_search())
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert table.rows == [
        ["1", "rate", "over", "3/3", "0.8000", "lr 2"],
        ["2", "depth", "over", "2/2", "0.9000", "n 2"],
    ]
    assert summary.stages(a_search(10)) is None


def test_the_curves_of_a_staged_search_have_the_colours_of_its_stages_first() -> None:
    made = a_staged_search()
    (section,) = (one for one in all_sections(made) if one.key == "curves")
    (choice,) = (block for block in section.blocks if isinstance(block, Choice))
    assert choice.options[0] == "stage"
    data = figures_of(section)[0]["data"]
    assert {(trace["name"], trace["text"]) for trace in data if "trial" in trace["text"]} == {
        ("rate", "trial 0"), ("rate", "trial 1"), ("rate", "trial 2"),
        ("depth", "trial 3"), ("depth", "trial 4"),
    }  # fmt: skip
    wanted = next(one for one in all_sections(made, "n") if one.key == "curves")
    (choice,) = (block for block in wanted.blocks if isinstance(block, Choice))
    assert choice.options[:2] == ["n", "stage"]


def test_a_few_curves_are_drawn_one_by_one_and_many_as_medians_with_bands() -> None:
    few = figures_of(curves.section(a_search(10), ["optimizer"]))[0]["data"]
    assert sum("trial" in trace.get("text", "") for trace in few) == 9
    many = figures_of(curves.section(a_search(300), ["optimizer"]))[0]["data"]
    assert len(many) == 3 * 3
    assert [trace.get("fill") for trace in many[:3]] == [None, "tonexty", None]


def test_a_loss_over_decades_has_a_log_scale_and_an_accuracy_has_none() -> None:
    def scale(metric: str, direction: str) -> Any:
        study = a_study({"x": [1, 2]}, metric=metric, direction=direction)
        one = counted(0, 0.9, params={"x": 1}, steps=3)
        reports = [Report(step=i, metrics={metric: 10.0**-i}, seconds=1.0 * i) for i in (1, 2, 3)]
        made = study_data(study, [one], files={0: a_file(one.trial, "w", 0.0, reports)})
        return figures_of(curves.section(made, ["x"]))[0]["layout"]["yaxis"].get("type")

    assert scale("val_loss", "minimize") == "log"
    assert scale("val_accuracy", "maximize") is None


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
    made = a_search(200)
    found = importance.importance_of(made)
    weights = importance.weights(found)
    assert next(iter(weights)) == "lr"
    assert "epochs" not in weights  # a constant
    section = importance.section(made, found)
    assert "stand out for val_accuracy by lr; the rest may be chance" in words_of(section)
    (plot,) = plots_of(section)
    assert "on 185 configurations with a complete trial: the best 19" in plot.caption


@pytest.mark.parametrize(
    ("values", "why"),
    [([0.1] * 19, "19 configurations with a complete trial: too few"), ([0.1] * 30, "the same")],
)
def test_why_nothing_is_said_of_importance_is_said(values: list[float], why: str) -> None:
    made = study_data(a_study(), [counted(i, value) for i, value in enumerate(values)])
    found = importance.importance_of(made)
    assert importance.weights(found) == {}
    assert why in words_of(importance.section(made, found))


def test_few_values_have_a_class_each_and_many_numbers_intervals_of_one_length() -> None:
    assert classes({1: 3, 2: 1, 3: 3}, None) == [Group("1", [2]), Group("3", [1, 3])]
    many = classes({i: i for i in range(17)}, None)
    assert [one.label for one in many][::7] == ["0 to 2", "14 to 16"]
    assert [one.trials for one in many] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11],
                                            [12, 13], [14, 15, 16]]  # fmt: skip
    decades = classes({i: 10.0 ** (i / 4 - 2) for i in range(17)}, None)
    assert [one.label for one in decades][::7] == ["0.01 to 0.032", "32 to 100"]
    flags = classes({1: True, 2: False, 3: None}, None)
    assert sorted(one.label for one in flags) == ["false", "null", "true"]
    words = classes({i: f"w{i % 20}" for i in range(45)}, None)
    assert len(words) == 10
    assert words[-1].label == "others"


def test_choices_stand_in_the_order_of_the_study() -> None:
    spec = CategoricalParameter(type="categorical", choices=["low", "middle", "high", "highest"])
    found = classes({1: "high", 2: "low", 3: "high", 4: "middle"}, spec)
    assert [one.label for one in found] == ["low", "middle", "high"]
    constant = CategoricalParameter(type="categorical", choices=[1])
    found = classes({i: i / 10 for i in range(17)}, constant)  # tried by a stage
    assert found[0].label == "0 to 0.2"


def test_a_cell_of_the_heat_map_has_what_its_trials_reached() -> None:
    x = classes({0: "a", 1: "a", 2: "b", 3: "a", 4: "b"}, None)
    y = classes({0: 1, 1: 1, 2: 1, 3: 2}, None)  # trial 4 has no such parameter
    found = heat_map.cells(x, y, {0: 0.2, 1: 0.4, 2: 0.9, 3: 0.5, 4: 0.7})
    assert found == [[[0.2, 0.4], [0.9]], [[0.5], []]]


def test_every_two_parameters_have_their_heat_map() -> None:
    made = a_search(60)
    (pairs,) = [p for p in plots_of(parameters.section(made, {})) if "Heat map" in p.title]
    assert len(pairs.figures) == 6  # of four that vary
    assert "lr and batch_size" in pairs.figures


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
    assert plots_of(section) == []
    assert "is not known" in words_of(section)


def test_many_attempts_are_drawn_as_shares_of_time() -> None:
    (plot,) = plots_of(workers.section(a_search(2000)))
    shares, crosses = plot.figures[""]["data"]
    assert shares["type"] == "heatmap"
    assert all(-1e-9 <= share <= 1 + 1e-9 for row in shares["z"] for share in row)
    assert len(crosses["x"]) == 40  # lost ones are still seen, each


# -- what a workload leaves ------------------------------------------------------------------------


def test_each_kind_of_figure_is_drawn() -> None:
    blocks = [winner.block_of(one) for one in some_figures()]
    assert [type(block).__name__ for block in blocks] == ["Plot", "PictureGrid", "Plot", "Plot"]
    assert "300 of 348 are on the diagonal" in blocks[0].alt  # type: ignore[union-attr]


def test_a_picture_keeps_its_pixels() -> None:
    pixels = bytes(range(12))
    block = winner.block_of(
        figures.Pictures(
            title="t", height=2, width=2, channels=3,
            pictures=[figures.Picture(pixels=base64.b64encode(pixels).decode(), label="<b>")],
        )
    )  # fmt: skip
    assert isinstance(block, PictureGrid)
    image = Image.open(io.BytesIO(block.pictures[0][0]))
    assert (image.size, image.tobytes()) == ((2, 2), pixels)


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


def page_of(made: StudyData) -> str:
    return html_page("t", "f", all_sections(made), "plotly()")


@pytest.mark.parametrize("trials", [0, 1, 2, 3, 12, 80])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_every_plot_is_one_that_plotly_knows(trials: int, direction: str) -> None:
    for section in all_sections(a_search(trials, direction=direction)):
        for plot in plots_of(section):
            assert plot.alt
            for figure in plot.figures.values():
                safe = json.loads(json.dumps(safe_figure(figure), allow_nan=False))
                go.Figure(_with_colours(safe))


def _with_colours(tree: Any) -> Any:
    match tree:
        case dict():
            return {key: _with_colours(value) for key, value in tree.items()}
        case list():
            return [_with_colours(value) for value in tree]
        case "@scale":
            return "Viridis"
        case str() if re.fullmatch(r"@(s?[0-9]+~?|ink|muted|grid|paper|bad)", tree):
            return "#123456"
    return tree


def test_only_the_pages_own_scripts_may_run_and_nothing_may_be_loaded() -> None:
    page = page_of(a_search(12))
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0])
    rules = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert len(re.findall(r"'sha256-[\w+/=]{44}'", rules["script-src"])) == 2
    assert "unsafe" not in rules["script-src"]


def test_no_string_reaches_plotly_as_markup() -> None:
    tree = {"name": '<a href="x">&', "text": ["two\nlines", NAN, math.inf, 1.5, None, True]}
    assert safe_figure({**tree, "hovertemplate": "%{x}<extra></extra>"}) == {
        "name": '&lt;a href="x"&gt;&amp;',
        "text": ["two<br>lines", None, None, 1.5, None, True],
        "hovertemplate": "%{x}<extra></extra>",
    }


def test_data_of_a_plot_cannot_end_its_block() -> None:
    figure = {"data": [{"hovertemplate": "</script><!-- <script>"}], "layout": {}}
    all_sections = [Section("k", "t", [Plot("t", {"": figure}, "a")])]
    page = html_page("t", "f", all_sections, "plotly()")
    assert page.count("<script") == page.count("</script>") == 3
    data = re.findall(r'<script type="application/json" id="figure-0">(.*?)</script>', page)
    assert json.loads(data[0]) == {"figures": [figure], "lists": []}


def test_what_several_figures_of_a_plot_have_in_common_is_written_once() -> None:
    curve = {"x": [1, 2, 3], "y": [0.5, None, 0.25]}
    figures = {
        name: {"data": [{**curve, "line": {"color": hue}}], "layout": {"legend": {"x": 0}}}
        for name, hue in (("a", "@0"), ("b", "@1"))
    }
    all_sections = [Section("k", "t", [Plot("t", figures, "a")])]
    page = html_page("t", "f", all_sections, "plotly()")
    (data,) = re.findall(r'<script type="application/json" id="figure-0">(.*?)</script>', page)
    found = json.loads(data)
    assert found["lists"] == [[1, 2, 3], [0.5, None, 0.25]]
    assert [one["data"][0]["line"]["color"] for one in found["figures"]] == ["@0", "@1"]
    assert [(one["data"][0]["x"], one["data"][0]["y"]) for one in found["figures"]] == [(0, 1)] * 2


def test_a_page_is_the_same_each_time_it_is_made() -> None:
    assert page_of(a_search(40)) == page_of(a_search(40))


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
    assert "300 of the 1,000 trials" in words_of(curves.section(made, ["x"]))


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
        assert expected in words_of(summary.summary(made))
    else:
        assert sum(map(len, made.figures.values())) == expected
        assert list(made.problems) == []


def test_a_file_where_the_artifacts_should_be_is_told_and_does_no_harm(
    store: Store, tmp_path: Path
) -> None:
    append_history(store, counted(7, 0.9, params={"x": 0.5}))
    append_history(store, counted(7, None, params={"x": 0.5}, purpose=Purpose.TEST))
    (tmp_path / "artifacts" / "000007.1").write_text("")
    assert "cannot be used" in words_of(summary.summary(read_study(store)))


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


@pytest.mark.parametrize("missing", ["plotly", "optuna", "jinja2"])
def test_what_is_not_installed_is_named_with_the_remedy(finished: Lab, missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['distune', 'report']\n"
        "from distune.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=finished.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'distune[report]'" in done.stderr
