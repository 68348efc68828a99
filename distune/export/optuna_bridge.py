"""A history as an Optuna study: for Optuna's analyses, and for its storages and dashboard."""

import json
import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from distune.export.table import TrialRow, TrialTable, is_numeric, span
from distune.search.ranking import History
from distune.share.records import with_finite_numbers
from distune.study.constraint import SECONDS, Constraint
from distune.study.space import CategoricalParameter, FloatParameter, IntParameter, Parameter
from distune.study.stage import possible_after
from distune.study.study import Study
from distune.study.trial import Outcome, Params, Report, Scalar

#: Fields of a row that an Optuna trial has a place of its own for, or that may change.
_NO_ATTRIBUTES = frozenset({"params", "metrics", "test", "value", "rank", "elapsed", "steps"})


def optuna_study(table: TrialTable, storage: Any = None, *, plain: bool = False) -> optuna.Study:
    """The trials of a table, in the order of their numbers.

    What has a finite value is complete there, what was pruned is pruned, and all else,
    diverged trials too, has failed: Optuna keeps no value that is not a number. Repeats are
    trials of their own with the same params. The other fields of a `TrialRow`, its metrics and
    its tests are user attributes, called as the columns of a table are. Times are those of
    `distune.export.table.span`, in local time, as Optuna's own.

    A parameter has the distribution of the study's space, made wider where a value is not in
    it; one that stages tune has that of the last stage with a range, or all their choices.
    Where Optuna would take two choices for the same (`1`, `True`, `1.0`), or cannot compare
    them (`10**400`), all are text, as JSON. Integers beyond 2**53 are floats.

    Args:
        table: of the trials. Optuna numbers its trials itself: which they are is the attribute
            `number`. Their curves become intermediate values.
        storage: as `optuna.create_study` takes it; in memory if None.
        plain: without objectives but the first one, and without constraints; for plots, which
            would leave out what is infeasible.

    Raises:
        optuna.exceptions.DuplicatedStudyError: the storage has a study of that name.
    """
    history, ours = table.history, table.history.study
    goals, constraints = ours.goals, ours.constraints
    if plain:
        goals, constraints = {ours.metric: ours.direction}, {}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=storage, study_name=history.study.name, directions=list(goals.values())
        )
    finally:
        optuna.logging.set_verbosity(verbosity)
    with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
        study.set_metric_names(list(goals))
    domains = _domains(history)
    for row, reports in table.with_curves():
        study.add_trial(_frozen(history, row, domains, reports, list(goals), constraints))
    return study


def placed(
    history: History, settings: Iterable[Params]
) -> Iterator[dict[str, tuple[Scalar, BaseDistribution]]]:
    """Of each setting: what a parameter is there, and the distribution that has it."""
    domains = _domains(history)
    for params in settings:
        yield {n: (domains[n].value_of(v), domains[n].distribution) for n, v in params.items()}


@dataclass(frozen=True)
class _Domain:
    """What a parameter's values are there: a distribution, and whether they are text there."""

    distribution: BaseDistribution
    as_text: bool = False

    def value_of(self, value: Scalar) -> Scalar:
        return json.dumps(value) if self.as_text else value


def _domains(history: History) -> dict[str, _Domain]:
    """Of each parameter: the study's space, or else one that has all the values."""
    seen: dict[str, dict[tuple[type, Scalar], Scalar]] = {}
    for counted in history.trials:
        for name, value in counted.trial.params.items():
            seen.setdefault(name, {}).setdefault((type(value), value), value)
    return {
        name: _domain(_spec(history.study, name), list(values.values()))
        for name, values in seen.items()
    }


def _spec(study: Study, name: str) -> Parameter | None:
    """What may be tried of a parameter; over stages a range, if one has it."""
    stages = study.stages or []
    specs = [one.params[name] for one in stages if name in one.params]
    ranges = [one for one in specs if not isinstance(one, CategoricalParameter)]
    return ranges[-1] if ranges else possible_after(study.params, stages).get(name)


