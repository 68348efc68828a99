"""What must be true of a race in a simulated history, whose trials pause at rungs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from distune.search.judge import Judge
from distune.search.pruning import Curve, points_of
from distune.share import records
from distune.share.protocol import State
from distune.share.records import AttemptFile
from distune.study.trial import Counted, Outcome, Purpose

if TYPE_CHECKING:
    from tests.simulation import World


RACING = ("asha", "hyperband")


def check_place(line: Counted, where: str) -> None:
    """What did not go on has the value at its rung that its own curve has."""
    if "why is not known" in line.result.why:
        return  # the other master did it
    found = re.match(r"rung at (?:step \d+|\S+ s): (\S+), (not )?among the best", line.result.why)
    assert found is not None, f"{where}: {line.result.why}"
    assert isinstance(line.curve, list), f"{where}: {line}"
    stood = {f"{standing:.5g}" for standing in line.curve[2]}
    assert found[1] in stood, f"{where}: {line.result.why}: {stood}"


def check_race(world: World, where: str) -> None:
    """Nobody is promoted twice from one rung, or without having paused there; and where one master
    alone has decided, nobody was given up who stands among the best of its rung in the end.
    """
    attempts: defaultdict[int, dict[int, AttemptFile]] = defaultdict(dict)  # by trial
    paused: set[tuple[int, int]] = set()  # trials, and which attempts at them
    counted = []
    for path, name in world.attempts():
        if name.purpose is not Purpose.TRAIN:
            continue
        file = records.parse_attempt(world.share.files[path])
        if file.trial.confirms is not None:
            continue  # it runs to its end
        attempts[name.trial][name.attempt] = file
        if name.state is State.SEEN:
            counted.append(file)
        elif file.result is not None and file.result.outcome is Outcome.PAUSED:
            paused.add((name.trial, name.attempt))
    again = {
        int(path.rpartition("/")[2].partition(".")[0])
        for path, times in world.share.published.items()
        if times > 1
    }
    for number, of_trial in attempts.items():
        # Of two masters one that was frozen may publish a first attempt again, of what is long
        # counted: once that is given back, it takes the place of the one that had paused.
        certain = paused if number not in again else None
        _check_promotions(of_trial, certain, f"{where}: trial {number}")
    if world.masters == 1 and not world.meddled and world.limits.time_limit is None:
        given_up = [f for f in counted if (f.trial.number, f.trial.attempt) in paused]
        _check_best(world, counted, given_up, where)


def _check_promotions(
    of_trial: dict[int, AttemptFile], paused: set[tuple[int, int]] | None, where: str
) -> None:
    passed: list[float] = []
    for attempt, file in sorted(of_trial.items()):
        rungs = file.trial.pauses_at
        assert rungs is not None, f"{where}: it takes no part in the race"
        before, passed = passed, rungs.passed
        if len(passed) > len(before):
            assert passed[: len(before)] == before, f"{where}: {before}, {passed}"
            known = attempt - 1 in of_trial
            promoted = paused is None or (file.trial.number, attempt - 1) in paused
            assert promoted or not known, f"{where}: attempt {attempt} goes on, and had not paused"


def _check_best(
    world: World, counted: Iterable[AttemptFile], given_up: Iterable[AttemptFile], where: str
) -> None:
    race = Judge(world.study).race
    assert race is not None
    for file in counted:
        race.note(Curve(file.trial, points_of(world.study, file.reports)), over=True)
    for file in given_up:
        standing, says = race.standing(file)
        best = standing is not None and standing.goes_on(
            world.study.pruner_options["reduction_factor"]  # type: ignore[arg-type]
        )
        assert not best, f"{where}: trial {file.trial.number} was given up: {says}"
