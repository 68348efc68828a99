"""The command line through real processes: what it prints, and its exit status."""

from __future__ import annotations

import csv
import io
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from distune.cli.app import COMMANDS
from distune.cli.commands.launch import ENGINES
from tests.conftest import Lab, wait_until

ROOT = Path(__file__).parent.parent


def finished(lab: Lab, **fields: Any) -> Lab:
    """A small study, run to its end."""
    lab.write_space(objective="train:quick", **fields)
    done = lab.run(
        "master", "--space", "space.json", "--workers", "1", "--objective", "train:quick"
    )
    assert done.returncode == 0, done.stderr
    return lab


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.long
def test_every_command_has_help_with_a_worked_example(lab: Lab, command: str) -> None:
    done = lab.run(command, "--help")
    assert done.returncode == 0
    assert f"Example: distune {command}" in done.stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_has_help_with_a_worked_example(lab: Lab, engine: str) -> None:
    done = lab.run("launch", engine, "--help")
    assert done.returncode == 0
    assert f"Example: distune launch {engine}" in done.stdout


def test_help_names_every_command_and_an_unknown_one_is_a_mistake(lab: Lab) -> None:
    shown = lab.run("--help").stdout
    assert all(f"  {command} " in shown and does in shown for command, does in COMMANDS.items())
    assert lab.run("tune").returncode == 2
    assert lab.run().returncode == 2


