"""What is said of configurations in every view."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from distune.search.configuration import Tier
from distune.study.space import CategoricalParameter, Parameter
from distune.study.study import Study
from distune.study.trial import Params
from distune.watch.display.numbers import decimals_for, format_scalar
from distune.watch.display.text import clean, line_of
from distune.watch.snapshot import Snapshot

#: How many explicit settings are looked at to see which parameters vary.
_SETTINGS_LOOKED_AT = 200


def _is_constant(spec: Parameter) -> bool:
    if isinstance(spec, CategoricalParameter):
        return len(spec.choices) == 1
    return spec.low == spec.high


def varying_parameters(study: Study, seen: Iterable[Params] = ()) -> list[str]:
    """Names of the parameters that are not the same throughout, in the study's order, as it says
    itself, or as the settings show that were tried (`seen`).
    """
    if study.settings is not None:
        seen = [*study.settings[:_SETTINGS_LOOKED_AT], *seen]
        varying = {}
    elif study.stages is not None:
        varying = {name: None for stage in study.stages for name in stage.params}
    else:
        varying = {n: None for n, spec in study.params.items() if not _is_constant(spec)}
    values: dict[str, set[str]] = {}
    for params in seen:
        for name, value in params.items():
            values.setdefault(name, set()).add(repr(value))
    order = [*study.params, *(name for name in values if name not in study.params)]
    return [name for name in order if name in varying or len(values.get(name, ())) > 1]


def repeats_text(complete: int, repeats: int) -> str:
    """`2/3`; of a configuration that came more than once, how many it has: `8`; of one that was to
    come once, and did, nothing.
    """
    if complete > repeats:
        return f"{complete}"
    return f"{complete}/{repeats}" if repeats > 1 else ""


def standing(tier: Tier) -> str:
    return {Tier.FULL: "complete", Tier.PARTIAL: "partial"}.get(tier, tier.name.lower())


def best_decimals(snapshot: Snapshot) -> int:
    """The decimals that show what matters of the best value, for all beside it."""
    winner = snapshot.history.winner()
    return decimals_for(winner.mean if winner else None)


def wrapped(text: Text, width: int, indent: int = 0) -> RenderableType:
    """Text that may take several lines."""
    text = text.copy()
    text.no_wrap, text.overflow = False, "fold"
    return Constrain(Padding(text, (0, 0, 0, min(indent, width // 2))), width)


def params_text(params: Params, varying: Sequence[str]) -> Text:
    """What varies first and bright, then the constants."""
    names = [n for n in varying if n in params] + [n for n in params if n not in varying]
    pieces = [
        line_of(
            (f"{clean(n)} ", "dim"), (format_scalar(params[n]), "bold" if n in varying else "dim")
        )
        for n in names
    ]
    return line_of((", ", "dim")).join(pieces)
