"""All studies of a folder at a glance, each looked at when that may have changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from distune.errors import DistuneError
from distune.search.ranking import History
from distune.share.protocol import State
from distune.share.store import Store
from distune.study.trial import FAILURES, Outcome, better, is_of_search
from distune.watch.display.state import doing_of, planned_trials
from distune.watch.observer import Observer
from distune.watch.snapshot import Snapshot

_TREND = 40  # points


class Overview:
    """`Overview().look(stores)`: a row a study."""

    def __init__(self) -> None:
        self._observers: dict[str, Observer] = {}

    def look(self, stores: Mapping[str, Store]) -> list[dict[str, Any]]:
        """One that cannot be read says why."""
        for name in self._observers.keys() - stores.keys():
            del self._observers[name]
        return [self._row(name, store) for name, store in stores.items()]

    def _row(self, name: str, store: Store) -> dict[str, Any]:
        try:
            observer = self._observers.get(name)
            if observer is None:
                observer = self._observers[name] = Observer(store)
            return {"name": name, **_summary(observer.look())}
        except (DistuneError, FileNotFoundError) as error:
            self._observers.pop(name, None)  # another study may have its name
            return {"name": name, "trouble": str(error)}


def _summary(snapshot: Snapshot) -> dict[str, Any]:
    study, history = snapshot.study, snapshot.history
    winner = history.winner()
    running = snapshot.in_state(State.TAKEN)
    hosts = (snapshot.beats.get(name.worker) for name in running)
    return {
        "objective": study.objective_name,
        "metric": study.metric,
        "direction": study.direction,
        "state": doing_of(snapshot).value,
        "counted": history.over,
        "planned": planned_trials(snapshot),
        "best": winner.mean if winner is not None else None,
        "trend": _trend(history),
        "failures": sum(history.outcomes[one] for one in FAILURES),
        "running": len(running),
        "workers": sum(view.silence < study.lease for view in snapshot.workers),
        "hosts": sorted({beat.host for beat in hosts if beat is not None}),
        "elapsed": snapshot.elapsed,
    }


def _trend(history: History) -> Sequence[float]:
    """The best value so far, at even distances of trials."""
    best: list[float] = []
    for counted in history.standing:
        value = counted.result.value
        complete = counted.result.outcome is Outcome.COMPLETE and is_of_search(counted.trial)
        if value is not None and complete:
            is_better = not best or better(value, best[-1], history.study.direction)
            best.append(value if is_better else best[-1])
    step = max(1, len(best) // _TREND)
    return best[::-step][::-1]
