"""Reads from the share what a report needs of a study."""

import math
from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace
from functools import partial

from distune.errors import BadRecord, NotAFolder
from distune.page.curves import sample
from distune.report.preset_claims import sentences
from distune.report.study_data import DETAILED, StudyData
from distune.search.ranking import History
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile, Room, decode_document
from distune.share.store import Store
from distune.study.figures import FILE, Figure, Figures
from distune.study.trial import Counted, Outcome
from distune.watch.display.state import is_over
from distune.watch.load import LoadedStudy
from distune.watch.observer import Observer

#: Of how many trials learning curves are read: the best ones, and others drawn at random.
CURVES_OF_BEST, CURVES_OF_OTHERS = 60, 240
GIVEN_UP = 300  # attempts that ended no trial, of which the file is read
TIMEKEEPERS = 3  # trials by worker
FAILED = 50  # of which the files are read, for what they have printed
_POINTS = 120  # of a curve: no more are drawn
FIGURES_LIMIT = 16 * 2**20  # bytes


def read_study(store: Store) -> StudyData:
    """What a report needs to know of a study.

    Raises:
        ShareError: the share did not answer.
    """
    snapshot = Observer(store).look()
    history = snapshot.history
    lost = sorted(name for name in store.seen() if name.state is State.LOST)
    given_up: dict[AttemptName, AttemptFile | None] = dict.fromkeys(lost)
    reading = _Reading()
    for name in lost[:GIVEN_UP]:
        given_up[name] = reading.file(partial(store.read_attempt, name, seen=True))
    chosen = sample(history, CURVES_OF_BEST, CURVES_OF_OTHERS)
    wanted = [one for one in chosen if one.result.steps > 1]
    wanted += [one for one in history.standing if one.result.failure is not None][:FAILED]
    wanted += [one for best in history.ranking(DETAILED) for one in best.trials[:DETAILED]]
    wanted += _timekeepers(history, {name.worker for name in lost})
    files = {one.trial.number: reading.file(partial(store.read_counted, one)) for one in wanted}
    figures, problems = _figures(store, history)
    if reading.left_out:
        problems.append(
            f"The reports of {reading.left_out} attempts are left out: all together are too many."
        )
    return StudyData(
        snapshot=snapshot,
        files={number: file for number, file in files.items() if file is not None},
        given_up=given_up,
        figures=figures,
        sampled=len(chosen) < len(history.standing),
        beside_report=sentences(snapshot.study, partial(LoadedStudy, store))
        if is_over(snapshot)
        else [],
        problems=problems,
    )


@dataclass
class _Reading:
    """Files of attempts, as long as they do not fill the memory."""

    left_out: int = 0
    _room: Room = field(default_factory=Room)

    def file(self, read: Callable[[], AttemptFile]) -> AttemptFile | None:
        """The file of an attempt, with as many of its reports as are drawn, spread over all of
        them; None if it is not to be had.
        """
        try:
            file = read()
        except (FileNotFoundError, BadRecord):
            return None
        every = math.ceil(len(file.reports) / _POINTS) or 1
        file = replace(file, reports=file.reports[::-every][::-1])
        if self._room.takes(file):
            return file
        self.left_out += 1
        return None


def _timekeepers(history: History, workers: Set[str]) -> list[Counted]:
    """A few trials of each of these workers, which tell how its clock stands."""
    left = dict.fromkeys(workers, TIMEKEEPERS)
    found = []
    for one in history.standing:
        if left.get(one.worker, 0) > 0:
            left[one.worker] -= 1
            found.append(one)
    return found


def _figures(store: Store, history: History) -> tuple[dict[int, list[Figure]], list[str]]:
    """What the first test of the winner left, by its trial's number, and what is wrong with it."""
    winner = history.winner()
    tests = winner.standing_tests if winner is not None else []
    tested = next((one.trial for one in tests if one.result.outcome is Outcome.COMPLETE), None)
    if tested is None:
        return {}, []
    try:
        data = store.read_artifact(tested, FILE, FIGURES_LIMIT)
        return {tested.number: decode_document(Figures, data).figures}, []
    except FileNotFoundError:
        return {}, []
    except (BadRecord, NotAFolder) as error:
        return {}, [f"The figures of trial {tested.number} cannot be used: {error}."]
