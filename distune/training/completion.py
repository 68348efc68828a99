"""What a training that has come to its end has reached. Pure."""

import json
import math
from collections.abc import Mapping, Sequence

from distune.errors import Mistake
from distune.study.constraint import SECONDS
from distune.study.reporting import remedy, what_it_is
from distune.study.study import Study
from distune.study.trial import Outcome, Report, Result, Trial, summarize, with_others


def completed(
    study: Study, trial: Trial, reports: Sequence[Report], *, paused: bool = False
) -> Result:
    """The result of a training that has come to its end, or to the rung where it pauses.

    Raises:
        Mistake: it has not reported what its study ranks, or bounds.
    """
    if trial.best is not None:  # a test has metrics of its own
        best = reports[-1] if reports else None
        value = None
    else:
        best = summarize(reports, study.metric, study.direction, study.summary)
        value = best.metrics[study.metric] if best else None
    if best is None:
        seen = sorted({name for report in reports for name in report.metrics})
        raise Mistake(
            f"the {'command' if study.command else 'objective'} did not report {study.metric!r}, "
            f"{what_it_is(study, study.metric)}; "
            + (
                f'it reported {", ".join(seen)}: the space file\'s "metric" says which it is'
                if seen
                else f"it reported nothing: {_how_to_report(study)}"
            )
        )
    metrics = best.metrics
    if trial.best is None and (also := study.also_judged):
        metrics = with_others(best, reports, also)
        _check_all_is_reported(study, metrics)
    finite = value is None or math.isfinite(value)
    ended = Outcome.COMPLETE if finite else Outcome.DIVERGED
    return Result(
        outcome=Outcome.PAUSED if paused else ended,
        value=value,
        metrics=metrics,
        seconds=reports[-1].seconds,
        steps=len(reports),
    )


def _check_all_is_reported(study: Study, metrics: Mapping[str, float]) -> None:
    """See that a training has reported all that its study judges it by.

    Raises:
        Mistake: it has not: the study would rank nothing.
    """
    for name in study.also_judged:
        if name not in metrics:
            raise Mistake(
                f"the {'command' if study.command else 'objective'} did not report {name!r}, "
                f"{what_it_is(study, name)}; it reported {', '.join(sorted(metrics))}, and "
                f"{SECONDS!r} is measured by distune: {remedy(study, name)}"
            )


def _how_to_report(study: Study) -> str:
    if study.command is None:
        return f"yield or return {{{study.metric!r}: 0.5}}"
    return f"print a line of JSON and nothing else in it, such as {json.dumps({study.metric: 0.5})}"
