"""What a training has to report, in words. Pure."""

import json
from collections.abc import Collection

from distune.study.study import Study


def judged(study: Study) -> list[str]:
    """The metrics that each of its trials has to report, the one that it ranks by first."""
    return [study.metric, *study.also_judged]


def how_to_report(study: Study) -> str:
    """What a user's code does to report the metric that is ranked."""
    value = json.dumps({study.metric: 0.5})
    return f"yield {value}" if study.command is None else f"print a line {value}"


def what_it_is(study: Study, name: str) -> str:
    """What the study wants a metric for."""
    if name == study.metric:
        return "which the study ranks"
    return f"which is one of the study's {_key_of(study, name)}"


def remedy(study: Study, name: str) -> str:
    """What to do about one that nobody reports."""
    if name == study.metric and not study.objectives:
        return f'{how_to_report(study)}, or name in the space file\'s "metric" what is reported'
    return f'report it, or take it out of the space file\'s "{_key_of(study, name)}"'


def lacking(study: Study, names: Collection[str]) -> str | None:
    """What there is to say of these metrics, which no report of a running training has had yet;
    None if the study wants none of them. Its last report may have all, so it may go on.
    """
    missing = [name for name in judged(study) if name in names]
    if not missing:
        return None
    name = missing[0]
    others = f" (nor {', '.join(missing[1:])})" if missing[1:] else ""
    said = f"reports have no {name!r} so far, {what_it_is(study, name)}{others}: "
    if name == study.metric and study.pruner is not None:
        said += f"until they do, the pruner {study.pruner} can stop nothing, and "
    return f"{said}a training that ends without has failed; {remedy(study, name)}"


def _key_of(study: Study, name: str) -> str:
    return "objectives" if name in study.objectives else "constraints"