@pytest.mark.parametrize(
    ("typed", "offered"), [("distune ma", "master"), ("distune master --tri", "--trials")]
)
def test_a_shell_completes_commands_and_their_options(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, typed: str, offered: str
) -> None:
    monkeypatch.setenv("_DISTUNE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    assert lab.run().stdout.split() == [offered]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("distune stop mn", ["mnist"]),
        ("distune retry ", ["digits", "mnist"]),
        ("distune extend ", ["digits", "mnist"]),
        ("distune status --study d", ["digits"]),
        ("distune pause --logs nowhere m", []),
    ],
)
def test_a_shell_completes_the_names_of_studies(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, typed: str, offered: list[str]
) -> None:
    for name in ("mnist", "digits"):
        (lab.logs / name).mkdir(parents=True)
        (lab.logs / name / "study.json").touch()
    monkeypatch.setenv("_DISTUNE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    assert lab.run().stdout.split() == offered


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("master", "--space"),
        ("master --space nothing.json", "nothing.json: there is no such file, and no such preset"),
        ("master --space space.json --time-limit soon", "90s, 2h or 1h30m"),
        ("master --space space.json --study a/b", "cannot name a study"),
        ("master --space space.json --trials 0", "--trials"),
        ("master --space space.json --target nan", "'nan' is not a finite number"),
        ("master --space space.json --target inf", "'inf' is not a finite number"),
        ("master --space space.json --logs /proc/nowhere", "cannot make /proc/nowhere"),
        ("worker --jobs 0", "--jobs"),
        ("worker --device tpu", "tpu"),
        ("status", "no study in logs; start one: distune master"),
        ("best --study mine", "no study 'mine'"),
        ("show seventeen", "TRIAL"),
        ("check nothing.json", "no such file"),
        ("presets nothing", "no preset 'nothing'"),
        ("data imagenet", "no data set 'imagenet'"),
        ("init space.json", "is there already"),
        ("init space.yaml", "the file to start from is JSON: call it space.json"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_status_2(lab: Lab, arguments: str, said: str) -> None:
    lab.write_space()
    done = lab.run(*shlex.split(arguments))
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_space_file_that_cannot_be_is_refused_before_anything_is_published(lab: Lab) -> None:
    lab.write_space(params={"x": {"type": "float", "low": 2, "high": 1}})
    done = lab.run("master", "--space", "space.json")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "space.json: params.x: low (2.0) is greater than high (1.0)" in done.stderr
    assert not lab.logs.exists()


@pytest.mark.long
def test_a_study_of_a_yaml_file_says_what_in_it_is_seldom_meant(lab: Lab) -> None:
    """And its list of settings makes a `study.json` of more than a megabyte."""
    settings = [
        {"x": i, **{f"another parameter {j}": 0.1234567 for j in range(9)}} for i in range(3500)
    ]
    (lab.folder / "large.yaml").write_text(
        "objective: train:quick\nmetric: loss\ndirection: minimize\nsampler: list\n"
        "trials: 4\nrepeats: 3\nlease: 5s\nparams: {}\n"
        f"settings: {json.dumps(settings)}\n"
    )
    options = [
        "--space",
        "large.yaml",
        "--workers",
        "1",
        "--objective",
        "train.py:quick",
        "--plain",
    ]
    done = lab.run("master", *options)
    assert done.returncode == 0, done.stderr
    assert "of 4 trials, 1 will be of a configuration that has not all of its 3" in done.stdout
    assert (lab.logs / "large" / "study.json").stat().st_size > 2**20
    assert lab.counted("large") == [0, 1, 2, 3]


def test_a_study_leaves_its_table_its_winner_and_its_history(lab: Lab) -> None:
    finished(lab, trials=8)
    best = json.loads((lab.logs / "space" / "best.json").read_text())
    rows = list(csv.DictReader(io.StringIO((lab.logs / "space" / "leaderboard.csv").read_text())))
    assert len(rows) == 8
    assert [int(row["rank"]) for row in rows] == list(range(1, 9))
    values = [float(row["loss"]) for row in rows]
    assert values == sorted(values)
    assert best["result"]["value"] == pytest.approx(values[0])
    assert best["params"]["x"] == pytest.approx(float(rows[0]["x"]))


def test_status_best_and_show_print_text_and_json(lab: Lab) -> None:
    finished(lab, trials=4, repeats=2)
    status = lab.status()
    assert status["trials"]["counted"] == 4
    assert [len(row["trials"]) for row in status["ranking"]] == [2, 2]
    assert "4/4" in lab.run("status").stdout
    best = json.loads(lab.run("best", "--json").stdout)
    assert best["params"] == status["ranking"][0]["params"]
    assert "Best" in lab.run("best").stdout
    shown = lab.run("show", "3")
    assert "train:quick" in shown.stdout or "complete" in shown.stdout
    assert json.loads(lab.run("show", "3", "--json").stdout)
    missing = lab.run("show", "99")
    assert missing.returncode == 2
    assert "trial 99" in missing.stderr


def test_best_before_there_is_any_is_a_failure_not_a_mistake(lab: Lab) -> None:
    lab.write_space()
    lab.master("--plain")
    wait_until(lambda: lab.names(), what="it is published")
    done = lab.run("best")
    assert done.returncode == 1
    assert "no trial of space has a result yet" in done.stderr


@pytest.mark.long
def test_the_page_in_the_default_logs_directory_is_taken_for_no_study(lab: Lab) -> None:
    lab.logs.mkdir()
    shutil.copy(ROOT / "logs" / "README.md", lab.logs)
    done = lab.run("status")
    assert done.returncode == 2
    assert "no study in logs; start one" in done.stderr
    viewer = lab.start("top")
    lab.wait_for_words(viewer, "no study in logs yet; waiting for a master")
    worker = lab.start("worker", "--objective", "train:quick", "--jobs", "1")
    lab.wait_for_words(worker, "no study in logs yet")
    lab.write_space(objective="train:quick", trials=2)
    assert lab.run("master", "--space", "space.json").returncode == 0
    assert worker.wait(60) == 0
    assert viewer.wait(20) == 0
    assert "2/2 trials" in lab.log_of(viewer)
    assert lab.status()["trials"]["counted"] == 2
    assert "no study 'README.md'" in lab.run("status", "--study", "README.md").stderr


@pytest.mark.long
def test_a_study_whose_folder_was_renamed_goes_on_with_workers_of_its_master(lab: Lab) -> None:
    finished(lab, trials=2)
    (lab.logs / "space").rename(lab.logs / "renamed")
    lab.write_space(objective="train:quick", trials=4)
    going_on = ["master", "--space", "space.json", "--study", "renamed", "--workers", "1"]
    done = lab.run(*going_on, "--objective", "train:quick")
    assert done.returncode == 0, done.stderr
    assert lab.status("renamed")["trials"]["counted"] == 4
    assert lab.run("verify", "renamed", "--repair").returncode == 0


def test_a_viewer_s_logs_directory_that_cannot_be_is_a_mistake(lab: Lab) -> None:
    done = lab.run("top", "--logs", "nowhere/logs")
    assert done.returncode == 2
    assert "no study in nowhere/logs; start one" in done.stderr


def test_a_worker_that_waits_for_a_study_names_those_that_are_there(lab: Lab) -> None:
    finished(lab, trials=1)
    worker = lab.start("worker", "--study", "spcae", "--jobs", "1")
    lab.wait_for_words(worker, "no study 'spcae' in logs yet (there: space)")


def test_the_name_to_export_to_chooses_the_format(lab: Lab) -> None:
    finished(lab, trials=1)
    assert lab.run("export", "--out", "trials.jsonl").stdout == "wrote 1 trial to trials.jsonl\n"
    (line,) = (lab.folder / "trials.jsonl").read_text().splitlines()
    assert json.loads(line)["outcome"] == "complete"
    assert lab.run("export", "--out", "trials.txt").returncode == 0
    assert (lab.folder / "trials.txt").read_text().startswith("number,configuration,rank,")


def test_json_of_a_master_is_a_snapshot_a_line(lab: Lab) -> None:
    lab.write_space(trials=5)
    done = lab.run(
        "master", "--space", "space.json", "--workers", "1", "--objective", "train:train", "--json"
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) >= 2
    assert lines[-1]["trials"]["counted"] == 5
    assert lines[-1]["state"] == "finished"


@pytest.mark.long
def test_plain_lines_name_what_happened(lab: Lab) -> None:
    # Two seconds each: a master looks once a second at least.
    lab.write_space(trials=3, params={"x": {"type": "float", "low": 0, "high": 1}, "pause": 0.7})
    done = lab.run(
        "master", "--space", "space.json", "--workers", "1", "--objective", "train:train"
    )
    assert "claimed by" in done.stdout
    assert "trial 2 complete, loss" in done.stdout
    assert "\x1b" not in done.stdout
    assert "leaderboard.csv" in done.stdout


@pytest.mark.long
def test_top_shows_the_same_to_any_number_of_viewers(lab: Lab) -> None:
    lab.write_space(trials=6, params={"x": {"type": "float", "low": 0, "high": 1}, "pause": 0.1})
    viewers_start = lab.master("--plain")
    wait_until(lambda: lab.names(), what="it is published")
    viewers = [lab.start("top", "--plain") for _ in range(2)]
    assert lab.worker().wait(60) == 0
    assert viewers_start.wait(30) == 0
    assert [viewer.wait(30) for viewer in viewers] == [0, 0]
    for viewer in viewers:
        assert "complete" in lab.log_of(viewer)


def test_another_study_of_the_same_name_is_refused(lab: Lab) -> None:
    finished(lab, trials=2)
    lab.write_space(objective="train:quick", seed=1)
    done = lab.run("master", "--space", "space.json")
    assert done.returncode == 2
    assert "it differs in seed" in done.stderr
    assert "--study" in done.stderr


@pytest.mark.long
def test_a_study_whose_objective_always_fails_stops_with_the_error(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=500, max_attempts=1,
                    params={"y": {"type": "float", "low": 0, "high": 1}})  # fmt: skip
    done = lab.run(
        "master", "--space", "space.json", "--workers", "2", "--objective", "train:quick"
    )
    assert done.returncode == 1
    assert "KeyError: 'x'" in done.stderr
    assert len(lab.seen()) < 100
    best = lab.run("best")
    assert best.returncode == 1
    assert "no trial of space has a result, and the study is over: all of the first" in best.stderr
    assert "KeyError: 'x'" in best.stderr


def test_init_writes_a_file_that_check_likes(lab: Lab) -> None:
    assert lab.run("init", "mine.json").returncode == 0
    done = lab.run("check", "mine.json")
    assert done.returncode == 0, done.stderr
    assert "20 trials" in done.stdout
    assert "mine.json is fine" in done.stdout


def test_presets_are_listed_with_what_they_show(lab: Lab) -> None:
    shown = lab.run("presets").stdout
    for name in ("lab-scenario5", "lab-scenario6", "quickstart"):
        assert name in shown
        assert json.loads(lab.run("presets", name).stdout)["params"]


@pytest.mark.long
def test_the_same_seed_tries_the_same_settings(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=4)
    seen = []
    for study in ("one", "two"):
        lab.run("master", "--space", "space.json", "--study", study, "--workers", "2",
                "--objective", "train:quick")  # fmt: skip
        rows = lab.status(study)["ranking"]
        seen.append([(row["trials"], row["params"], row["value"]) for row in rows])
    assert seen[0] == seen[1]


@pytest.fixture
def no_data(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data set is found, and a download is refused by a proxy that is not there."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(lab.folder / "cache"))
    monkeypatch.delenv("DISTUNE_DATA", raising=False)


@pytest.mark.usefixtures("no_data")
def test_a_study_that_names_missing_data_fails_with_what_to_do(lab: Lab) -> None:
    """No silent fall back."""
    lab.write_space(objective="mnist-cnn", params={"epochs": 1}, metric=None, direction=None)
    done = lab.run("master", "--space", "space.json", "--workers", "1")
    assert done.returncode == 2, done.stdout
    assert "MNIST is not in" in done.stderr
    assert "--data-dir" in done.stderr


@pytest.mark.usefixtures("no_data")
def test_a_download_is_announced_apart_from_where_the_data_is(lab: Lab) -> None:
    done = lab.run("data", "usps", "--data-dir", "there")
    said, problem = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert said == "downloading USPS (8.4 MB) to there"
    assert problem.startswith("distune: USPS is not in there, ")


def test_the_version_is_that_of_the_package(lab: Lab) -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    version = lab.run("--version").stdout.split()[1]
    assert f'version = "{version}"' in pyproject


@pytest.mark.usefixtures("no_data")
@pytest.mark.long
def test_data_that_one_study_lacks_keeps_no_worker_from_another(lab: Lab) -> None:
    lab.write_space(
        "mnist.json", objective="mnist-cnn", params={"epochs": 1}, metric=None, direction=None
    )
    lab.write_space("mine.json", trials=3)
    lab.master("--plain", space="mnist.json")
    wait_until(lambda: lab.names(study="mnist"), what="the first is published")
    mine = lab.master("--plain", space="mine.json")
    wait_until(lambda: lab.names(study="mine"), what="the second is published")
    worker = lab.worker()
    assert mine.wait(60) == 0
    assert worker.wait(60) == 2
    log = lab.log_of(worker)
    there = lab.folder / "cache" / "distune"
    assert f"mnist is not on this host; downloading MNIST (12 MB) to {there}\n" in log
    assert "MNIST is not in" in log
    assert len(lab.seen("mine")) == 3
