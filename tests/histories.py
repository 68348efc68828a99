"""Studies and what is counted of them, made without running anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from distune.master.planner import trial_seed
from distune.search.ranking import History
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.history_file import HistoryFile
from distune.share.protocol import AttemptName, State
from distune.share.store import Store
from distune.study.study import Study, freeze, parse_space_file
from distune.study.trial import Claim, Counted, Outcome, Purpose, Record, Report, Result, Trial

WORKER = "gpu7-812-4f2a9c"


def study(name: str = "digits", created: float = 0.0, **fields: Any) -> Study:
    """A study as its space file describes it."""
    file = parse_space_file(json.dumps({"params": {}, **fields}), "space.json")
    return freeze(file, name=name, study_id="s", lease=20.0, created=created)


def counted(
    number: int,
    params: dict[str, Any],
    value: float | None = None,
    outcome: Outcome = Outcome.COMPLETE,
    *,
    trial: dict[str, Any] | None = None,
    elapsed: float | None = None,
    **result: Any,
) -> Counted:
    """A counted trial: `trial` and `result` have fields beyond the usual."""
    fields = {"study": "s", "number": number, "attempt": 1, "params": params, **(trial or {})}
    return Counted(
        trial=Trial(**fields),
        worker=WORKER,
        device="cpu",
        result=Result(outcome=outcome, value=value, **{"seconds": 1.5, **result}),
        elapsed=elapsed,
    )


def history_of(of: Study, many: Iterable[Counted]) -> History:
    made = History(of)
    made.extend(many)
    return made


def history(of: Study, *runs: tuple[dict[str, Any], float | None, Outcome]) -> History:
    """A trial for each run, with the seed that the master would give it."""
    return history_of(
        of,
        [
            counted(
                number,
                params,
                value,
                outcome,
                trial={
                    "seed": trial_seed(of.seed, number, of.repeats),
                    "repeat": number % of.repeats,
                },
            )
            for number, (params, value, outcome) in enumerate(runs)
        ],
    )


def reports(*steps: dict[str, float]) -> list[Report]:
    """A curve, half a second a step."""
    return [Report(step=i, metrics=step, seconds=i / 2) for i, step in enumerate(steps, 1)]


def evaluated(of: Counted, **metrics: float) -> Counted:
    """A trial's test."""
    return Counted(
        trial=of.trial.replace(purpose=Purpose.TEST),
        worker=WORKER,
        result=Result(outcome=Outcome.COMPLETE, metrics=metrics),
    )


def write_study(
    folder: Path, of: Study, many: Sequence[Counted], curves: dict[int, list[Report]]
) -> Store:
    """A study's folder in which all that is counted lies in `seen/`."""
    folder.mkdir(parents=True)
    store = Store(Folder(folder))
    store.create(of)
    for one in many:
        pruned = one.result.outcome is Outcome.PRUNED
        state = State.PRUNED if pruned else State.SEEN
        name = AttemptName(
            one.trial.number, one.trial.attempt, one.trial.purpose, one.worker, state
        )
        path = folder / name.seen_path
        path.parent.mkdir(exist_ok=True)
        claim = Claim(worker=one.worker, host="gpu7", device=one.device, time=0.0)
        lines: list[Record] = [one.trial, claim, *curves.get(one.trial.number, [])]
        path.write_bytes(b"".join(map(records.encode, [*lines, *([] if pruned else [one.result])])))
    (folder / protocol.HISTORY).write_bytes(b"".join(map(records.encode, many)))
    return store


def lines_of(*counted: Counted) -> list[bytes]:
    """The lines of a history."""
    return [records.encode(one) for one in counted]


def history_file(store: Store) -> HistoryFile:
    return HistoryFile(store, store.load().id)


def read_history(store: Store) -> list[Counted]:
    """What the history file has."""
    return [one for one, _ in history_file(store).read()]


def append_history(store: Store, *counted: Counted) -> None:
    lines = lines_of(*counted)
    history_file(store).append(lines, lines)
