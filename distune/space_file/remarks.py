"""What a space file has that no check forbids, and its user hardly means."""

from collections.abc import Iterable, Iterator

from distune.space_file.model import SpaceFile
from distune.study.command import placeholders
from distune.study.space import CategoricalParameter
from distune.study.trial import Scalar


def remarks(file: SpaceFile) -> Iterator[str]:
    """Lines about a command: parameters that it never learns of, and nulls."""
    if file.command is None:
        return
    values = _values(file)
    named = set(placeholders(file.command))
    used = set(values) if "args" in named - values.keys() else named & values.keys()
    # Whether another parameter exists is a use, too.
    used |= {asked for name in used & file.possible.keys() for asked in _asked(file, name)}
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


def _asked(file: SpaceFile, name: str) -> Iterable[str]:
    return file.possible[name].when or ()


def _values(file: SpaceFile) -> dict[str, set[Scalar]]:
    """Of each parameter; of a range its ends."""
    values: dict[str, set[Scalar]] = {}
    for name, spec in file.possible.items():
        if isinstance(spec, CategoricalParameter):
            values[name] = set(spec.choices)
        else:
            values[name] = {spec.low, spec.high}
    for setting in file.settings or ():
        for name, value in setting.items():
            values.setdefault(name, set()).add(value)
    return values
