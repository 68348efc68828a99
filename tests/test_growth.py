"""A training process that grows from trial to trial: a module keeps what each of them makes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from distune.space_file.freeze import freeze
from distune.space_file.model import SpaceFile
from distune.study.trial import Result, Trial
from distune.training.growth import Growth
from distune.training.messages import Assignment, Prepare
from distune.training.offer import Offer
from distune.training.process import ExecutorProcess
from distune.training.turns import TrialsInTurn
from tests.conftest import wait_until

MEGABYTE = 2**20
OBJECTIVE = """\
import os

KEPT = []

def train(params):
    KEPT.append(b"x" * int(params["bytes"]))
    return {"pid": os.getpid()}
"""


@pytest.mark.parametrize(
    ("kept", "free", "fresh"),
    [
        (300 * MEGABYTE, 290 * MEGABYTE, True),
        (300 * MEGABYTE, 700 * MEGABYTE, False),
        (MEGABYTE, 0, False),
    ],
    ids=["more than is free", "less than is free", "next to nothing"],
)
def test_a_process_that_has_grown_by_more_than_is_free_trains_no_more(
    tmp_path: Path, kept: int, free: int, fresh: bool
) -> None:
    (tmp_path / "growing.py").write_text(OBJECTIVE)
    space = SpaceFile.model_validate(
        {
            "objective": "growing:train",
            "params": {"bytes": kept},
            "metric": "pid",
            "direction": "maximize",
        }
    )
    study = freeze(space, name="s", study_id="s", lease=20.0, created=0.0)
    offer = Offer(name="growing:train", path=str(tmp_path / "growing.py"))
    process = ExecutorProcess(Prepare(device="cpu", offers=[offer]))
    said: list[str] = []
    turns = TrialsInTurn(process, slots=1, growth=Growth(lambda: free, said.append))
    pids = []
    try:
        for number in range(3):
            trial = Trial(study="s", number=number, attempt=1, params={"bytes": kept})
            turns.start(0, Assignment(study=study, trial=trial, folder="f"))
            heard: list[Result] = []

            def result_came(heard: list[Result] = heard) -> bool:
                heard += [one for _, one in turns.poll() if isinstance(one, Result)]
                return bool(heard)

            wait_until(result_came, 60, what="a result")
            pids.append(heard[0].value or math.nan)
    finally:
        process.end(grace=0.0)
    assert pids[0] == pids[1]
    assert (pids[2] != pids[1]) is fresh
    assert len(said) == fresh
    assert all("has grown by 0.3 GB" in line and "a fresh one goes on" in line for line in said)
