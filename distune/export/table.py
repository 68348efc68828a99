"""A study's trials as a table: the same rows and columns for every format. Pure."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property
from typing import TypeGuard

from distune.export.goals import GoalsOf
from distune.export.leaderboard import parameter_names
from distune.search.ranking import History
from distune.search.staged import StagedSampler
from distune.study.space import CategoricalParameter, IntParameter, Parameter
from distune.study.stage import Stage
from distune.study.study import Study
from distune.study.trial import Metrics, Params, Purpose, Report, Scalar, Trial, is_of_search

#: 1970 to 9999, as far as clocks and calendars of other programs reach.
_LAST_MOMENT = 253_000_000_000.0


@dataclass(frozen=True)
class TrialRow:
    """A counted trial: its fields are the columns of every export, in this order."""

    number: int  # of the trial in the study, from 0
    configuration: int  # the number of the first trial with the same params; repeats share it
    rank: int | None  # of the configuration among all, from 1, for now; None if it failed
    stage: str | None  # that asked for it; None in a study without stages, or of what is extended
    repeat: int  # which repeat of its configuration it is, from 0
    attempt: int  # the one that counted, from 1
    seed: int  # of the training
    outcome: str  # complete, diverged, pruned, failed, timeout or out-of-memory
    value: float | None  # of the study's metric, NaN or infinite if it diverged; None without one
    seconds: float  # of training
    elapsed: float | None  # seconds that the study had run when it was counted; None if unknown
    steps: int  # reports made
    worker: str
    device: str  # what it was trained on
    reason: str | None  # why it was stopped before its end, if it was
    failure: str | None  # why it failed, in a line
    params: Params  # by name; columns `params.NAME`
    metrics: Metrics  # of the step that `value` is from; columns `metrics.NAME`
    test: Metrics  # what it reached on the test set, if it was tested; columns `test.NAME`
    #: Whether its configuration is on the front; None in a study of one metric, and no column.
    front: bool | None = field(default=None, kw_only=True)
    #: Which constraints that does not keep, and by how much; None in a study without any.
    violations: str | None = field(default=None, kw_only=True)


def trial_rows(history: History, top: int | None = None) -> list[TrialRow]:
    """One for each counted trial of the `top` best configurations, or of all, in the order of their
    numbers; tests are part of theirs.
    """
    staged = StagedSampler(history.study) if history.study.stages else None
    if staged is not None:
        staged.follow(history.trials)
    rows, goals, study = [], GoalsOf(history), history.study
    for rank, configuration in history.places(top):
        violations = "; ".join(map(str, configuration.violations))
        for counted in (*configuration.trials, *configuration.fresh):
            trial, result = counted.trial, counted.result
            test = history.get((Purpose.TEST, trial.number))
            stage = None
            if staged is not None and is_of_search(trial):
                stage = staged.stage_of(trial.configuration)
            rows.append(
                TrialRow(
                    number=trial.number,
                    configuration=configuration.first,
                    rank=rank,
                    stage=_stage_name(trial, stage),
                    repeat=trial.repeat,
                    attempt=trial.attempt,
                    seed=trial.seed,
                    outcome=str(result.outcome),
                    value=result.value,
                    seconds=result.seconds,
                    elapsed=counted.elapsed,
                    steps=result.steps,
                    worker=counted.worker,
                    device=counted.device,
                    reason=result.why or None,
                    failure=result.failure.message if result.failure else None,
                    params=trial.params,
                    metrics=result.metrics,
                    test=test.result.metrics if test else {},
                    front=goals.is_on_front(configuration) if study.objectives else None,
                    violations=violations if study.constraints else None,
                )
            )
    return sorted(rows, key=lambda row: row.number)


def _stage_name(trial: Trial, stage: Stage | None) -> str | None:
    """What confirms the best is none of the search's, and comes when that is over."""
    if trial.confirms is not None:
        return "confirming"
    return stage.name if stage is not None else None


def curve_of(reports: Iterable[Report]) -> list[dict[str, float]]:
    """Steps as plain data: `{"step": 1, "seconds": 0.7, "val_loss": 0.31}`.

    A metric that is called `step` or `seconds` and says something else than these two is
    `metrics.step` or `metrics.seconds`.
    """
    curve = []
    for report in reports:
        entry: dict[str, float] = {"step": report.step, "seconds": report.seconds}
        for name, value in report.metrics.items():
            if name not in ("step", "seconds"):
                entry[name] = value
            elif value != entry[name]:
                entry[f"metrics.{name}"] = value
        curve.append(entry)
    return curve


def span(study: Study, seconds: float, elapsed: float | None) -> tuple[float, float]:
    """When the training of a trial began and ended, in seconds since 1970, for people.

    All by the master's clock, and as if the study had run without a pause: what workers'
    clocks say cannot be compared (P6).
    """
    seconds = _finite(seconds)
    elapsed = seconds if elapsed is None else _finite(elapsed)
    ended = min(max(_finite(study.created) + elapsed, seconds), _LAST_MOMENT)
    return ended - seconds, ended


