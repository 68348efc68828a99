"""Space files: what may be written, what every mistake is answered, and the study it makes."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.errors import SpaceError
from distune.search.staged import make_sampler
from distune.share.records import decode_document, encode_document
from distune.space_file.freeze import freeze, limits_of
from distune.space_file.model import SpaceFile
from distune.space_file.read import parse_space_file
from distune.study.command import fill_in
from distune.study.space import CategoricalParameter, FloatParameter, IntParameter, Space
from distune.study.study import Limits, Study, differences
from tests.histories import suggested

OWN = {"objective": "train:train", "direction": "minimize"}
FLOAT = {"type": "float", "low": 0.0, "high": 1.0}


def parse(fields: Any) -> SpaceFile:
    return parse_space_file(json.dumps(fields), "space.json")


def frozen(fields: dict[str, Any], **changes: Any) -> Study:
    where = {"name": "mnist", "study_id": "s-1", "lease": 20.0, "created": 1.5e9, **changes}
    return freeze(parse({"params": {}, **fields}), **where)


def refusal(text: str | bytes) -> SpaceError:
    with pytest.raises(SpaceError) as caught:
        parse_space_file(text, "logs/my space.json")
    assert_named(caught.value, "logs/my space.json")
    return caught.value


def assert_named(mistake: SpaceError, source: str) -> None:
    assert str(mistake).startswith(f"{source}: ")
    assert "\n" not in str(mistake)


# -- mistakes: each names the file, the key and the remedy ---------------------------------------


@pytest.mark.parametrize(
    ("spec", "key", "problem"),
    [
        ({**FLOAT, "hihg": 2}, "params.x.hihg", "unknown key: did you mean 'high'?"),
        ({**FLOAT, "distribution": "normal"}, "params.x.distribution", "unknown key; it has"),
        ({**FLOAT, "low": 2.0}, "params.x", "low (2.0) is greater than high (1.0): swap them"),
        ({"type": "int", "low": 9, "high": 1}, "params.x", "low (9) is greater than high (1)"),
        ({**FLOAT, "log": True}, "params.x", "a log scale cannot reach 0.0: low must be greater"),
        ({"type": "int", "low": 0, "high": 9, "log": True}, "params.x", "cannot reach 0: low must"),
        ({**FLOAT, "low": -1, "log": True}, "params.x", "cannot reach -1.0: low must be greater"),
        ({**FLOAT, "low": 0.1, "log": True, "step": 0.1}, "params.x", "log and step do not go tog"),
        ({**FLOAT, "step": 0}, "params.x.step", "greater than 0; got 0"),
        ({**FLOAT, "step": -0.1}, "params.x.step", "greater than 0; got -0.1"),
        ([], "params.x.choices", "is empty: give at least one choice, or leave the parameter out"),
        ({"type": "categorical", "choices": []}, "params.x.choices", "is empty: give at least one"),
        ([1, 2, 1], "params.x.choices", "has a choice twice: leave one out"),
        ({"type": "categorical"}, "params.x.choices", "is missing"),
        ({"type": "float", "high": 1}, "params.x.low", "is missing"),
        ({"type": "int", "low": 1}, "params.x.high", "is missing"),
        ({"type": "int", "low": 0.5, "high": 3}, "params.x.low", "valid integer"),
        ({"type": "float", "low": "small", "high": 3}, "params.x.low", 'got "small"'),
        ({"type": "float", "low": None, "high": 3}, "params.x.low", "valid number; got null"),
        ({**FLOAT, "log": "certainly"}, "params.x.log", 'got "certainly"'),
        ({**FLOAT, "high": float("inf")}, "params.x.high", "finite number; got Infinity"),
        ({"type": "categorical", "choices": "ab"}, "params.x.choices", 'valid list; got "ab"'),
        ({"type": "flaot", "low": 0, "high": 1}, "params.x", 'needs "type": "float", "int" or "ca'),
        ({"low": 0, "high": 1}, "params.x", 'say "type": "int" for whole numbers, or "type": "f'),
        ({"high": 0.5}, "params.x.low", "is missing"),
        ({"log": True}, "params.x", 'needs "type": "float", "int" or "categorical"'),
        (
            {"type": "float", "low": 1.7e9, "high": 1.7e9, "step": 1e-8},
            "params.x",
            "numbers of this size have no digits for it",
        ),
        ([[64, 32], "[64, 32]"], "params.x.choices", "has a choice twice"),
        ({**FLOAT, "when": {}}, "params.x.when", 'is empty: write {"other_parameter": value}'),
        ({**FLOAT, "when": "always"}, "params.x.when", 'got "always"'),
    ],
)
def test_a_mistake_in_a_parameter_names_the_file_the_key_and_the_remedy(
    spec: Any, key: str, problem: str
) -> None:
    error = refusal(json.dumps({**OWN, "params": {"y": 1, "x": spec}}))
    assert (error.source, error.key) == ("logs/my space.json", key)
    assert problem in error.problem


@pytest.mark.parametrize(
    ("fields", "key", "problem"),
    [
        ({"objetive": "mnist-cnn"}, "objetive", "unknown key: did you mean 'objective'?"),
        ({"epochs": 3}, "epochs", "unknown key"),
        ({"params": [1]}, "params", "got [1]"),
        ({"params": None}, "params", "got null"),
        ({"params": {"lrr": 0.1}}, "params.lrr", "mnist-cnn has no such parameter: did you mean "),
        ({"params": {"n_filter": 3}}, "params.n_filter", "did you mean 'n_filters'?"),
        ({"params": {"zebra": 1}}, "params.zebra", "mnist-cnn has no such parameter; it has batch"),
        ({"params": {"lr": -1}}, "params.lr", "mnist-cnn cannot use lr -1: Input should be gr"),
        ({"params": {"lr": {**FLOAT, "low": -2}}}, "params.lr", "mnist-cnn cannot use lr -2.0"),
        ({"params": {"dropout": FLOAT}}, "params.dropout", "mnist-cnn cannot use dropout 1.0"),
        ({"params": {"optimizer": ["sgd", "adm"]}}, "params.optimizer", "should be 'sgd', 'adam'"),
        ({"objective": "mnist-cn"}, "objective", "did you mean 'mnist-cnn'?"),
        ({"objective": "zebra"}, "objective", "built in are mnist-cnn, convnet, "),
        ({"objective": "train.py"}, "objective", "nor module:function"),
        ({"objective": "a/train.py:go"}, "objective", "write 'train:go'; workers"),
        ({"objective": "a:b; rm -rf"}, "objective", "nor module:function"),
        ({"objective": "m:f"}, "direction", 'say "maximize" or "minimize"'),
        ({"command": ["./train.sh"]}, "direction", 'say "maximize" or "minimize"'),
        ({"metric": "val_loss"}, "direction", 'say "maximize" or "minimize"'),
        ({"direction": "max"}, "direction", "should be 'maximize' or 'minimize'; got \"max\""),
        ({**OWN, "command": ["a"]}, "objective", "there is a command too: leave one of the two ou"),
        ({"command": [], "direction": "minimize"}, "command", "at least 1 item"),
        ({"command": "./train.sh", "direction": "minimize"}, "command", 'got "./train.sh"'),
        ({"command": ["a", "{lrr}"], "direction": "minimize"}, "command", "{lrr} is not a param"),
        ({"sampler": "tpe2"}, "sampler", "there is no 'tpe2': did you mean 'tpe'?"),
        ({"sampler": "list"}, "settings", 'needs "settings": [{"lr": 0.1}, ...]'),
        ({"settings": [{"lr": 0.1}]}, "settings", 'only the sampler "list" takes them'),
        ({"sampler": "list", "settings": []}, "settings", "at least 1 item"),
        (
            {"sampler": "list", "settings": [{"hidden": [64, 32]}]},
            "settings[0].hidden",
            'write a list or an object as text, "[64, 32]"',
        ),
        ({"sampler": "list", "settings": [3]}, "settings[0]", "got 3"),
        (
            {"sampler": "list", "settings": [{"lr": 0.1}, {"lrr": 0.1}]},
            "settings[1].lrr",
            "mnist-cnn has no such parameter: did you mean 'lr'?",
        ),
        (
            {"sampler": "list", "settings": [{"lr": 0.1}, {"lr": -5}]},
            "settings[1]",
            "mnist-cnn cannot use lr -5",
        ),
        (
            {"sampler": "list", "settings": [{}], "params": {"lr": [0.1, 0.2]}},
            "settings[0]",
            "lr is missing, and params has no constant for it",
        ),
        (
            {"sampler": "grid", "params": {"lr": {"type": "float", "low": 0.1, "high": 0.2}}},
            "params.lr",
            'a grid needs finitely many values: give it a "step", or a list of values',
        ),
        (
            {"sampler": "grid", "duplicates": "repeat", "params": {"lr": [0.1, 0.2]}},
            "duplicates",
            "grid learns nothing, and suggests nothing again: leave it out, or say",
        ),
        (
            {"duplicates": "repeat", "stages": [{"name": "a", "params": {"lr": [0.1, 0.2]}}]},
            "duplicates",
            "a stage compares what has as many repeats as the others: leave it out",
        ),
        ({"sampler": "tpe", "duplicates": "none"}, "duplicates", "Input should be 'repeat' or"),
        (
            {"sampler": {"name": "tpe", "startup": 3}},
            "sampler.startup",
            "option: did you mean 'n_startup_trials'?",
        ),
        ({"sampler": {"name": "tpe", "n_startup_trials": 0}}, "sampler.n_startup_trials", "0: Inp"),
        (
            {"sampler": {"name": "random", "seed": 1}},
            "sampler.seed",
            "no such option; it takes none",
        ),
        ({"sampler": {"seed": 1}}, "sampler", 'say which: {"name": "tpe", ...}'),
        (
            {"sampler": {"name": "bogus"}},
            "sampler",
            "there is no 'bogus': there are auto, random, grid",
        ),
        ({"enqueue": [{"rate": 1}]}, "enqueue[0].rate", "there is no such parameter"),
        (
            {"params": {"lr": {"type": "float", "low": 0.1, "high": 0.2}}, "enqueue": [{"lr": 1}]},
            "enqueue[0].lr",
            "1 is none of its values",
        ),
        (
            {
                "params": {
                    "optimizer": ["sgd", "adam"],
                    "momentum": {
                        "type": "float",
                        "low": 0.0,
                        "high": 0.9,
                        "when": {"optimizer": "sgd"},
                    },
                },
                "enqueue": [{}, {"optimizer": "adam", "momentum": 0.5}],
            },
            "enqueue[1].momentum",
            "is not there with these values of optimizer",
        ),
        ({"enqueue": [{}], "sampler": "list", "settings": [{}]}, "enqueue", "what comes first"),
        ({"trials": 0}, "trials", "greater than 0; got 0"),
        ({"trials": 1.5}, "trials", "got 1.5"),
        ({"repeats": 0}, "repeats", "greater than or equal to 1; got 0"),
        ({"seed": -1}, "seed", "greater than or equal to 0; got -1"),
        ({"max_attempts": 0}, "max_attempts", "greater than or equal to 1; got 0"),
        ({"metric": ""}, "metric", "at least 1 character"),
        ({"target": "high"}, "target", 'got "high"'),
        ({"target": float("nan")}, "target", "finite number; got NaN"),
        ({"summary": "mean"}, "summary", "'best' or 'last'; got \"mean\""),
        ({"time_limit": "soon"}, "time_limit", "'soon' is not a duration: write 90s, 2h or 1h30m"),
        ({"max_seconds": 0}, "max_seconds", "must be longer than nothing"),
        ({"lease": -5}, "lease", "-5 is not a duration: it must be longer than nothing"),
        ({"description": 3}, "description", "valid string; got 3"),
    ],
)
def test_a_mistake_in_the_file_names_the_file_the_key_and_the_remedy(
    fields: dict[str, Any], key: str, problem: str
) -> None:
    error = refusal(json.dumps({"params": {}, **fields}))
    assert (error.source, error.key) == ("logs/my space.json", key)
    assert problem in error.problem


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        (
            {"a": {**FLOAT, "when": {"b": 1}}},
            "params.a.when: asks about 'b', which is not a parameter",
        ),
        (
            {"a": {**FLOAT, "when": {"a": 1}}},
            "params.a.when: asks about 'a', which is the parameter itself",
        ),
        (
            {"b": ["sgd", "adam"], "a": {**FLOAT, "when": {"b": "adamw"}}},
            'params.a.when: waits for b to be "adamw", which it never is',
        ),
        (
            {"b": ["sgd", "adam"], "a": {**FLOAT, "when": {"b": ["sgd", "rmsprop"]}}},
            'params.a.when: waits for b to be "rmsprop", which it never is',
        ),
        (
            {
                "b": {"type": "int", "low": 1, "high": 9, "step": 2},
                "a": {**FLOAT, "when": {"b": 2}},
            },
            "params.a.when: waits for b to be 2, which it never is",
        ),
        (
            {"b": [True, False], "a": {**FLOAT, "when": {"b": 1}}},
            "params.a.when: waits for b to be 1, which it never is",
        ),
        (
            {"b": {"type": "int", "low": 0, "high": 1}, "a": {**FLOAT, "when": {"b": True}}},
            "params.a.when: waits for b to be true, which it never is",
        ),
        (
            {"b": {"type": "int", "low": 0, "high": 2**62}, "a": {**FLOAT, "when": {"b": 0.5}}},
            "params.a.when: waits for b to be 0.5, which it never is",
        ),
        (
            {
                "a": {"type": "int", "low": 0, "high": 1, "when": {"c": 0}},
                "b": {"type": "int", "low": 0, "high": 1, "when": {"a": 0}},
                "c": {"type": "int", "low": 0, "high": 1, "when": {"b": 0}},
                "d": 1,
            },
            "a, b, c: their conditions (when) go round in a circle",
        ),
    ],
)
def test_a_condition_that_cannot_hold_is_named(params: dict[str, Any], problem: str) -> None:
    assert problem in str(refusal(json.dumps({**OWN, "params": params})))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not JSON (line 1, column 1)"),
        ('{"params": {\n  "a": 1,,\n}}', "is not JSON (line 2, column 10)"),
        ('{"params": {}', "is not JSON (line 1, column 14)"),
        ("{'params': {}}", "is not JSON (line 1, column 2)"),
        ('{"params": {}} {}', "is not JSON (line 1, column 16): Extra data"),
        ("[1]", 'must be an object: {"params": {...}}'),
        ("null", 'must be an object: {"params": {...}}'),
        ('"params"', 'must be an object: {"params": {...}}'),
        ('{"params": {"a": 1, "b": 2, "a": 3}}', "the key 'a' stands there twice: leave one out"),
        ('{"params": {}, "params": {}}', "the key 'params' stands there twice: leave one out"),
        ("[" * 100_000, "cannot be read"),
        ('{"trials": 1' + "0" * 5000 + "}", "cannot be read"),
        (b'{"params": "\xff"}', "cannot be read"),
        (b"\xff\xfe{\x00}\x00", "cannot be read"),
        ("{}", "params: is missing"),
    ],
)
def test_a_file_that_is_no_object_of_json_is_refused_with_the_place(
    text: str | bytes, problem: str
) -> None:
    assert problem in str(refusal(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"params": {"x": [1, 2,], "y": {"choices": [3,4 , ]},},}',
        '{"params": {"x": [1, 2, // two\n], "y": {"choices": [3, 4],\n// four\n}\n,\n}}\n',
    ],
)
def test_a_comma_after_the_last_entry_is_no_mistake(text: str) -> None:
    file = parse_space_file(text[:1] + json.dumps(OWN)[1:-1] + ", " + text[1:], "space.json")
    assert [spec.grid() for spec in file.params.values()] == [[1, 2], [3, 4]]


@pytest.mark.parametrize("text", ["[,]", "[1,,]", "{,}", '{"a":,}', "[1, 2,,]"])
def test_a_comma_too_many_anywhere_else_is_one(text: str) -> None:
    assert "is not JSON" in str(refusal(f'{{"params": {text}}}'))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(alphabet=',]}" \\a', max_size=12))
def test_commas_inside_a_string_stay(text: str) -> None:
    line = json.dumps({"params": {}, "description": text})
    assert parse_space_file(f"{line[:-1]},}}", "space.json").description == text


# -- YAML ------------------------------------------------------------------------------------------

_YAML = """\
# what to search
objective: train:train
direction: minimize
time_limit: 1h30m
description: 2026-01-02
params: &all
  lr: {type: float, low: 1e-3, high: .5, log: true}
  schedule: [off, no, 1:30, 0x10, ~, -7, 1_000]
  nesterov:
    - true
    - false
  "on": 3
