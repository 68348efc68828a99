"""Samplers: the same settings whenever asked (P5), distributed as the space file says."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.errors import UserError
from distune.search.drawing import Coordinates, draw, position
from distune.search.ranking import History
from distune.search.sampler import Nothing, Question, Sampler, Suggestion
from distune.search.samplers.grid import GridSampler
from distune.search.samplers.listed import ListSampler
from distune.search.samplers.random import RandomSampler
from distune.search.staged import make_sampler
from distune.share.records import encode_document
from distune.space_file.freeze import freeze, limits_of
from distune.space_file.preview import check_it_can_start, preview
from distune.space_file.read import parse_space_file
from distune.study.space import Space
from distune.study.study import Study
from distune.study.trial import Scalar, trial_seed
from tests.histories import suggested
from tests.sampler_contract import SamplerContract

DRAWS = 5000
#: A sample that is drawn rightly is further away than this once in a thousand times.
KS_LIMIT = 1.95 / math.sqrt(DRAWS)

SPACE: dict[str, Any] = {
    "lr": {"type": "float", "low": 0.01, "high": 0.32, "log": True},
    "optimizer": ["sgd", "adam"],
    "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
    "n_filters": {"type": "int", "low": 4, "high": 24},
    "epochs": 5,
}
FINITE: dict[str, Any] = {
    "optimizer": ["sgd", "adam"],
    "momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.3,
                 "when": {"optimizer": "sgd"}},
    "n_filters": {"type": "int", "low": 4, "high": 8, "step": 2},
    "epochs": 5,
}  # fmt: skip


def space(**params: Any) -> Space:
    return Space.model_validate({"params": params})


def study(**fields: Any) -> Study:
    sampler = {} if "stages" in fields else {"sampler": "random"}
    named = {"objective": "train:train", "direction": "minimize", **sampler, **fields}
    file = parse_space_file(json.dumps(named), "space.json")
    return freeze(file, name="n", study_id="s", lease=20.0, created=0.0)


def draws(spec: Any, count: int = DRAWS, seed: int = 0) -> list[Any]:
    sampler = RandomSampler(space(x=spec), seed)
    return [(suggested(sampler, i) or {})["x"] for i in range(count)]


def distance(values: Sequence[float], cdf: Callable[[float], float]) -> float:
    """Kolmogorov and Smirnov's: how far the sample's distribution is from `cdf`."""
    count = len(values)
    return max(
        max((i + 1) / count - cdf(value), cdf(value) - i / count)
        for i, value in enumerate(sorted(values))
    )


def deviation(values: Sequence[Any], expected: dict[Any, float]) -> float:
    """The largest deviation of a frequency from what is expected, in standard errors."""
    counts, total = Counter(values), len(values)
    assert counts.keys() <= expected.keys()
    return max(
        abs(counts[value] - total * p) / math.sqrt(total * p * (1 - p))
        for value, p in expected.items()
    )


# -- what every sampler promises -------------------------------------------------------------------


class TestRandom(SamplerContract):
    def study(self) -> Study:
        return study(params=SPACE, seed=3)


class TestGrid(SamplerContract):
    def study(self) -> Study:
        return study(params=FINITE, sampler="grid", repeats=2)

    def params_that_it_cannot_sample(self) -> dict[str, Any]:
        return dict(space(**SPACE).params)


class TestList(SamplerContract):
    def study(self) -> Study:
        settings = [{"lr": i / 100} for i in range(1, 20)]
        return study(params={"epochs": 5}, sampler="list", settings=settings)


class TestSobol(SamplerContract):
    def study(self) -> Study:
        return study(params=SPACE, sampler="sobol", seed=3)


WITH_ALL_KINDS: dict[str, Any] = {
    **SPACE,
    "rate": {"type": "float", "low": 0.1, "high": 0.7, "step": 0.1},
    "batch": {"type": "int", "low": 16, "high": 256, "log": True},
    "flag": [True, False, 1, None],
}


class TestTpe(SamplerContract):
    def study(self) -> Study:
        return study(
            params=WITH_ALL_KINDS,
            sampler={"name": "tpe", "n_startup_trials": 4},
            exclude=[{"optimizer": "adam", "rate": [0.1, 0.2]}],
            seed=3,
        )


class TestGp(SamplerContract):
    def study(self) -> Study:
        space = {"lr": SPACE["lr"], "width": {"type": "int", "low": 1, "high": 64}}
        return study(params=space, sampler={"name": "gp", "n_startup_trials": 9}, repeats=2)


class TestNsga2(SamplerContract):
    def study(self) -> Study:
        return study(
            params=WITH_ALL_KINDS,
            sampler={"name": "nsga2", "population_size": 4},
            exclude=[{"optimizer": "adam", "rate": [0.1, 0.2]}],
            repeats=2,
            seed=3,
        )


RANGES: dict[str, Any] = {
    "lr": SPACE["lr"],
    "layers": {"type": "int", "low": 1, "high": 3},
    "dropout": {"type": "float", "low": 0.0, "high": 0.9, "when": {"layers": [2, 3]}},
    "rate": WITH_ALL_KINDS["rate"],
    "batch": WITH_ALL_KINDS["batch"],
    "epochs": 5,
}


class TestCmaEs(SamplerContract):
    def study(self) -> Study:
        exclude = [{"layers": 3, "rate": [0.1, 0.2]}]
        sampler = {"name": "cmaes", "population_size": 4}
        return study(params=RANGES, sampler=sampler, exclude=exclude, seed=3)

    def params_that_it_cannot_sample(self) -> dict[str, Any]:
        return dict(space(**SPACE).params)


class TestEnqueued(SamplerContract):
    def study(self) -> Study:
        wanted = [{"lr": 0.1, "optimizer": "sgd"}, {"n_filters": 24}, {"optimizer": "adam"}]
        sampler = {"name": "tpe", "n_startup_trials": 4}
        return study(params=SPACE, sampler=sampler, enqueue=wanted)


class TestStages(SamplerContract):
    def study(self) -> Study:
        return study(
            params={"lr": 0.1, "batch": 32},
            stages=[
                {"name": "rate", "params": {"lr": [0.1, 0.2, 0.3]}},
                {"name": "size", "params": {"batch": [16, 32]}},
                {
                    "name": "drawn",
                    "params": {"lr": {"type": "float", "low": 0.1, "high": 1.0}},
                    "sampler": "random",
                    "trials": 9,
                },
            ],
        )


PINNED: dict[int, dict[str, Any]] = {
    0: {"lr": 0.04701627795186848, "optimizer": "adam", "n_filters": 16, "epochs": 5},
    1: {
        "lr": 0.20870158311421955,
        "optimizer": "sgd",
        "momentum": 0.33998913835980515,
        "n_filters": 20,
        "epochs": 5,
    },
    1000: {"lr": 0.059837822189888215, "optimizer": "adam", "n_filters": 23, "epochs": 5},
}
# -- random ----------------------------------------------------------------------------------------


def test_random_settings_are_the_same_on_every_machine_and_in_every_release() -> None:
    sampler = make_sampler(study(params=SPACE, seed=3))
    for i, params in PINNED.items():
        # The last bits of a logarithm are the platform's own.
        assert suggested(sampler, i) == {**params, "lr": pytest.approx(params["lr"], rel=1e-12)}


def test_another_seed_and_another_index_give_another_setting() -> None:
    drawn = {seed: draws(SPACE["lr"], count=50, seed=seed) for seed in (0, 1, 10, 11)}
    everything = list(itertools.chain(*drawn.values()))
    assert len(set(everything)) == len(everything)


def test_random_search_never_ends() -> None:
    assert suggested(RandomSampler(space(**SPACE), 0), 10**9) is not None


def test_a_float_is_uniform_over_its_range() -> None:
    values = draws({"type": "float", "low": -2.0, "high": 6.0})
    assert all(-2 <= value <= 6 for value in values)
    assert distance(values, lambda value: (value + 2) / 8) < KS_LIMIT


def test_a_log_float_is_uniform_over_orders_of_magnitude() -> None:
    values = draws({"type": "float", "low": 1e-5, "high": 1.0, "log": True})
    assert all(1e-5 <= value <= 1 for value in values)
    assert distance(values, lambda value: 1 + math.log10(value) / 5) < KS_LIMIT


def test_an_int_takes_each_value_equally_often_both_ends_included() -> None:
    values = draws({"type": "int", "low": -3, "high": 6})
    assert all(type(value) is int for value in values)
    assert deviation(values, dict.fromkeys(range(-3, 7), 0.1)) < 4


def test_a_log_int_gives_each_value_its_share_of_the_logarithmic_axis() -> None:
    values = draws({"type": "int", "low": 1, "high": 16, "log": True})
    total = math.log(16.5 / 0.5)
    shares = {k: math.log((k + 0.5) / (k - 0.5)) / total for k in range(1, 17)}
    assert all(type(value) is int for value in values)
    assert deviation(values, shares) < 4


def test_a_float_with_a_step_takes_each_point_of_its_grid_equally_often() -> None:
    values = draws({"type": "float", "low": 0.1, "high": 0.5, "step": 0.1})
    assert deviation(values, dict.fromkeys([0.1, 0.2, 0.3, 0.4, 0.5], 0.2)) < 4


def test_an_int_with_a_step_stays_on_its_grid_though_high_is_not_on_it() -> None:
    values = draws({"type": "int", "low": 1, "high": 9, "step": 3})
    assert deviation(values, dict.fromkeys([1, 4, 7], 1 / 3)) < 4


def test_each_choice_comes_equally_often_whatever_its_type() -> None:
    values = draws(["a", "b", None, 0.5, 7])
    assert deviation(values, dict.fromkeys(["a", "b", None, 0.5, 7], 0.2)) < 4


@pytest.mark.parametrize("kind", ["float", "int"])
@pytest.mark.parametrize("log", [True, False])
def test_a_range_of_one_value_gives_that_value(kind: str, log: bool) -> None:
    assert set(draws({"type": kind, "low": 7, "high": 7, "log": log}, count=100)) == {7}


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.booleans(), st.integers(0, 2**63 - 1))
def test_no_float_leaves_its_range(a: float, b: float, log: bool, seed: int) -> None:
    low, high = sorted((a, b))
    spec = {"type": "float", "low": low, "high": high, "log": log}
    assert all(low <= value <= high for value in draws(spec, count=10, seed=seed))


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.integers(1, 99), st.integers(0, 99), st.none() | st.integers(1, 9), st.booleans())
def test_no_int_leaves_its_range_or_grid(low: int, more: int, step: int | None, log: bool) -> None:
    spec = {"type": "int", "low": low, "high": low + more}
    spec |= {"log": True} if log else {"step": step}
    for value in draws(spec, count=20):
        assert low <= value <= low + more
        assert log or (value - low) % (step or 1) == 0


def test_parameters_are_drawn_independently() -> None:
    spec = {"type": "float", "low": 0.0, "high": 1.0}
    sampler = RandomSampler(space(x=spec, y=spec), 0)
    pairs = [tuple((suggested(sampler, i) or {}).values()) for i in range(DRAWS)]
    quarter = sum(x < 0.5 and y < 0.5 for x, y in pairs)
    assert abs(quarter / DRAWS - 0.25) < 4 * math.sqrt(0.25 * 0.75 / DRAWS)


def test_a_condition_shifts_no_other_parameter() -> None:
    always = {**SPACE, "momentum": {**SPACE["momentum"], "when": {"optimizer": ["sgd", "adam"]}}}
    with_it, without = RandomSampler(space(**always), 0), RandomSampler(space(**SPACE), 0)
    left_out = 0
    for i in range(200):
        full, conditional = suggested(with_it, i) or {}, suggested(without, i) or {}
        left_out += "momentum" not in conditional
        assert conditional == {name: full[name] for name in conditional}
        assert full.keys() - conditional.keys() <= {"momentum"}
        assert ("momentum" in conditional) is (full["optimizer"] == "sgd")
    assert 70 < left_out < 130


def test_a_condition_on_a_parameter_that_is_left_out_does_not_hold() -> None:
    sampler = RandomSampler(
        space(a=[0, 1], b={"type": "int", "low": 1, "high": 1, "when": {"a": 1}},
              c={"type": "int", "low": 1, "high": 1, "when": {"b": 1}}), 0
    )  # fmt: skip
    seen = {tuple(sorted(suggested(sampler, i) or {})) for i in range(50)}
    assert seen == {("a",), ("a", "b", "c")}


# -- grid ------------------------------------------------------------------------------------------


def everything(sampler: Sampler) -> list[dict[str, Any]]:
    settings = (suggested(sampler, i) for i in itertools.count())
    return [params for params in itertools.takewhile(lambda p: p is not None, settings) if params]


def test_a_grid_is_every_combination_once_the_last_parameter_changing_fastest() -> None:
    sampler = GridSampler(space(a=["x", "y"], b={"type": "int", "low": 1, "high": 3}, c=5))
    assert [(s["a"], s["b"], s["c"]) for s in everything(sampler)] == list(
        itertools.product("xy", [1, 2, 3], [5])
    )


def test_a_grid_leaves_out_what_has_no_effect_instead_of_repeating_itself() -> None:
    found = everything(GridSampler(space(**FINITE)))
    assert found == [
        *(
            {"optimizer": "sgd", "momentum": momentum, "n_filters": n, "epochs": 5}
            for momentum in (0.0, 0.3, 0.6, 0.9)
            for n in (4, 6, 8)
        ),
        *({"optimizer": "adam", "n_filters": n, "epochs": 5} for n in (4, 6, 8)),
    ]


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.dictionaries(st.sampled_from("abcd"), st.sets(st.integers(0, 9), min_size=1, max_size=4)))
def test_a_grid_has_as_many_settings_as_combinations(choices: dict[str, set[int]]) -> None:
    sampler = GridSampler(space(**{name: sorted(values) for name, values in choices.items()}))
    size = math.prod(map(len, choices.values()))
    found = [suggested(sampler, i) for i in range(size)]
    assert None not in found
    assert len({json.dumps(params, sort_keys=True) for params in found}) == size
    assert [suggested(sampler, size), suggested(sampler, size + 100), suggested(sampler, size)] == [
        None
    ] * 3


def test_a_grid_answers_after_it_is_exhausted() -> None:
    sampler = GridSampler(space(a=[1, 2]))
    assert [suggested(sampler, 99), suggested(sampler, 1), suggested(sampler, 0)] == [
        None,
        {"a": 2},
        {"a": 1},
    ]


def test_a_grid_over_a_continuous_range_is_refused() -> None:
    with pytest.raises(ValueError, match="x has no finite grid"):
        suggested(GridSampler(space(x={"type": "float", "low": 0, "high": 1})), 0)


_MANY: dict[str, Any] = {name: {"type": "int", "low": 0, "high": 15} for name in "abcdefghij"}


def test_a_grid_walks_none_of_what_begins_with_an_excluded_combination() -> None:
    """Fifteen sixteenths of 16^10 settings come before the first that is left."""
    excluded = [{"a": list(range(15))}, {"a": 15, "b": [0, 1, 2]}]
    sampler = GridSampler(Space.model_validate({"params": _MANY, "exclude": excluded}))
    assert suggested(sampler, 0) == {**dict.fromkeys("abcdefghij", 0), "a": 15, "b": 3}
    assert sampler.size == 13 * 16**8


def test_a_grid_answers_while_it_looks_for_what_is_hardly_there_and_goes_on_from_there() -> None:
    """Nothing but the last of its parameters says that a setting is excluded."""
    params = {**{name: {**_MANY["a"], "high": 7} for name in "abcdef"}, "z": [0, 1]}
    excluded = [{"a": [0], "z": [0, 1]}]
    sampler = GridSampler(Space.model_validate({"params": params, "exclude": excluded}))
    question = Question(0, History(study(params={})))
    answers = []
    while not isinstance(answer := sampler.ask(question), Suggestion):
        answers.append(answer)
    assert set(answers) == {Nothing.STILL_LOOKING}
    assert 2 <= len(answers) <= 8
    assert suggested(sampler, 0) == {**dict.fromkeys("abcdefz", 0), "a": 1}


def test_the_size_of_a_grid_that_cannot_be_counted_quickly_is_not_known() -> None:
    excluded = [{"a": 3, "j": 3}]
    assert GridSampler(Space.model_validate({"params": _MANY, "exclude": excluded})).size == (
        16**10 - 16**8
    )
    each = [{name: [0], "a": [0]} for name in "bcdefghij"]
    assert GridSampler(Space.model_validate({"params": _MANY, "exclude": each})).size is None
    conditional = {
        "n": {"type": "int", "low": 0, "high": 10**12},
        "x": {**_MANY["a"], "when": {"n": 7}},
    }
    assert GridSampler(space(**conditional)).size is None


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(
    st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 2), min_size=1, max_size=2),
                    min_size=1, max_size=3),
    max_size=4,
))  # fmt: skip
def test_a_grid_leaves_out_just_what_is_excluded(excluded: list[dict[str, list[int]]]) -> None:
    params = {"a": [0, 1, 2], "b": {**_MANY["b"], "high": 2, "when": {"a": [1, 2]}}, "c": [0, 1, 2]}
    whole = everything(GridSampler(space(**params)))
    sampler = GridSampler(Space.model_validate({"params": params, "exclude": excluded}))
    left = [one for one in whole if not sampler._space.excludes(one)]
    assert everything(sampler) == left
    assert sampler.size == len(left)


# -- large numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [False, True])
def test_integers_beyond_what_a_float_can_tell_apart_are_drawn_one_by_one(log: bool) -> None:
    low = 2**53 + 1
    values = draws({"type": "int", "low": low, "high": low + 4, "log": log})
    assert deviation(values, dict.fromkeys(range(low, low + 5), 0.2)) < 4


def test_all_digits_of_a_long_range_are_drawn() -> None:
    values = draws({"type": "int", "low": 0, "high": 2**63 - 1})
    assert deviation([value % 4 for value in values], dict.fromkeys(range(4), 0.25)) < 4
    assert space(x={"type": "int", "low": -(2**63), "high": 2**63 - 1}).constants == {}


# -- list ------------------------------------------------------------------------------------------


def test_a_list_is_tried_in_its_order_with_the_spaces_constants() -> None:
    sampler = ListSampler(space(epochs=5, lr=[0.1, 0.2]), 0, [{"lr": 0.2}, {"lr": 9, "epochs": 7}])
    assert everything(sampler) == [{"epochs": 5, "lr": 0.2}, {"epochs": 7, "lr": 9}]
    assert suggested(sampler, 2) is None
    assert suggested(sampler, 10**6) is None


# -- what the planner makes of them ----------------------------------------------------------------


def test_every_trial_has_a_seed_of_its_own_and_always_the_same() -> None:
    seeds = [trial_seed(0, *divmod(number, 3)) for number in range(3000)]
    assert len(set(seeds)) == 3000
    assert seeds == [trial_seed(0, *divmod(number, 3)) for number in range(3000)]
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert not set(seeds) & {trial_seed(1, *divmod(number, 3)) for number in range(3000)}


def shown(**fields: Any) -> list[str]:
    named = {"objective": "train:train", "direction": "minimize", "sampler": "random", **fields}
    text = json.dumps(named)
    limits = limits_of(parse_space_file(text, "space.json"))
    return list(preview(study(**fields), limits, samples=2))


@pytest.mark.parametrize(
    ("fields", "trials"),
    [
        ({"params": SPACE}, "random search, 50 trials"),
        ({"params": SPACE, "trials": 7}, "random search, 7 trials"),
        ({"params": SPACE, "target": 0.5}, "random search, without a limit on trials"),
        ({"params": FINITE, "sampler": "grid"}, "grid search, 15 trials"),
        ({"params": FINITE, "sampler": "grid", "trials": 4}, "grid search, 4 trials"),
        (
            {"params": FINITE, "sampler": "grid", "repeats": 3},
            "grid search, 45 trials: 3 repeats of each of 15 configurations",
        ),
        (
            {"params": SPACE, "target": 0.5, "repeats": 3},
            "random search, without a limit on trials, 3 repeats of each configuration",
        ),
        (
            {"params": {}, "sampler": "list", "settings": [{"a": 1}], "trials": 9},
            "a list of settings, 1 trials",
        ),
    ],
)
def test_a_preview_says_how_many_trials_there_will_be(fields: dict[str, Any], trials: str) -> None:
    objective, line, *_ = shown(**fields)
    assert objective == "objective  train:train, minimize value"
    assert line == f"trials     {trials}"


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        (
            {"params": {"x": [1, 2], "y": [1, 2]}, "trials": 12, "repeats": 3},
            "there are only 4 combinations, of which random search tries some more than once",
        ),
        ({"params": {"x": [1, 2]}, "target": 1.0}, "there are only 2 combinations"),
        (
            {"params": SPACE, "trials": 8, "repeats": 3},
            "of 8 trials, 2 will be of a configuration that has not all of its 3 repeats, and can",
        ),
        ({"params": SPACE, "max_seconds": 5}, "one that reports only at its end runs on"),
        ({"params": SPACE, "max_seconds": 5, "trial_timeout": 60}, ""),
        ({"params": SPACE, "trials": 9, "repeats": 3}, ""),
        ({"params": FINITE, "trials": 7}, ""),
        ({"params": FINITE, "sampler": "grid", "trials": 15}, ""),
        ({"params": {"n": {"type": "int", "low": 1, "high": 2**62}}}, ""),
        ({"params": {"x": [1, 2]}, "sampler": "list", "settings": [{"x": 1}], "trials": 50}, ""),
    ],
)
def test_a_preview_notes_what_is_seldom_meant(fields: dict[str, Any], note: str) -> None:
    notes = [line for line in shown(**fields) if line.startswith("note ")]
    assert len(notes) == bool(note)
    assert not note or note in notes[0]


def test_a_preview_shows_the_settings_that_will_be_tried_first() -> None:
    sampler = make_sampler(study(params=SPACE))
    examples = [line.removeprefix("for example ") for line in shown(params=SPACE)[2:]]
    assert [json.loads(line) for line in examples] == [suggested(sampler, 0), suggested(sampler, 1)]


def test_a_preview_shows_no_more_settings_than_there_are() -> None:
    lines = shown(params={}, sampler="list", settings=[{"a": 1}])
    assert lines[2:] == ['for example {"a": 1}']


def test_no_sampler_tries_what_the_space_excludes() -> None:
    params = {"kernel": [3, 5, 7], "depth": [1, 2, 3], "lr": {"type": "float", "low": 0, "high": 1}}
    exclude = [{"kernel": 7, "depth": [2, 3]}, {"depth": 3, "kernel": 5}]
    space = Space.model_validate({"params": params, "exclude": exclude})
    allowed = {(3, 1), (3, 2), (3, 3), (5, 1), (5, 2), (7, 1)}
    draw = RandomSampler(space, 0)
    drawn = [suggested(draw, i) for i in range(300)]
    assert {(s["kernel"], s["depth"]) for s in drawn if s is not None} == allowed
    assert None not in drawn
    discrete = Space.model_validate({"params": {**params, "lr": 0.1}, "exclude": exclude})
    grid = GridSampler(discrete)
    walked = [suggested(grid, i) for i in range(7)]
    assert walked[6] is None
    assert {(s["kernel"], s["depth"]) for s in walked if s is not None} == allowed
    listing: list[dict[str, Scalar]] = [{"kernel": 7, "depth": 2}, {"kernel": 7, "depth": 1}]
    listed = ListSampler(discrete, 0, listing)
    assert suggested(listed, 0) == {"kernel": 7, "depth": 1, "lr": 0.1}
    assert suggested(listed, 1) is None


def test_a_study_starts_only_with_something_to_try_that_is_found_in_time() -> None:
    everything_is = [{"a": list(range(16)), "j": list(range(16))}]
    with pytest.raises(UserError, match="exclude leaves none that was found in a long search"):
        check_it_can_start(study(params=_MANY, sampler="grid", exclude=everything_is))
    with pytest.raises(UserError, match="exclude leaves none; take out some of it"):
        check_it_can_start(study(params={"x": [1]}, sampler="grid", exclude=[{"x": 1}]))


def test_a_study_starts_only_if_its_file_and_its_trials_can_be_read_again() -> None:
    listed = [{f"parameter_number_{i}": k * 0.1234567 + i for i in range(9)} for k in range(3500)]
    large = study(params={}, sampler="list", settings=listed)
    check_it_can_start(large)
    assert len(encode_document(large)) > 10**6
    with pytest.raises(
        UserError, match=r"a file of \d\d\.\d MB, and 16 MB are the most: list fewer"
    ):
        check_it_can_start(
            study(params={"x": 1}, sampler="list", settings=[{"y": "t" * 99_999}] * 200)
        )
    with pytest.raises(UserError, match="would fill more than 256 KB: put long texts into files"):
        check_it_can_start(study(params={"text": ["t" * 300_000, ""]}))


def test_a_space_that_excludes_everything_gives_nothing() -> None:
    space = Space.model_validate({"params": {"x": [1, 2]}, "exclude": [{"x": [1, 2]}]})
    assert suggested(RandomSampler(space, 0), 0) is None
    assert suggested(GridSampler(space), 0) is None


# -- where a value lies in its range ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["lr", "n_filters", "rate", "batch", "huge", "plain", "stepped"])
def test_a_value_is_drawn_again_from_where_it_lies_in_its_range(name: str) -> None:
    kinds = {
        **WITH_ALL_KINDS,
        "huge": {"type": "int", "low": 3, "high": 2**40, "log": True},
        "plain": {"type": "float", "low": -3.0, "high": 7.5},
        "stepped": {"type": "int", "low": -4, "high": 90, "step": 7},
    }
    spec, low, high = space(x=kinds[name]).params["x"], kinds[name]["low"], kinds[name]["high"]
    for value in draws(kinds[name], count=200):
        at = position(spec, value)
        assert 0 <= at <= 1
        again = draw(spec, Coordinates([at]))
        assert again == pytest.approx(value, rel=1e-9)
    edges = [draw(spec, Coordinates([at])) for at in (0.0, 1.0)]
    assert edges == pytest.approx([low, high if name != "stepped" else 87])
