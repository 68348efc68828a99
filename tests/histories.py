"""Studies and what is counted of them, made without running anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from distune.search.asked import AskedSoFar, recovered_from, trial_of
from distune.search.ranking import History
from distune.search.sampler import Question, Sampler, Suggestion
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.lines_file import LinesFile
from distune.share.protocol import AttemptName
from distune.share.store import Store
from distune.space_file.freeze import freeze
from distune.space_file.read import parse_space_file
from distune.study.study import Limits, Study
from distune.study.trial import (
    Asked,
    Claim,
    Counted,
    Outcome,
    Purpose,
    Record,
    Report,
    Result,
    Trial,
    trial_seed,
)

WORKER = "gpu7-812-4f2a9c"
LEASE = 20.0  # seconds


def study(name: str = "digits", created: float = 0.0, **fields: Any) -> Study:
    """A study as its space file describes it."""
    sampler = {} if "stages" in fields else {"sampler": "random"}
    file = parse_space_file(json.dumps({"params": {}, **sampler, **fields}), "space.json")
    return freeze(file, name=name, study_id="s", lease=LEASE, created=created)


def make_study(trials: int = 6, *, repeats: int = 1, **changes: object) -> tuple[Study, Limits]:
    """A study of one parameter that `objective` understands."""
    file = parse_space_file(
        '{"objective": "o:o", "params": {"x": {"type": "float", "low": 0, "high": 1}},'
        ' "metric": "y", "direction": "maximize", "sampler": "random"}',
        "simulation",
    ).model_copy(update={"repeats": repeats, **changes})
    study = freeze(file, name="s", study_id="s-1", lease=LEASE, created=0.0)
    return study, Limits(trials=trials)


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
    usual = {"study": "s", "number": number, "attempt": 1, "configuration": number}
    fields = {**usual, "params": params, **(trial or {})}
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
                    "seed": trial_seed(of.seed, number // of.repeats, number % of.repeats),
                    "configuration": number // of.repeats,
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
        path = folder / AttemptName.counted(one.key).seen_path
        path.parent.mkdir(exist_ok=True)
        claim = Claim(worker=one.worker, host="gpu7", device=one.device, time=0.0)
        reports = curves.get(one.trial.number, [])
        lines: list[Record] = [one.trial, claim, *reports, one.result]
        path.write_bytes(b"".join(map(records.encode, lines)))
    (folder / protocol.HISTORY).write_bytes(b"".join(map(records.encode, many)))
    asked = AskedSoFar(of)
    for one in many:
        seeded = trial_seed(of.seed, one.trial.configuration, one.trial.repeat)
        found = recovered_from(of, one.trial.replace(seed=seeded))
        if found is not None:
            asked.add(found)
    (folder / protocol.ASKED).write_bytes(b"".join(asked.lines()))
    return store


def lines_of(*counted: Counted) -> list[bytes]:
    """The lines of a history."""
    return [records.encode(one) for one in counted]


def suggested(
    sampler: Sampler, number: int, history: History | None = None
) -> dict[str, Any] | None:
    """The setting that a sampler gives configuration `number`; None if it gives none."""
    before = History(study()) if history is None else history
    found = sampler.ask(Question(number, before))
    return found.params if isinstance(found, Suggestion) else None


def asked_from(of: Study, sampler: Sampler, many: int) -> list[Asked]:
    """So many configurations, or as many as there are, each asked for when all before it are
    counted.
    """
    found: list[Asked] = []
    past = History(of)
    for number in range(many):
        answer = sampler.ask(Question(number, past))
        if not isinstance(answer, Suggestion):
            break
        found.append(asked_for(of, number, answer))
        past.extend(results_of(of, found[-1]))
    return found


def asked_for(of: Study, number: int, answer: Suggestion) -> Asked:
    """A configuration as the master remembers it, in a study in which none was tried again."""
    return Asked(
        study=of.id,
        configuration=number,
        trial=number * of.repeats,
        repeats=of.repeats,
        params=dict(answer.params),
        stage=answer.stage,
        state=dict(answer.state),
    )


def results_of(of: Study, asked: Asked) -> list[Counted]:
    """All trials of a configuration, complete; the value depends on the setting."""
    value = sum(map(ord, json.dumps(asked.params, sort_keys=True))) / 1000
    return [
        Counted(
            trial=trial_of(of, asked, number),
            worker=WORKER,
            result=Result(outcome=Outcome.COMPLETE, value=value),
        )
        for number in range(asked.trial, asked.trial + asked.repeats)
    ]


def asked_in(store: Store, of: Study) -> AskedSoFar:
    """What `asked.jsonl` says."""
    known = AskedSoFar(of)
    for record in records.decode_lines(store.folder.read(protocol.ASKED)):
        assert isinstance(record, Asked)
        known.add(record)
    return known


def asked_trial(of: Study, sampler: Sampler, number: int, attempt: int = 1) -> Trial:
    """Trial `number` of a study whose sampler is asked for nothing else."""
    configuration, repeat = divmod(number, of.repeats)
    params = suggested(sampler, configuration, History(of))
    assert params is not None
    return Trial(
        study=of.id,
        number=number,
        attempt=attempt,
        configuration=configuration,
        repeat=repeat,
        seed=trial_seed(of.seed, configuration, repeat),
        params=params,
    )


def history_file(store: Store) -> LinesFile[Counted]:
    return LinesFile(store, protocol.HISTORY, Counted, store.load())


def read_history(store: Store) -> list[Counted]:
    """What the history file has."""
    return [one for one, _ in history_file(store).read()]


def append_history(store: Store, *counted: Counted) -> None:
    lines = lines_of(*counted)
    history_file(store).append(lines, lines)