def _finite(seconds: float) -> float:
    return min(max(seconds, 0.0), _LAST_MOMENT / 2) if math.isfinite(seconds) else 0.0


_INT64 = range(-(2**63), 2**63)
_EXACT = range(-(2**53), 2**53 + 1)  # as floats, each of them

#: Reports by the trials' numbers; may be read only when they are asked for.
Curves = Mapping[int, Sequence[Report]]


class Kind(StrEnum):
    """What all values of a column are, where there is one: as Arrow calls it."""

    INTEGER = "int64"
    NUMBER = "float64"
    BOOLEAN = "bool"
    TEXT = "string"


@dataclass(frozen=True)
class ExportColumn:
    """One column of the table; a value that a trial does not have is None."""

    name: str
    kind: Kind
    values: list[Scalar]


#: Fields of a row that are columns, and what their values are like, also where there is none.
_EXAMPLES: dict[str, Scalar] = {"int": 0, "float": 0.0, "str": ""}
_TYPES = {
    one.name: getattr(one.type, "__name__", f"{one.type}".removesuffix(" | None"))
    for one in fields(TrialRow)
}
_GOALS = ("front", "violations")  # columns of a study that has objectives, or constraints
_DESCRIBED = {
    name: _EXAMPLES[of] for name, of in _TYPES.items() if of in _EXAMPLES and name not in _GOALS
}


@dataclass(frozen=True)
class TrialTable:
    """Counted trials, a row each: `TrialTable(history, top=10).rows`."""

    history: History
    curves: Curves = field(default_factory=dict)
    top: int | None = None  # of how many configurations, the best ones; of all if None
    #: Is called with how many trials `with_curves` has gone through.
    tell: Callable[[int], None] = lambda done: None

    @cached_property
    def rows(self) -> list[TrialRow]:
        return trial_rows(self.history, self.top)

    def with_curves(self) -> Iterator[tuple[TrialRow, Sequence[Report]]]:
        """Each row with what its trial has reported, read when it is its turn."""
        for done, row in enumerate(self.rows, 1):
            yield row, self.curves.get(row.number, ())
            self.tell(done)

    @cached_property
    def columns(self) -> list[ExportColumn]:
        """One for each field of a `TrialRow`, then one for each param, metric and test.

        A column is as wide as its values need: integers with other numbers are numbers; where a
        parameter has values of several kinds, all are text, as Python writes them (`1`, `True`).
        What the study's space allows counts as well, so that no column changes its kind while
        the study runs.
        """
        described = [
            _column(name, [getattr(row, name) for row in self.rows], [example])
            for name, example in _DESCRIBED.items()
            if name != "reason" or self.history.study.pruner is not None
        ]
        if self.history.study.objectives:
            described.append(_column("front", [row.front for row in self.rows], [True]))
        if self.history.study.constraints:
            described.append(_column("violations", [row.violations for row in self.rows], [""]))
        measured = []
        for group in ("metrics", "test"):
            found = [getattr(row, group) for row in self.rows]
            for name in dict.fromkeys(name for metrics in found for name in metrics):
                values = [metrics.get(name) for metrics in found]
                measured.append(_column(f"{group}.{name}", values, [0.0]))
        return [*described, *self.params, *measured]

    @cached_property
    def params(self) -> list[ExportColumn]:
        """Those of the parameters: `params.lr`."""
        study = self.history.study
        spaces = [study.params, *(stage.params for stage in study.stages or [])]
        found = []
        for name in parameter_names(self.history):
            allowed = [one for space in spaces if name in space for one in _examples(space[name])]
            values = [row.params.get(name) for row in self.rows]
            found.append(_column(f"params.{name}", values, allowed))
        return found


def _examples(spec: Parameter) -> Sequence[Scalar]:
    if isinstance(spec, CategoricalParameter):
        return spec.choices
    return [spec.low, spec.high] if isinstance(spec, IntParameter) else [float(spec.low)]


def _column(name: str, values: list[Scalar], examples: Sequence[Scalar]) -> ExportColumn:
    kind = _kind([*examples, *values])
    if kind is Kind.NUMBER:
        values = [None if value is None else float(value) for value in values]
    elif kind is Kind.TEXT:
        values = [None if value is None else str(value) for value in values]
    return ExportColumn(name, kind, values)


def _kind(values: Sequence[Scalar]) -> Kind:
    types = {type(value) for value in values if value is not None}
    integers = [value for value in values if type(value) is int]
    if types <= {int} and all(value in _INT64 for value in integers):
        return Kind.INTEGER if types else Kind.TEXT
    if types == {bool}:
        return Kind.BOOLEAN
    if types <= {int, float} and float in types and all(value in _EXACT for value in integers):
        return Kind.NUMBER
    return Kind.TEXT


def is_numeric(value: Scalar) -> TypeGuard[int | float]:
    """Whether a parameter's value is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)
