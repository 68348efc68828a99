"""`distune pause`, `distune stop` and `distune resume`, with real processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from distune.cli.halting import Standing
from distune.errors import UserError
from distune.share import access, protocol
from tests.conftest import Lab, wait_until
from tests.test_halting import a_study

SLOW = {"x": {"type": "float", "low": 0.0, "high": 1.0}, "pause": 0.4, "steps": 4}


def said(lab: Lab, *arguments: str) -> str:
    done = lab.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_a_running_study_pauses_goes_on_and_stops_and_the_same_command_ends_it(lab: Lab) -> None:
    lab.write_space(trials=1000, params=SLOW)
    workers, master = [lab.worker(), lab.worker()], lab.master("--plain")
    wait_until(lambda: all(lab.taken_by(worker) for worker in workers), what="both train")
    assert said(lab, "pause", "space").splitlines() == [
        "study space is paused: nothing new is published or claimed",
        "to go on: distune resume space --logs logs",
    ]
    wait_until(lambda: not any(lab.taken_by(worker) for worker in workers), what="both rest")
    wait_until(lambda: not [n for n in lab.names() if n.endswith("done")], what="all is counted")
    trained = lab.counted()
    assert len(trained) >= 2
    status = lab.status()
    assert (status["state"], status["halt"]) == ("paused", "pause")
    assert "● paused" in said(lab, "status")
    paused_for = time.monotonic() + 2.0
    wait_until(lambda: time.monotonic() > paused_for, what="a pause")
    assert lab.counted() == trained
    assert said(lab, "pause", "space")  # it was before

    assert said(lab, "resume", "space") == "study space goes on\n"
    wait_until(lambda: all(lab.taken_by(worker) for worker in workers), what="both train again")
    assert lab.status()["state"] == "running"
    running = {int(n[:6]) for worker in workers for n in lab.taken_by(worker)}
    assert said(lab, "stop", "space").splitlines() == [
        "study space is being stopped: what is trained goes on to its end, nothing new is claimed,"
        " and then its master ends",
        "to go on later: distune resume space --logs logs, and then the master's command as before",
    ]
    assert [process.wait(30) for process in (master, *workers)] == [0, 0, 0]
    counted = lab.counted()
    assert running <= set(counted)
    log = lab.log_of(master)
    assert "stopped by distune stop; to go on: distune resume space --logs logs" in log
    assert lab.status()["reason"] == "it was stopped (distune stop)"
    assert "over already: it was stopped" in said(lab, "stop", "space", "--now")
    assert lab.run("pause", "space").returncode == 2

    command = ["master", "--space", "space.json", "--objective", "train:train", "--workers", "2"]
    again = lab.run(*command)
    assert again.returncode == 0
    assert "to go on: distune resume space" in again.stdout
    assert lab.counted() == counted
    assert "start it with the command" in said(lab, "resume", "space")
    assert lab.status()["state"] == "master stopped"
    trials = 2 + max(*counted, *(int(n[:6]) for n in lab.names()))
    done = lab.run(*command, "--trials", str(trials))
    assert done.returncode == 0, done.stdout
    assert lab.counted() == list(range(trials))


@pytest.mark.long
def test_a_study_that_is_stopped_at_once_gives_back_and_ends_within_seconds(lab: Lab) -> None:
    lab.write_space(trials=4, objective="train:hang")
    worker = lab.start("worker", "--objective", "train:hang", "--jobs", "2")
    master = lab.master("--plain")
    wait_until(lambda: len(lab.taken_by(worker)) == 2, what="it trains")
    began = time.monotonic()
    assert said(lab, "stop", "space", "--now").startswith(
        "study space is being stopped: what is trained is given back at once"
    )
    assert [master.wait(15), worker.wait(15)] == [0, 0]
    assert time.monotonic() - began < 10
    assert lab.counted() == []
    waiting = [n for n in lab.names() if n[0] == "0"]
    assert [n.partition(".")[0] for n in waiting] == ["000000", "000001", "000002", "000003"]
    attempts = sorted(n.partition(".")[2] for n in waiting)
    assert attempts == ["1.jsonl", "1.jsonl", "2.jsonl", "2.jsonl"]
    assert "given back by" in lab.log_of(master)


@pytest.mark.long
def test_without_a_master_workers_stop_and_the_next_master_ends_the_study(lab: Lab) -> None:
    lab.write_space(trials=8, params=SLOW)
    worker, master = lab.worker(), lab.master("--plain")
    wait_until(lambda: lab.taken_by(worker), what="it trains")
    master.kill()
    master.wait()
    said(lab, "stop", "space")
    wait_until(lambda: not lab.taken_by(worker), what="it has trained that")
    lab.wait_for_words(worker, "study space is being stopped")
    assert worker.poll() is None
    assert lab.run("master", "--space", "space.json").returncode == 0
    assert worker.wait(20) == 0
    assert 1 <= len(lab.counted()) <= 2


def test_a_study_that_nobody_works_on_can_be_paused_and_stopped(lab: Lab) -> None:
    lab.write_space()
    master = lab.master("--plain")
    wait_until(lambda: len(lab.names()) == 4, what="it has published")
    master.terminate()
    master.wait()
    said(lab, "pause", "space")
    assert lab.status()["state"] == "master stopped"
    assert "master stopped, paused" in said(lab, "status")
    assert "the next one that is started ends the study" in said(lab, "stop", "space")
    assert lab.status()["halt"] == "stop"
    refused = lab.run("pause", "space")
    assert refused.returncode == 2
    assert "first: distune resume space --logs logs" in refused.stderr
    said(lab, "resume", "space")
    assert said(lab, "resume", "space").startswith("study space is neither paused nor stopped\n")
    assert lab.status()["halt"] is None


@pytest.mark.parametrize("command", ["pause", "resume", "stop"])
def test_a_study_that_is_not_there_is_a_mistake_that_names_those_that_are(
    lab: Lab, command: str
) -> None:
    lab.logs.mkdir()
    a_study(lab.logs / "mnist")
    for arguments, words in (
        ([], "say which study (in logs: mnist)"),
        (["mnits"], "no study 'mnits' in logs (there: mnist)"),
        (["mnist", "--logs", "lags"], "no study 'mnist' in lags (there: none)"),
    ):
        done = lab.run(command, *arguments)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert os.listdir(lab.logs / "mnist" / protocol.TRIALS) == []


def test_a_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_study(tmp_path / "mnist")

    def read_only(folder: Path) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(access, "_owner_of_new_file", read_only)
    with pytest.raises(UserError, match=r"no write access to .*Read-only file system"):
        Standing.of(tmp_path, "mnist", any_owner=True)
