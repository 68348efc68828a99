"""All studies of a folder at a glance, each looked at when that may have changed."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from distune.dashboard.watching import Watched
from distune.errors import DistuneError
from distune.search.ranking import History
from distune.share.protocol import State
from distune.study.trial import Outcome, better, is_of_search
from distune.watch.display.failed import failures_counted
from distune.watch.display.state import doing_of, planned_trials
from distune.watch.snapshot import Snapshot

_TREND = 40  # points
_AT_ONCE = 8  # studies that are looked at: a network file system takes its time for each
_OFTEN, _SELDOM = 2.0, 16.0  # seconds between two looks at a study

Row = dict[str, Any]


@dataclass
class _Known:
    """A row, and when to look again."""

    row: Row = field(default_factory=dict)
    pause: float = _OFTEN
    due: float = 0.0

    def take(self, row: Row) -> None:
        """What does not change is looked at half as often the next time."""
        self.pause = min(2 * self.pause, _SELDOM) if row == self.row else _OFTEN
        self.row, self.due = row, time.monotonic() + self.pause


class Overview:
    """`Overview().look(studies)`: a row a study."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def look(self, studies: Mapping[str, Watched]) -> list[Row]:
        """One that cannot be read says why, in `trouble`."""
        self._known = {name: self._known.get(name) or _Known() for name in studies}
        due = [name for name, known in self._known.items() if known.due <= time.monotonic()]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(lambda name: _looked_at(studies[name]), due)
            for name, row in zip(due, found, strict=True):
                self._known[name].take({"name": name, **row})
        return [known.row for known in self._known.values()]


def _looked_at(watched: Watched) -> Row:
    try:
        with watched.looked(_OFTEN) as snapshot:
            return _summary(snapshot)
    except DistuneError as error:
        return {"trouble": str(error)}


def _summary(snapshot: Snapshot) -> Row:
    study, history = snapshot.study, snapshot.history
    winner = history.winner()
    running = snapshot.in_state(State.TAKEN)
    beats = (snapshot.beats.get(name.worker) for name in running)
    hosts = Counter("unknown hosts" if beat is None else beat.host for beat in beats)
    return {
        "objective": study.objective_name,
        "metric": study.metric,
        "direction": study.direction,
        "state": doing_of(snapshot).value,
        "counted": history.over,
        "planned": planned_trials(snapshot),
        "best": winner.mean if winner is not None else None,
        "trend": _trend(history),
        "failures": failures_counted(history),
        "running": len(running),
        "workers": sum(view.silence < study.lease for view in snapshot.workers),
        "hosts": dict(sorted(hosts.items())),  # how many trials run there
        "elapsed": snapshot.elapsed,
        "created": study.created,
    }


def _trend(history: History) -> Sequence[float]:
    """The best value so far, at even distances of trials; as exactly as it can be drawn."""
    best: list[float] = []
    for counted in history.standing:
        value = counted.result.value
        complete = counted.result.outcome is Outcome.COMPLETE and is_of_search(counted.trial)
        if value is not None and complete:
            is_better = not best or better(value, best[-1], history.study.direction)
            best.append(value if is_better else best[-1])
    step = max(1, len(best) // _TREND)
    return [float(f"{value:.5g}") for value in best[::-step][::-1]]
