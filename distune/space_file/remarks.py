"""What a study has that no check forbids, and its user hardly means. Pure."""

from collections.abc import Iterator, Sequence

from distune.errors import UserError
from distune.search.confirming import can_never_decide
from distune.search.pruners import PRUNERS
from distune.search.sampler import Sampler
from distune.search.samplers.grid import GridSampler
from distune.search.staged import make_sampler
from distune.study.command import placeholders
from distune.study.space import CategoricalParameter
from distune.study.stage import possible_after
from distune.study.study import Limits, Study
from distune.study.trial import Scalar

#: More trials than this are as good as no limit.
_MOST_COUNTED = 100_000


def remarks(study: Study, limits: Limits) -> Iterator[str]:
    """A line for people about each."""
    yield from _about_trials(study, limits)
    if study.pruner is not None:
        yield from _about_pruner(study, study.pruner, limits)
    if study.command is not None:
        yield from _about_command(study, study.command)


def _about_trials(study: Study, limits: Limits) -> Iterator[str]:
    sampler, repeats = make_sampler(study), study.repeats
    trials = planned_trials(study, limits, sampler)
    whole, rest = divmod(trials or 0, repeats)
    if rest and study.stages is None:
        yield (
            f"of {trials} trials, {rest} will be of a configuration that has not all of its "
            f"{repeats} repeats, and cannot win: {(whole + 1) * repeats} trials come out even"
        )
    combinations = _combinations(study) if sampler.endless else None
    if combinations is not None and (trials is None or combinations <= 2 * whole):
        yield (
            f"there are only {combinations} combinations, of which {sampler.label} tries some "
            'more than once: "sampler": "grid" tries each of them once'
        )
    if study.max_seconds and not (study.trial_timeout or study.has_test):
        yield (
            "max_seconds ends a training between two of its steps: one that reports only at its "
            'end runs on; to kill that, say "trial_timeout"'
        )


def _about_pruner(study: Study, name: str, limits: Limits) -> Iterator[str]:
    trials = planned_trials(study, limits, make_sampler(study))
    pruner = PRUNERS[name](study.direction, study.pruner_options)
    why = pruner.never(trials, study.epochs)
    if why is not None:
        yield f"the pruner {name} can stop nothing: {why}; lower that, or leave the pruner out"


def refuse_what_never_decides(study: Study, limits: Limits) -> None:
    """See that what is left to confirm the best of a study with can decide anything.

    Raises:
        UserError: it cannot; says why, and what to do.
    """
    planned = planned_trials(study, limits, make_sampler(study))
    if study.confirm is None or planned is None:
        return
    if never := can_never_decide(study.confirm, planned):
        raise UserError(f"confirm: {never}")


def planned_trials(study: Study, limits: Limits, sampler: Sampler) -> int | None:
    """How many trials there will be; None if it is as good as no limit."""
    total = limits.trials
    if sampler.size is not None:
        everything = sampler.size * study.repeats
        total = everything if total is None else min(total, everything)
    endless = total is None or (limits.trials is None and total >= _MOST_COUNTED)
    return None if endless else total


def _combinations(study: Study) -> int | None:
    """How many there are; None if a parameter is continuous, or there are too many to count."""
    if study.stages is not None or any(spec.grid() is None for spec in study.params.values()):
        return None
    return GridSampler(study.space).size


def _about_command(study: Study, command: Sequence[str]) -> Iterator[str]:
    """Parameters that it never learns of, and nulls."""
    possible, values = possible_after(study.params, study.stages or []), _values(study)
    named = set(placeholders(command))
    used = set(values) if "args" in named - values.keys() else named & values.keys()
    # Whether another parameter exists is a use, too.
    used |= {asked for name in used & possible.keys() for asked in (possible[name].when or ())}
    unused = [name for name in values if name not in used and len(values[name]) > 1]
    if unused:
        these, which = ", ".join(unused), "which are" if len(unused) > 1 else "which is"
        yield (
            f"command: never uses {these}, {which} searched: write for example "
            f'"--{unused[0]}", "{{{unused[0]}}}", or "{{args}}" for all parameters'
        )
    for name in values:
        if name in used and None in values[name]:
            yield f"command: where {name} is null, it and the flag before it are left out"


def _values(study: Study) -> dict[str, set[Scalar]]:
    """Of each parameter; of a range its ends."""
    values: dict[str, set[Scalar]] = {}
    for name, spec in possible_after(study.params, study.stages or []).items():
        if isinstance(spec, CategoricalParameter):
            values[name] = set(spec.choices)
        else:
            values[name] = {spec.low, spec.high}
    for setting in study.settings or ():
        for name, value in setting.items():
            values.setdefault(name, set()).add(value)
    return values
