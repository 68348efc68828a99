"""Another study's results as the history that a new one begins with. Pure."""

import json
import math
from collections import Counter
from collections.abc import Iterator

from distune.errors import UserError
from distune.search.configuration import Tier
from distune.search.goals import judged_beside
from distune.search.ranking import History
from distune.search.sampler import Sampler
from distune.study.space import may_be
from distune.study.study import Earlier, Study, WarmStart
from distune.study.trial import Params, Scalar

_MOST = 10_000  # results: of more, the best


def warm_start(study: Study, sampler: Sampler, other: History) -> tuple[WarmStart, list[str]]:
    """What of another study's results is of a study's space, and lines for people about the rest.

    Raises:
        UserError: it cannot learn from them: names why.
    """
    name, theirs = other.study.name, other.study
    if study.stages is not None or sampler.at_once is None:
        raise UserError(
            f'--warm-start: {sampler.label} learns from no results: say "sampler": "tpe"'
        )
    if (theirs.metric, theirs.direction) != (study.metric, study.direction):
        raise UserError(
            f"--warm-start: {name} is to {theirs.direction} {theirs.metric}, and this study "
            f"to {study.direction} {study.metric}"
        )
    results: list[tuple[int, Earlier]] = []
    why: Counter[str] = Counter()
    for one in other.ranking():
        mean = one.mean
        if mean is None or not math.isfinite(mean) or one.tier(theirs.repeats) > Tier.PARTIAL:
            continue
        params, misfit = _fitting(study, one.params)
        also = {name: one.mean_of(name) for name in judged_beside(study)}
        known = {name: value for name, value in also.items() if value is not None}
        missing = [name for name in also if not math.isfinite(known.get(name, math.nan))]
        misfit = misfit or (f"no {missing[0]}" if missing else "")
        if misfit:
            why[misfit] += 1
        elif len(results) < _MOST:
            results.append((one.first, Earlier(params=params, value=mean, also=known)))
    if not results:
        reason = f" ({_counts(why)})" if why else ": it has none"
        raise UserError(f"--warm-start: no result of {name} is of this space{reason}")
    lines = [f"warm start: {len(results)} results of {name}"]
    if why:
        lines[0] += f"; {sum(why.values())} are not of this space ({_counts(why)})"
    lines += _differences(study, theirs)
    found = [earlier for _, earlier in sorted(results, key=lambda one: one[0])]
    return WarmStart(study=theirs.id, results=found), lines


def _fitting(study: Study, theirs: Params) -> tuple[dict[str, Scalar], str]:
    """A setting as one of this space; and the parameter that it cannot be because of, if so."""
    space = study.space
    constants = space.constants
    found: dict[str, Scalar] = {}
    for name, spec in space.params.items():
        if not spec.is_active(found):
            continue
        if name in constants:
            found[name] = constants[name]
        elif name not in theirs:
            return {}, f"no {name}"
        elif not may_be(spec, theirs[name]):
            return {}, name
        else:
            found[name] = theirs[name]
    return found, ""


def _counts(why: Counter[str]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in why.most_common())


def _differences(study: Study, theirs: Study) -> Iterator[str]:
    """What was otherwise there, so that the results may be others here."""
    here, there = study.space.constants, theirs.space.constants
    for name in here.keys() & there.keys():
        if here[name] != there[name]:
            was, now = json.dumps(there[name]), json.dumps(here[name])
            yield f"warm start: {name} was {was} in {theirs.name}, and is {now} here"
    only = [n for n in theirs.parameter_names - study.parameter_names if n not in there]
    if only:
        yield f"warm start: {theirs.name} searched {', '.join(sorted(only))}, too: left out here"