"""


def test_a_space_file_may_be_yaml_whose_words_and_numbers_are_what_they_look_like() -> None:
    for source in ("space.yaml", "a/SPACE.YML"):
        file = parse_space_file(_YAML, source)
        assert file.params["lr"] == FloatParameter(type="float", low=0.001, high=0.5, log=True)
        choices = ["off", "no", "1:30", "0x10", None, -7, "1_000"]
        assert file.params["schedule"].grid() == choices
        assert repr(file.params["nesterov"].grid()) == "[True, False]"
        assert (file.constants, file.time_limit) == ({"on": 3}, 5400.0)
        assert file.description == "2026-01-02"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "params:\n  a: [1, 2",
            "cannot be read: it is not YAML (line 2, column 11): while parsing",
        ),
        ("params: {a: 1}\nparams: {b: 1}", "the key 'params' stands there twice: leave one out"),
        ("params: {1: 2}", "the key 1 is no text: put it in quotes"),
        ("params: {a: !!python/name:os.system }", "could not determine a constructor for the tag"),
        ("params: {a: !!timestamp 2026-01-02}", "cannot be read: "),
        ("params: {}\n---\nparams: {}", "expected a single document"),
        ("params: &a {a: *a}", "cannot be read: "),
        ("[" * 100_000, "cannot be read: "),
        ("params: \x00", "it is not YAML: unacceptable character"),
        ("", "must be an object"),
        ("params: {x: {type: float, low: 1, hihg: 2}}", "params.x.hihg: unknown key: did you mean"),
    ],
)
def test_a_mistake_in_yaml_is_named_like_any_other(text: str, problem: str) -> None:
    with pytest.raises(SpaceError) as caught:
        parse_space_file(text, "space.yaml")
    assert_named(caught.value, "space.yaml")
    assert problem in str(caught.value)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["params", "lr", "type", "low", "high", "choices", "when",
                                       "trials", "settings", "command", "float"]), inner),
    max_leaves=12,
))  # fmt: skip
def test_any_json_at_all_is_a_space_file_or_a_named_mistake(fields: Any) -> None:
    try:
        file = parse(fields)
    except SpaceError as error:
        assert_named(error, "space.json")
        return
    assert freeze(file, name="n", study_id="i", lease=20, created=0).params == file.params


# -- comments --------------------------------------------------------------------------------------


def test_comments_end_with_their_line() -> None:
    text = '// what\n{"params": {}, // "seed": 1,\n "trials": 7 //, "seed": 2\n}\n//'
    file = parse_space_file(text, "space.json")
    assert (file.trials, file.seed) == (7, 0)


def test_a_comment_moves_no_place() -> None:
    text = '// 1 "\n{"params": {}, // 2 "\n "trials": 7, "seed" 3 // "\n}'
    column = text.splitlines()[2].index("3") + 1
    assert f"line 3, column {column}" in str(refusal(text))
    assert "line 1, column 19" in str(refusal('{"params": {} // 4'))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(max_size=10) | st.text(alphabet='/\\"\n a', max_size=10), st.booleans())
def test_what_looks_like_a_comment_inside_a_string_stays(text: str, ascii_only: bool) -> None:
    line = json.dumps({"params": {}, "description": text}, ensure_ascii=ascii_only)
    file = parse_space_file(f'{line}// "comment"', "space.json")
    assert file.description == text


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse_space_file(b'\xef\xbb\xbf{"params": {}}', "space.json").params == {}


# -- what may be written ---------------------------------------------------------------------------


def test_the_example_of_the_readme_is_a_space_file() -> None:
    file = parse(
        {
            "objective": "mnist-cnn",
            "params": {
                "lr": {"type": "float", "low": 0.01, "high": 0.32, "log": True},
                "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
                "momentum": {
                    "type": "float",
                    "low": 0.0,
                    "high": 0.99,
                    "when": {"optimizer": "sgd"},
                },
                "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
                "n_filters": [16, 32, 64],
                "epochs": 12,
            },
            "metric": "val_accuracy",
            "direction": "maximize",
            "sampler": "random",
            "trials": 50,
            "seed": 0,
        }
    )
    lr, momentum = file.params["lr"], file.params["momentum"]
    assert lr == FloatParameter(type="float", low=0.01, high=0.32, log=True)
    assert momentum.when == {"optimizer": ["sgd"]}
    assert list(file.params).index("momentum") > list(file.params).index("optimizer")


@pytest.mark.parametrize(
    ("short", "choices"),
    [
        ([16, 32], [16, 32]),
        (["a", 1, 1.0, True, None], ["a", 1, 1.0, True, None]),
        (12, [12]),
        (0.5, [0.5]),
        ("sgd", ["sgd"]),
        ("", [""]),
        (False, [False]),
        (None, [None]),
    ],
)
def test_a_list_is_short_for_choices_and_a_scalar_for_a_constant(
    short: Any, choices: list[Any]
) -> None:
    spec = parse({**OWN, "params": {"x": short}}).params["x"]
    assert isinstance(spec, CategoricalParameter)
    assert repr(spec.choices) == repr(choices)


@pytest.mark.parametrize(
    ("spec", "type"),
    [
        ({"low": 0.0, "high": 1}, "float"),
        ({"low": 1, "high": 1e3, "log": True}, "float"),
        ({"low": 0, "high": 1, "step": 0.25}, "float"),
        ({"choices": [1, 2]}, "categorical"),
    ],
)
def test_a_parameter_needs_no_type_where_it_has_a_fraction_or_choices(
    spec: dict[str, Any], type: str
) -> None:
    assert parse({**OWN, "params": {"x": spec}}).params["x"].type == type


def test_only_params_is_required_and_need_not_hold_any() -> None:
    assert parse({"params": {}}).params == {}


@pytest.mark.parametrize(
    "word",
    ["lr", "trial_number", "trial_attempt", "trial_seed", "trial_device", "trial_dir"],
)
def test_a_command_may_ask_for_its_parameters_and_for_what_its_trial_is(word: str) -> None:
    file = parse({"params": {"lr": 0.1}, "command": ["a", f"--x={{{word}}}"], **_MINIMIZE})
    assert file.command == ["a", f"--x={{{word}}}"]
    assert file.workload is None


_MINIMIZE = {"direction": "minimize"}


def test_braces_that_are_no_placeholder_stay() -> None:
    command = ["a", '{"x": 1}', "{}", "${HOME}", "{a b}"]
    with pytest.raises(SpaceError, match=r"\{HOME\} is not a parameter"):
        parse({"params": {}, "command": command, **_MINIMIZE})
    command.remove("${HOME}")
    assert parse({"params": {}, "command": command, **_MINIMIZE}).command == command


def test_durations_in_a_file_are_written_as_people_write_them() -> None:
    file = parse({"params": {}, "time_limit": "1h30m", "max_seconds": 60, "lease": "20s"})
    assert (file.time_limit, file.max_seconds, file.lease) == (5400.0, 60.0, 20.0)


def test_parameters_come_after_those_their_conditions_ask_about() -> None:
    names = "abcdef"
    params: dict[str, Any] = {
        name: {"type": "int", "low": 0, "high": 1, "when": {following: 1}}
        for name, following in itertools.pairwise(names)
    }
    assert list(parse({**OWN, "params": {**params, "f": [1, 2]}}).params) == list("fedcba")


def test_parameters_keep_their_order_where_no_condition_says_otherwise() -> None:
    names = ["z", "b", "y", "a"]
    assert list(parse({**OWN, "params": dict.fromkeys(names, 1)}).params) == names


@pytest.mark.parametrize(
    ("chosen", "active"),
    [
        ({"optimizer": "sgd", "nesterov": True}, True),
        ({"optimizer": "rmsprop", "nesterov": True}, True),
        ({"optimizer": "adam", "nesterov": True}, False),
        ({"optimizer": "sgd", "nesterov": False}, False),
        ({"optimizer": "sgd"}, False),
        ({}, False),
    ],
)
def test_a_parameter_exists_when_all_its_conditions_hold(
    chosen: dict[str, Any], active: bool
) -> None:
    when = {"optimizer": ["sgd", "rmsprop"], "nesterov": True}
    space = Space.model_validate(
        {
            "params": {
                "optimizer": ["sgd", "rmsprop", "adam"],
                "nesterov": [True, False],
                "momentum": {**FLOAT, "when": when},
            }
        }
    )
    assert space.params["momentum"].is_active(chosen) is active


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (FloatParameter(type="float", low=0.1, high=0.3, step=0.1), [0.1, 0.2, 0.3]),
        (FloatParameter(type="float", low=0, high=1, step=0.4), [0.0, 0.4, 0.8]),
        (FloatParameter(type="float", low=0.5, high=0.5), [0.5]),
        (FloatParameter(type="float", low=0, high=1, step=5), [0.0]),
        (
            FloatParameter(type="float", low=1.7e9, high=1700000000.003, step=0.001),
            [1.7e9, 1700000000.001, 1700000000.002, 1700000000.003],
        ),
        (
            FloatParameter(type="float", low=0.1, high=0.1 * 8 - 1e-16, step=0.1),
            [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.1 * 8 - 1e-16],
        ),
        (FloatParameter(type="float", low=1 / 3, high=1, step=1 / 3), [1 / 3, 2 / 3, 1.0]),
        (IntParameter(type="int", low=1, high=3), [1, 2, 3]),
        (IntParameter(type="int", low=1, high=8, step=3), [1, 4, 7]),
        (IntParameter(type="int", low=-1, high=-1), [-1]),
        (CategoricalParameter(type="categorical", choices=["b", "a"]), ["b", "a"]),
    ],
)
def test_a_grid_of_a_parameter_has_both_ends_and_people_s_digits(
    spec: FloatParameter | IntParameter | CategoricalParameter, values: list[Any]
) -> None:
    assert list(spec.grid() or []) == values


def test_a_continuous_range_has_no_grid() -> None:
    assert FloatParameter(type="float", low=0, high=1).grid() is None


# -- the study that it makes -----------------------------------------------------------------------


def test_what_a_file_leaves_out_of_a_built_in_study_is_filled_in() -> None:
    study = frozen({})
    assert (study.id, study.name, study.lease, study.created) == ("s-1", "mnist", 20.0, 1.5e9)
    assert (study.objective, study.command) == ("mnist-cnn", None)
    assert (study.metric, study.direction) == ("val_accuracy", "maximize")
    assert (study.sampler, study.repeats, study.seed, study.summary) == ("random", 1, 0, "best")
    assert (study.max_seconds, study.max_attempts) == (None, 3)
    assert study.has_test


def test_an_objective_of_the_users_own_is_ranked_by_its_value() -> None:
    study = frozen(OWN)
    assert (study.metric, study.direction) == ("value", "minimize")
    assert study.objective_name == "train:train"
    assert not study.has_test


def test_a_command_has_no_objective() -> None:
    study = frozen({"command": ["./train.sh", "-x"], "direction": "maximize", "metric": "score"})
    assert (study.objective, study.command) == (None, ["./train.sh", "-x"])
    assert (study.metric, study.objective_name) == ("score", "./train.sh -x")
    assert not study.has_test


def test_a_metric_of_a_built_in_study_that_is_not_its_own_keeps_the_users_direction() -> None:
    study = frozen({"metric": "val_loss", "direction": "minimize"})
    assert (study.metric, study.direction) == ("val_loss", "minimize")


def test_what_a_file_says_is_kept() -> None:
    said = {
        "sampler": "list",
        "settings": [{"lr": 0.1}],
        "summary": "last",
        "repeats": 3,
        "seed": 7,
        "max_seconds": 60.0,
        "max_attempts": 5,
        "description": "why",
    }
    study = frozen(said)
    assert {key: getattr(study, key) for key in said} == said


def test_a_frozen_study_is_read_back_as_it_was_written() -> None:
    study = frozen({"params": {"lr": {**FLOAT, "low": 0.1, "log": True}, "n_filters": [8, 16]}})
    again = decode_document(Study, encode_document(study))
    assert again == study
    assert list(again.space.params) == ["lr", "n_filters"]


@pytest.mark.parametrize(
    ("lease", "interval"), [(20.0, 1.0), (120.0, 5.0), (3600.0, 5.0), (0.1, 0.05)]
)
def test_a_worker_beats_often_enough_for_the_lease_and_not_too_often_for_the_share(
    lease: float, interval: float
) -> None:
    assert frozen({}, lease=lease).beat_interval == interval


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        ({}, Limits(trials=50)),
        ({"trials": 7}, Limits(trials=7)),
        ({"time_limit": "2h"}, Limits(time_limit=7200)),
        ({"target": 0.99}, Limits(target=0.99)),
        ({"target": 0.99, "trials": 9}, Limits(target=0.99, trials=9)),
        ({"sampler": "grid", "params": {"lr": [0.1, 0.2]}}, Limits()),
        ({"sampler": "list", "settings": [{"lr": 0.1}]}, Limits()),
    ],
)
def test_fifty_trials_are_made_only_if_nothing_else_would_end_the_study(
    fields: dict[str, Any], limits: Limits
) -> None:
    assert limits_of(parse({"params": {}, **fields})) == limits


def test_when_where_and_under_what_name_a_study_runs_makes_no_other_search() -> None:
    one = frozen({"description": "mine"})
    other = frozen({}, name="copy", study_id="s-2", lease=120.0, created=2e9)
    assert differences(one, other) == []
    assert differences(one, frozen({"trials": 9, "time_limit": 5, "target": 0.5})) == []


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"seed": 1}, "seed"),
        ({"repeats": 2}, "repeats"),
        ({"params": {"lr": 0.1}}, "params"),
        ({"direction": "minimize"}, "direction"),
        ({"metric": "val_loss", "direction": "maximize"}, "metric"),
        ({"summary": "last"}, "summary"),
        ({"max_seconds": 60}, "max_seconds"),
        ({"max_attempts": 1}, "max_attempts"),
        ({"sampler": "grid"}, "sampler"),
    ],
)
def test_another_search_is_told_by_the_key_that_differs(fields: dict[str, Any], key: str) -> None:
    assert differences(frozen({}), frozen(fields)) == [key]
    assert differences(frozen(fields), frozen({})) == [key]


def test_all_keys_that_differ_are_told() -> None:
    assert differences(frozen({}), frozen({**OWN, "seed": 1})) == [
        "objective",
        "metric",
        "direction",
        "seed",
    ]


def test_a_target_of_zero_is_a_limit() -> None:
    assert limits_of(parse({"params": {}, "target": 0.0})) == Limits(target=0.0)


def test_a_listed_setting_may_leave_out_what_does_not_apply() -> None:
    momentum = {"type": "categorical", "choices": [0.9], "when": {"optimizer": "sgd"}}
    fields = {
        "params": {"optimizer": ["sgd", "adam"], "momentum": momentum},
        "sampler": "list",
        "settings": [{"optimizer": "adam"}, {"optimizer": "sgd"}],
    }
    sampler = make_sampler(frozen(fields))
    assert suggested(sampler, 0) == {"optimizer": "adam"}
    assert suggested(sampler, 1) == {"optimizer": "sgd", "momentum": 0.9}


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ({"flag": 1}, [[1, "a"], [1.0, "a"], [1, "b"], [1.0, "b"]]),
        ({"flag": True}, [[True, "a"], [True, "b"]]),
        ({"flag": [0.0, 7]}, [[0, "a"], [7, "a"], [0, "b"], [7, "b"]]),
        ({"flag": True, "mode": "b"}, [[True, "b"]]),
        ({"flag": None}, [[None, "a"], [None, "b"]]),
    ],
)
def test_a_condition_takes_no_number_for_true_or_false(
    condition: dict[str, Any], held: list[list[Any]]
) -> None:
    flags: list[Any] = [True, False, 1, 1.0, 0, 7, None]
    params = {"flag": flags, "mode": ["a", "b"]}
    every = [[flag, mode] for mode in params["mode"] for flag in flags]
    space = Space.model_validate({"params": params, "exclude": [condition]})
    assert repr([s for s in every if space.excludes({"flag": s[0], "mode": s[1]})]) == repr(held)
    spec = {"type": "int", "low": 0, "high": 9, "when": condition}
    conditional = Space.model_validate({"params": {**params, "x": spec}}).params["x"]
    active = [s for s in every if conditional.is_active({"flag": s[0], "mode": s[1]})]
    assert repr(active) == repr(held)


def test_a_float_with_steps_meets_a_condition_that_is_written_without_a_fraction() -> None:
    steps = {"type": "float", "low": 0, "high": 1, "step": 0.5}
    space = Space.model_validate({"params": {"x": steps}, "exclude": [{"x": 1}]})
    assert [space.excludes({"x": x}) for x in (0.0, 0.5, 1.0)] == [False, False, True]


def test_a_range_of_one_value_is_a_constant_in_a_list() -> None:
    lr = {"type": "float", "low": 0.1, "high": 0.1}
    study = frozen({"params": {"lr": lr}, "sampler": "list", "settings": [{}]})
    assert suggested(make_sampler(study), 0) == {"lr": 0.1}


def test_a_command_may_use_what_every_setting_has_and_write_braces() -> None:
    fields = {"command": ["awk", "{{print {lr}}}"], "sampler": "list", "settings": [{"lr": 1}]}
    file = parse({"params": {}, "direction": "maximize", **fields})
    assert file.command is not None
    assert fill_in(file.command, {"lr": 1}) == ["awk", "{print 1}"]


@pytest.mark.parametrize(
    ("fields", "key", "problem"),
    [
        ({"params": {"epochs": {**FLOAT, "low": 1, "high": 5}}}, "params.epochs", "integer"),
        ({"params": {"lr": {**FLOAT, "low": "0.1"}}}, "params.lr.low", "number"),
        ({"params": {"lr": {**FLOAT, "low": True}}}, "params.lr.low", "number"),
        ({"trials": "5"}, "trials", "integer"),
        ({"trials": True}, "trials", "integer"),
        ({"params": {"lr": [[1]]}}, "params.lr", "mnist-cnn cannot use lr '[1]'"),
        ({"params": {"lr": {"type": "float", "lo": 0, "high": 1}}}, "params.lr.lo", "'low'"),
        (
            {"params": {"lr": {"type": "float", "low": -1.7e308, "high": 1.7e308}}},
            "params.lr",
            "too wide",
        ),
        (
            {"params": {"lr": {"type": "float", "low": 0, "high": 1, "step": 1e-9}}},
            "params.lr",
            "over a million values",
        ),
        (
            {"params": {"lr": FLOAT, "momentum": {**FLOAT, "when": {"lr": 0.5}}}},
            "params.momentum.when",
            "continuous",
        ),
        (
            {"params": {"lr": FLOAT, "momentum": {**FLOAT, "when": {"lr": []}}}},
            "params.momentum.when",
            "never hold",
        ),
    ],
)
def test_what_would_fail_later_is_refused_now(
    fields: dict[str, Any], key: str, problem: str
) -> None:
    error = refusal(json.dumps({"params": {}, **fields}))
    assert error.key == key
    assert problem in error.problem
