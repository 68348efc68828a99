"""Programs as objectives: what their arguments become, and what of their output is a report."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from distune.errors import SpaceError
from distune.space_file.freeze import freeze, limits_of
from distune.space_file.read import parse_space_file
from distune.space_file.remarks import remarks
from distune.study.command import fill_in, without
from tests.test_objective import command, driven, failure, result, script

NAMES = {"lr", "dropout", "wd"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        (["--lr", "{lr}", "--dropout", "{dropout}"], ["--lr", "0.1"]),
        (["-d", "{dropout}", "--lr={lr}"], ["--lr=0.1"]),
        (["--dropout={dropout}", "--wd={wd}", "-v"], ["-v"]),
        (["model.dropout={dropout}", "+lr={lr}"], ["+lr=0.1"]),
        # What counts by its place keeps it, and what names another, too, is still wanted.
        (["{lr}", "{dropout}", "{lr}"], ["0.1", "", "0.1"]),
        (["--out", "runs/{lr}-{dropout}"], ["--out", "runs/0.1-"]),
    ],
)
@pytest.mark.parametrize("params", [{"lr": 0.1}, {"lr": 0.1, "dropout": None, "wd": None}])
def test_what_a_trial_lacks_or_has_as_null_leaves_with_its_flag(
    template: list[str], filled: list[str], params: dict[str, Any]
) -> None:
    assert fill_in(["./train", *template], params, {}, NAMES) == ["./train", *filled]


def test_args_are_all_that_a_trial_has_each_with_its_name() -> None:
    params = {"model.lr": -1e-05, "weight-decay": 0.1, "ema": True, "dropout": None}
    expected = ["--model.lr=-1e-05", "--weight-decay", "0.1", "--ema", "true"]
    assert fill_in(["a", "{args}", "b"], params) == ["a", *expected, "b"]
    assert fill_in(["a", "{args}"], {"args": 1}) == ["a", "1"]


def test_any_name_of_a_parameter_is_filled_in() -> None:
    params = {"model.lr": 1, "weight-decay": 2, "a b": 3}
    template = ["{model.lr}", "{weight-decay}", "{a b}", '{"x": {model.lr}}', "{{model.lr}}"]
    assert fill_in(template, params) == ["1", "2", "3", '{"x": 1}', "{model.lr}"]


def file_with(template: list[str], params: dict[str, Any], **fields: Any) -> Any:
    written = {"command": template, "direction": "minimize", "params": params, **fields}
    return parse_space_file(json.dumps(written), "space.json")


def said_of(template: list[str], params: dict[str, Any], **fields: Any) -> list[str]:
    file = file_with(template, params, **fields)
    study = freeze(file, name="n", study_id="s", lease=1.0, created=0.0)
    return [*remarks(study, limits_of(file))]


RANGE = {"type": "float", "low": 0, "high": 1}


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (["a", "{model.ir}"], "{model.ir} is not a parameter: did you mean 'model.lr'?"),
        (["a", "--all={args}"], "{args} stands for several arguments: make it one of its own"),
    ],
)
def test_a_name_that_cannot_be_filled_in_is_a_mistake(template: list[str], problem: str) -> None:
    with pytest.raises(SpaceError, match=re.escape(problem)):
        file_with(template, {"model.lr": RANGE})


def test_what_is_searched_and_never_used_is_named_and_so_is_null() -> None:
    params = {
        "lr": RANGE,
        "momentum": RANGE,
        "fixed": 1,
        "use_dropout": [True, False],
        "dropout": {**RANGE, "when": {"use_dropout": True}},
        "wd": [None, 0.1],
    }
    never, null = said_of(["a", "{lr}", "--d", "{dropout}", "--wd={wd}"], params)
    assert never.startswith("command: never uses momentum, which is searched")
    assert null == "command: where wd is null, it and the flag before it are left out"
    assert said_of(["a", "{args}"], params) == [null]
    listed = {"sampler": "list", "settings": [{"x": 1, "y": 1}, {"x": 2, "y": 1}]}
    (never,) = said_of(["a"], {}, **listed)
    assert "never uses x, which" in never
    assert said_of(["a", "{x}"], {}, **listed) == []


def test_a_command_without_what_is_absent_is_one_for_those_that_are_there() -> None:
    template = ["a", "--lr", "{lr}", "--dropout", "{dropout}", "{{ }}", "{args}"]
    assert without(template, {"dropout"}) == ["a", "--lr", "{lr}", "{{ }}", "{args}"]


def test_what_is_a_report_is_taken_and_the_rest_is_output(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    lines = [
        '{"optimizer": "sgd", "cuda": true}\n',
        ' 50%\r100%\r{"value": 1}\n',
        '\x1b[2K{"value": 2, "note": "fine", "ok": true, "layers": [1], "loss": 3}\r\n',
    ]
    (tmp_path / "printed").write_bytes("".join(lines).encode())
    *reports, last = driven(command("cat", f"{tmp_path}/printed"))
    assert [report.metrics for report in reports] == [{"value": 1}, {"value": 2, "loss": 3}]
    assert last.value == 2
    assert capfdbinary.readouterr().out.decode() == lines[0] + " 50%\r100%\r\n"


def test_a_metric_that_is_no_number_is_complained_about() -> None:
    said = failure(command("echo", '{"value": "0.9"}'))
    assert "gave '0.9' for 'value', which is not a number" in said


def test_who_reports_nothing_is_told_what_to_print(tmp_path: Path) -> None:
    program = script(tmp_path, "echo accuracy 0.9")
    said = failure(command(program), command=[program])
    assert said.endswith('print a line of JSON and nothing else in it, such as {"value": 0.5}')


def test_a_program_that_fails_is_quoted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = script(
        tmp_path, "echo out; echo first >&2; printf '10%%\\r\\nlast\\n\\n' >&2; exit 3"
    )
    assert failure(command(program)) == f"RuntimeError: {program} ended with exit status 3: last"
    assert capfd.readouterr() == ("out\n", "first\n10%\r\nlast\n\n")


@pytest.mark.parametrize("child", ["sleep 60", "sh -c 'while :; do echo x; done'"])
@pytest.mark.usefixtures("capfd")
def test_a_trial_ends_with_its_program_though_a_child_of_that_holds_its_output(
    tmp_path: Path, child: str
) -> None:
    body = f"""setsid {child} & echo $! > '{tmp_path}/pid'; echo '{{"value": 1}}'"""
    assert result(command(script(tmp_path, body))).value == 1.0
    with suppress(ProcessLookupError):  # one that goes on printing finds no reader, and ends
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
