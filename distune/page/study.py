"""A study as the page draws it: plain data, in parts that change at their own pace. Pure.

    {"status": {...}, "space": [...], "order": [first, ...],
     "configurations": {first: {...}, ...}, "trials": {number: {...}, ...},
     "answer": {...}, "failures": [...]}

A configuration is named by the number of its first trial.
"""

from typing import Any

from distune.export.table import trial_rows
from distune.page.answer import answer_of
from distune.page.failures import failure_groups
from distune.search.ranking import History
from distune.study.space import CategoricalParameter
from distune.watch.display.json_data import ranked_json, snapshot_json
from distune.watch.snapshot import Snapshot

Tree = dict[str, Any]


def study_of(snapshot: Snapshot) -> Tree:
    """All of it."""
    return {"status": status_of(snapshot), **counted_of(snapshot.history)}


def status_of(snapshot: Snapshot) -> Tree:
    """What may be another at each look: state, workers, what runs, events."""
    found = snapshot_json(snapshot, 0)
    del found["ranking"]
    return {**found, "offer": snapshot.study.offer}


def counted_of(history: History) -> Tree:
    """What changes when a trial is counted, or dropped."""
    ranking = {one["trials"][0]: one for one in ranked_json(history)}
    tried = (name for one in ranking.values() for name in one["params"])
    names = dict.fromkeys([*history.study.params, *tried])
    return {
        "space": [_parameter(history, name) for name in names],
        "order": list(ranking),
        "configurations": ranking,
        "trials": {row.number: _trial(vars(row)) for row in trial_rows(history)},
        "answer": answer_of(history),
        "failures": failure_groups(history),
    }


def _parameter(history: History, name: str) -> Tree:
    spec = history.study.params.get(name)
    found: Tree = {"name": name, "log": bool(getattr(spec, "log", False))}
    if isinstance(spec, CategoricalParameter):
        found["choices"] = list(spec.choices)
    elif spec is not None and hasattr(spec, "low"):
        found |= {"low": spec.low, "high": spec.high}
    return found


#: What the page knows of a trial by its configuration, or never shows.
_NOT_SHOWN = ("params", "rank", "number", "front", "violations", "metrics", "seed", "steps")


def _trial(row: Tree) -> Tree:
    return {k: v for k, v in row.items() if v is not None and v != {} and k not in _NOT_SHOWN}
