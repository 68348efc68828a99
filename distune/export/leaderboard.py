"""What remains of a study for other programs: a table and the winner, as text. Pure."""

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Any

from distune.export.goals import GoalsOf
from distune.search.configuration import Configuration
from distune.search.ranking import History
from distune.study.command import without
from distune.study.trial import Counted

#: Of what `--json` prints, as docs/json.md describes it.
JSON_VERSION = 1
_LONGEST_NAME = 80  # characters of a study's that its winner's has
#: How a cell begins that spreadsheets take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def parameter_names(history: History) -> list[str]:
    """Names of the parameters: those of the study, then those that were tried besides."""
    tried = (name for one in history.ranking() for name in one.params)
    return list(dict.fromkeys([*history.study.params, *tried]))


def leaderboard_csv(history: History) -> str:
    """One row a configuration, best first. Spread is the standard deviation over repeats."""
    study = history.study
    names, goals = parameter_names(history), GoalsOf(history)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ours = ["rank", "trials", "standing", study.metric, "spread", "repeats", study.test_metric,
            "seconds", "parameters", *goals.columns]  # fmt: skip
    ours += ["reason"] if study.pruner is not None else []
    header = (csv_text(f"params.{name}" if name in ours else name) for name in names)
    writer.writerow([*map(csv_text, ours), *header])
    for rank, one in history.places():
        numbers = " ".join(str(counted.trial.number) for counted in one.trials)
        standing = one.tier(study.repeats).name.lower()
        test = _cell(one.test_mean(study.test_metric))
        measured = [_cell(one.mean), _cell(one.spread), len(one.values), test]
        cost = [f"{one.seconds:.3f}", _cell(one.parameters)]
        params = (csv_text(one.params.get(name)) for name in names)
        judged = (cell if isinstance(cell, str) else _cell(cell) for cell in goals.cells(one))
        why = [csv_text(one.why)] if study.pruner is not None else []
        writer.writerow([rank, numbers, standing, *measured, *cost, *judged, *why, *params])
    return out.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def csv_text(value: object) -> str:
    """A value as the text of a cell, None as nothing.

    Text from the share that a spreadsheet would run as a formula gets a `'` in front; numbers
    stay as they are, also those that are text.
    """
    text = "" if value is None else str(value)
    if text.startswith(_FORMULA):
        try:
            float(text)
        except ValueError:
            text = f"'{text}"
    # The csv module leaves a lone carriage return unquoted, and its reader then stumbles.
    return json.dumps(text) if "\r" in text else text


def result_of(configuration: Configuration, test_metric: str) -> dict[str, Any]:
    """What a configuration reached, as plain data; numbers that are not finite as null."""
    trials = trials_behind(configuration)
    found = {
        "value": configuration.mean,
        "spread": configuration.spread,
        "values": configuration.values,
        test_metric: configuration.test_mean(test_metric),
        "seconds": configuration.seconds,
        "trials": [run.trial.number for run in trials],
        "seeds": [run.trial.seed for run in trials],
    }
    if configuration.is_confirmed:
        found["search_saw"] = configuration.searched_mean
    return dict(strict(found))


def trials_behind(configuration: Configuration) -> list[Counted]:
    """The trials that its value is of."""
    return configuration.confirming if configuration.is_confirmed else configuration.trials


def strict(tree: Any) -> Any:
    """The same plain data without NaN and infinity, which JSON does not have."""
    match tree:
        case float():
            return tree if math.isfinite(tree) else None
        case Mapping():
            return {key: strict(value) for key, value in tree.items()}
        case list() | tuple():
            return [strict(value) for value in tree]
        case _:
            return tree


def _on_front(configuration: Configuration, goals: GoalsOf) -> dict[str, Any]:
    trials = [one.trial.number for one in configuration.trials]
    means = goals.of(configuration)["objectives"]
    return dict(
        strict({"params": goals.params_of(configuration), "objectives": means, "trials": trials})
    )


def best_space(history: History, within: Configuration | None = None) -> str | None:
    """The winner as a space file: `distune master --space best.json` trains it again, with the
    seeds that it had, in a study that is named after it. Of several objectives its `result` has all
    of the front. `within`: another one instead.

    None if no configuration has a finite value.
    """
    winner = within or history.winner()
    if winner is None:
        return None
    study, goals = history.study, GoalsOf(history)
    ranked_by: dict[str, Any] = {"metric": study.metric, "direction": study.direction}
    result = {**result_of(winner, study.test_metric), **strict(goals.of(winner))}
    if study.objectives:
        ranked_by = {"objectives": study.objectives}
        result["front"] = [_on_front(one, goals) for one in history.front()]
    trials = winner.confirming if winner.is_confirmed else winner.complete or winner.trials
    if (confirmation := history.confirmation()) is not None:
        result["confirmed"] = confirmation.words() if confirmation.is_over else None
    fields: dict[str, Any] = {
        "name": f"{study.name[:_LONGEST_NAME]}-best-{winner.first}",
        "description": f"{_what(history, within)} of {study.name}, of {history.configurations} "
        "configurations",
        "objective": study.objective,
        "command": study.command
        and without(study.command, study.parameter_names - winner.params.keys()),
        "params": {
            name: {"choices": [value]} if isinstance(value, list | dict) else value
            for name, value in study.plain_params(winner.params).items()
        },
        **ranked_by,
        "constraints": {n: c.model_dump(exclude_none=True) for n, c in study.constraints.items()}
        or None,
        "summary": study.summary,
        "repeats": len(trials),
        "trials": len(trials),
        "seed": study.seed,
        "seeds": [one.trial.seed for one in trials],
        "max_seconds": study.max_seconds,
        "trial_timeout": study.trial_timeout,
        "fresh_process": study.fresh_process or None,
        "result": result,
    }
    return json.dumps({k: v for k, v in fields.items() if v is not None}, indent=2) + "\n"


def _what(history: History, within: Configuration | None) -> str:
    return "the winner" if within in (None, history.winner()) else "the best within limits"