def _domain(spec: Parameter | None, values: list[Scalar]) -> _Domain:
    if not isinstance(spec, CategoricalParameter) and all(is_numeric(value) for value in values):
        for distribution in _ranges(spec, values):
            if all(_fits(distribution, value) for value in values):
                return _Domain(distribution)
    listed = spec.choices if isinstance(spec, CategoricalParameter) else []
    choices = list({(type(value), value): value for value in [*listed, *values]}.values())
    comparable = all(not is_numeric(choice) or _is_float(choice) for choice in choices)
    if comparable and len(set(choices)) == len(choices):
        return _Domain(CategoricalDistribution(choices))
    return _Domain(CategoricalDistribution([json.dumps(value) for value in choices]), as_text=True)


def _is_float(value: Any) -> bool:
    return bool(abs(value) <= sys.float_info.max)


def _ranges(spec: Parameter | None, values: Sequence[Any]) -> Iterator[BaseDistribution]:
    """Ranges for numbers, the best first; the first that has all of them is to be taken."""
    ends = list(values)
    log = False
    if isinstance(spec, FloatParameter | IntParameter):
        ends += [spec.low, spec.high]
        log = spec.log
        # Optuna cuts a range that does not end on a step, and warns.
        with warnings.catch_warnings(action="ignore"):
            own = (
                IntDistribution(spec.low, spec.high, log=log, step=spec.step or 1)
                if isinstance(spec, IntParameter)
                else FloatDistribution(spec.low, spec.high, log=log, step=spec.step)
            )
        yield own
    low, high = min(ends), max(ends)
    if all(isinstance(value, int) for value in values) and not isinstance(spec, FloatParameter):
        yield IntDistribution(low, high, log=log and low >= 1)
    if _is_float(low) and _is_float(high):
        yield FloatDistribution(low, high, log=log and low > 0)


def _fits(distribution: BaseDistribution, value: Any) -> bool:
    """Whether it has the value, and an integer without loss if it has integers."""
    try:
        internal = distribution.to_internal_repr(value)
    except (ValueError, OverflowError):
        return False
    exact = internal == value or not isinstance(distribution, IntDistribution)
    return exact and bool(distribution._contains(internal))


def _broken(
    constraints: Mapping[str, Constraint], measured: Mapping[str, float | None]
) -> Iterator[tuple[str, float]]:
    """Of each constraint by how much a trial is outside of it, as Optuna has it: 0 or less if it
    is not.
    """
    for name, constraint in constraints.items():
        value = measured.get(name)
        if value is not None:
            yield name, constraint.excess(value)


def _frozen(
    history: History,
    row: TrialRow,
    domains: Mapping[str, _Domain],
    curve: Iterable[Report],
    goals: Sequence[str],
    constraints: Mapping[str, Constraint],
) -> FrozenTrial:
    measured = {**row.metrics, history.study.metric: row.value, SECONDS: row.seconds}
    values = [value for name in goals if (value := measured.get(name)) is not None]
    finite = len(values) == len(goals) and all(map(math.isfinite, values))
    if row.outcome == Outcome.COMPLETE and finite:
        state = TrialState.COMPLETE
    else:
        state = TrialState.PRUNED if row.outcome == Outcome.PRUNED else TrialState.FAIL
    metric = history.study.metric
    attributes = {name: value for name, value in vars(row).items() if name not in _NO_ATTRIBUTES}
    attributes |= {f"metrics.{name}": value for name, value in row.metrics.items()}
    attributes |= {f"test.{name}": value for name, value in row.test.items()}
    frozen = create_trial(
        state=state,
        values=values if finite and state is not TrialState.FAIL else None,
        constraints=dict(_broken(constraints, measured)),
        params={name: domains[name].value_of(value) for name, value in row.params.items()},
        distributions={name: domains[name].distribution for name in row.params},
        user_attrs={n: with_finite_numbers(v) for n, v in attributes.items() if v is not None},
        intermediate_values={
            report.step: report.metrics[metric] for report in curve if metric in report.metrics
        },
    )
    began, ended = span(history.study, row.seconds, row.elapsed)
    frozen.datetime_start = datetime.fromtimestamp(began)
    frozen.datetime_complete = datetime.fromtimestamp(ended)
    return frozen
