"""`--warm-start`: a study that begins with what another one has found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distune.errors import UserError
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.staged import make_sampler
from distune.search.warm_start import warm_start
from distune.study.study import Study, WarmStart
from distune.study.trial import Outcome
from tests.conftest import Lab
from tests.histories import counted, study

X = {"type": "float", "low": 0.0, "high": 1.0}
FIELDS: dict[str, Any] = {"objective": "t:t", "direction": "minimize", "metric": "loss"}


def a_study(params: dict[str, Any], sampler: Any = "tpe", **fields: Any) -> Study:
    return study(params=params, sampler=sampler, **{**FIELDS, **fields})


def found(params: dict[str, Any], *results: tuple[dict[str, Any], Any], **fields: Any) -> History:
    """Another study, over; `...` in the place of a value is a failure."""
    history = History(a_study(params, "random", name="old", **fields))
    for number, (setting, value) in enumerate(results):
        outcome = Outcome.FAILED if value is ... else Outcome.COMPLETE
        value = None if value is ... else value
        history.add(counted(number, setting, value, outcome=outcome))
    return history


def taken(of: Study, other: History) -> tuple[WarmStart, list[str]]:
    return warm_start(of, make_sampler(of), other)


def test_what_is_of_the_new_space_is_taken_over_and_the_rest_is_named() -> None:
    old = found(
        {"x": {**X, "high": 2.0}, "a": ["s", "t"], "e": 3, "more": X},
        ({"x": 0.5, "a": "s", "e": 3, "more": 0.1}, 4.0),
        ({"x": 1.5, "a": "s", "e": 3, "more": 0.2}, 3.0),
        ({"x": 0.2, "a": "t", "e": 3, "more": 0.3}, 2.0),
        ({"x": 0.3, "a": "s", "e": 3, "more": 0.4}, ...),
        ({"x": 0.4, "a": "s", "e": 3, "more": 0.5}, 1.0),
    )
    warm, lines = taken(a_study({"x": X, "a": ["s", "u"], "e": 5}), old)
    assert [(one.params, one.value) for one in warm.results] == [
        ({"x": 0.5, "a": "s", "e": 5}, 4.0),
        ({"x": 0.4, "a": "s", "e": 5}, 1.0),
    ]
    assert lines == [
        "warm start: 2 results of old; 2 are not of this space (a: 1, x: 1)",
        "warm start: e was 3 in old, and is 5 here",
        "warm start: old searched more, too: left out here",
    ]


def test_a_parameter_that_was_not_there_before_fits_nothing_unless_it_need_not_be_there() -> None:
    old = found({"x": X, "a": ["s", "t"]}, ({"x": 0.5, "a": "s"}, 4.0), ({"x": 0.1, "a": "t"}, 2.0))
    new = {"x": X, "a": ["s", "t"], "m": {**X, "when": {"a": "s"}}}
    warm, lines = taken(a_study(new), old)
    assert [one.params for one in warm.results] == [{"x": 0.1, "a": "t"}]
    assert lines == ["warm start: 1 results of old; 1 are not of this space (no m: 1)"]


def test_repeats_are_taken_over_as_their_mean() -> None:
    old = History(a_study({"x": X}, "random", name="old", repeats=2))
    for number, value in enumerate((1.0, 2.0)):
        old.add(counted(number, {"x": 0.5}, value))
    (one,) = taken(a_study({"x": X}), old)[0].results
    assert one.value == 1.5


@pytest.mark.parametrize(
    ("new", "old", "why"),
    [
        ({"sampler": "random"}, {}, "random search learns from no results"),
        ({"direction": "maximize"}, {}, "old is to minimize loss, and this study to maximize loss"),
        ({"metric": "y"}, {}, "old is to minimize loss, and this study to minimize y"),
        ({"params": {"z": X}}, {}, r"no result of old is of this space \(no z: 1\)"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    new: dict[str, Any], old: dict[str, Any], why: str
) -> None:
    with pytest.raises(UserError, match=why):
        taken(a_study(**{"params": {"x": X}, **new}), found({"x": X}, ({"x": 0.5}, 1.0), **old))


@pytest.mark.parametrize(
    "sampler", ["tpe", "gp", "cmaes", {"name": "nsga2", "population_size": 12}]
)
def test_a_sampler_begins_where_the_other_study_had_come_to(sampler: Any) -> None:
    """The best was at 0.8, and a search without it begins anywhere."""
    settings = [{"x": i / 60, "y": i % 7 / 7} for i in range(60)]
    old = found({"x": X, "y": X}, *((s, (s["x"] - 0.8) ** 2) for s in settings))
    cold = a_study({"x": X, "y": X}, sampler)
    warm = cold.model_copy(update={"warm_start": taken(cold, old)[0]})
    far = {}
    for of in (cold, warm):
        near = []
        for seed in range(16):
            of = of.model_copy(update={"seed": seed})
            first = make_sampler(of).ask(Question(0, History(of)))
            assert isinstance(first, Suggestion)
            near.append(abs(float(first.params["x"]) - 0.8))  # type: ignore[arg-type]
        far[of.warm_start is None] = sum(near) / len(near)
    assert far[False] < 0.85 * far[True], far


def test_a_master_begins_with_it_once_and_goes_on_without_the_other_study(lab: Lab) -> None:
    lab.write_space("old.json", trials=4)
    lab.worker()
    assert lab.master(space="old.json").wait(60) == 0
    lab.write_space("new.json", trials=3, sampler="tpe")
    master = lab.master("--warm-start", "old", "--plain", space="new.json")
    lab.wait_for_words(master, "warm start: 4 results of old")
    lab.worker("--study", "new")
    assert master.wait(60) == 0
    frozen = json.loads((lab.logs / "new/study.json").read_text())
    assert len(frozen["warm_start"]["results"]) == 4
    (lab.logs / "old").rename(lab.folder / "gone")
    again = lab.run("master", "--space", "new.json", "--warm-start", "old", "--plain")
    assert again.returncode == 0, again.stderr
    other = lab.run("master", "--space", "new.json", "--study", "other", "--warm-start", "old")
    assert other.returncode == 2
    assert "no study 'old'" in other.stderr
    assert not (lab.logs / "other/study.json").exists()
