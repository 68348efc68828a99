"""A history as an Optuna study: for Optuna's analyses, and for its storages and dashboard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from distune.errors import UserError
from distune.ranking import History
from distune.space import FloatParameter, IntParameter
from distune.trial import Counted, Outcome, Report, Scalar

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


def optuna_study(
    history: History,
    curves: Mapping[int, Sequence[Report]] | None = None,
    *,
    storage: Any = None,
) -> optuna.Study:
    """Every counted trial of a history, in the order of their numbers.

    What has a finite value is complete there, what was pruned is pruned, and all else,
    diverged trials too, has failed: Optuna keeps no value that is not a number. Repeats are
    trials of their own with the same params.

    Args:
        history: of the study; its tests are left out.
        curves: reports by the trials' numbers, which become intermediate values.
        storage: as `optuna.create_study` takes it; in memory if None.

    Raises:
        UserError: Optuna is not installed.
        optuna.exceptions.DuplicatedStudyError: the storage has a study of that name.
    """
    import_optuna()
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=history.study.name,
            direction=history.study.direction,
        )
    finally:
        optuna.logging.set_verbosity(verbosity)
    study.set_metric_names([history.study.metric])
    distributions = _distributions(history)
    trials = sorted(history.trials, key=lambda counted: counted.trial.number)
    study.add_trials(
        [
            _frozen(history, one, distributions, (curves or {}).get(one.trial.number, ()))
            for one in trials
        ]
    )
    return study


def import_optuna() -> Any:
    """The library.

    Raises:
        UserError: it is not installed; says how to.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            f"this needs Optuna ({error}); install it: pip install 'distune[report,export]'"
        ) from None
    return optuna


def _distributions(history: History) -> dict[str, BaseDistribution]:
    """A distribution for each parameter, that of the study's space where its values fit."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    values: dict[str, dict[str, Scalar]] = {}
    for counted in history.trials:
        for name, value in counted.trial.params.items():
            values.setdefault(name, {}).setdefault(repr(value), value)
    found: dict[str, BaseDistribution] = {}
    for name, seen in values.items():
        spec = history.study.params.get(name)
        distribution: BaseDistribution | None = None
        if isinstance(spec, FloatParameter):
            distribution = FloatDistribution(spec.low, spec.high, log=spec.log, step=spec.step)
        elif isinstance(spec, IntParameter):
            distribution = IntDistribution(spec.low, spec.high, log=spec.log, step=spec.step or 1)
        elif spec is not None:
            distribution = CategoricalDistribution(spec.choices)
        if distribution is None or not all(_fits(distribution, one) for one in seen.values()):
            distribution = CategoricalDistribution(list(seen.values()))
        found[name] = distribution
    return found


def _fits(distribution: BaseDistribution, value: Scalar) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def _frozen(
    history: History,
    counted: Counted,
    distributions: Mapping[str, BaseDistribution],
    curve: Sequence[Report],
) -> optuna.trial.FrozenTrial:
    import optuna

    trial, result = counted.trial, counted.result
    complete = (
        result.outcome is Outcome.COMPLETE
        and result.value is not None
        and math.isfinite(result.value)
    )
    if complete:
        state = optuna.trial.TrialState.COMPLETE
    elif result.outcome is Outcome.PRUNED:
        state = optuna.trial.TrialState.PRUNED
    else:
        state = optuna.trial.TrialState.FAIL
    attributes: dict[str, Any] = {
        "trial": trial.number,
        "attempt": trial.attempt,
        "repeat": trial.repeat,
        "seed": trial.seed,
        "outcome": str(result.outcome),
        "worker": counted.worker,
        "device": counted.device,
        "seconds": result.seconds,
        **{
            f"metric:{name}": value
            for name, value in result.metrics.items()
            if math.isfinite(value)
        },
    }
    if result.failure is not None:
        attributes["failure"] = result.failure.message
    ended = datetime.fromtimestamp(history.study.created, UTC).replace(tzinfo=None) + timedelta(
        seconds=counted.elapsed or 0.0
    )
    frozen = optuna.trial.create_trial(
        state=state,
        value=result.value if complete else None,
        params=dict(trial.params),
        distributions={name: distributions[name] for name in trial.params},
        user_attrs=attributes,
        intermediate_values={
            report.step: report.metrics[history.study.metric]
            for report in curve
            if history.study.metric in report.metrics
        },
    )
    frozen.datetime_start = ended - timedelta(seconds=result.seconds)
    frozen.datetime_complete = ended
    return frozen
