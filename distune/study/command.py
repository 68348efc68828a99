"""A command as an objective: its placeholders, and how they are filled in. Pure."""

import re
from collections.abc import Mapping, Sequence

from distune.study.trial import Scalar

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}")
#: What a command may name besides its parameters.
COMMAND_WORDS = frozenset(
    {"trial_number", "trial_attempt", "trial_seed", "trial_device", "trial_dir"}
)


def placeholders(command: Sequence[str]) -> list[str]:
    """The names in braces in a command."""
    return [match[1] for part in command for match in _PLACEHOLDER.finditer(part) if match[1]]


def fill_in(command: Sequence[str], values: Mapping[str, Scalar]) -> list[str]:
    """Replace `{name}` by its value, nothing for one that is not there, and `{{` by `{`.

    Each argument stays one argument: there is no shell.
    """

    def text_of(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        value = values.get(match[1])
        if value is None:
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value)

    return [_PLACEHOLDER.sub(text_of, part) for part in command]
