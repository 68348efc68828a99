"""A command as an objective: its placeholders, and how they are filled in. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from distune.study.trial import Scalar

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
#: An argument of its own: `--name value` of each parameter that the trial has.
ARGS = "{args}"
#: What a command may name besides its parameters.
RESUME = "trial_resume"
COMMAND_WORDS = frozenset(
    {"args", "trial_number", "trial_attempt", "trial_seed", "trial_device", "trial_devices",
     "trial_n_devices", "trial_dir", RESUME}
)  # fmt: skip


def placeholders(command: Iterable[str]) -> list[str]:
    """What stands in braces in a command: names, or what only looks like one."""
    return [match[1] for part in command for match in _PLACEHOLDER.finditer(part) if match[1]]


def without(command: Sequence[str], absent: Collection[str]) -> list[str]:
    """A command for trials that lack these parameters: arguments which name nothing else are left
    out, `--dropout={dropout}`, `dropout={dropout}`, and `{dropout}` with the flag before it. One
    that counts by its place stays, with nothing for them.
    """
    kept: list[str] = []
    for part, before in zip(command, ["", *command], strict=False):
        named = placeholders([part])
        if named and all(name in absent for name in named):
            if part.startswith("-") or "=" in part.partition("{")[0]:
                continue
            if _is_flag(before):
                kept.pop()
                continue
        kept.append(_PLACEHOLDER.sub(lambda m: "" if m[1] in absent else m[0], part))
    return kept


def fill_in(
    command: Sequence[str],
    params: Mapping[str, Scalar],
    trial: Mapping[str, Scalar] | None = None,
    names: Iterable[str] = (),
) -> list[str]:
    """Replace `{name}` by its value and `{{` by `{`.

    Each argument stays one argument: there is no shell.

    Args:
        params: of the trial; null is as if there were none.
        trial: what else may be named.
        names: of the parameters that other trials have.
    """
    trial = trial or {}
    present = {name: value for name, value in params.items() if value is not None}
    texts = {name: _text(value) for name, value in {**present, **trial}.items()}
    absent = {*params, *names} - texts.keys()
    arguments: list[str] = []
    for part in without(command, absent):
        if part == ARGS and "args" not in texts:
            arguments += _options(present)
        else:
            arguments.append(_PLACEHOLDER.sub(lambda m: _filled(m, texts), part))
    return arguments


def _filled(match: re.Match[str], texts: Mapping[str, str]) -> str:
    return match[0][0] if match[1] is None else texts.get(match[1], match[0])


def _options(params: Mapping[str, Scalar]) -> Iterator[str]:
    for name, value in params.items():
        text = _text(value)
        # Many parsers would take -1e-05 for a flag.
        yield from [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_flag(part: str) -> bool:
    return re.fullmatch(r"--?[^\W\d][^={}]*", part) is not None
