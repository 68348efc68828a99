"""A space file in YAML, read as YAML 1.2 has it: what YAML 1.1 makes of plain words and numbers is
seldom what the user means (`1e-3` is text there, `no` is false, `1:30` is ninety).
"""

import re
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Makes plain data and nothing else (PyYAML's safe loader), and no key twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        given = [key.value for key, _ in node.value]
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        for key in found:
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is no text: put it in quotes")
            if given.count(key) > 1:
                raise ValueError(f"the key {key!r} stands there twice: leave one out")
        return found


# The core schema, section 10.3.2 of YAML 1.2.2, but for octal and hexadecimal numbers and those
# that are not finite, none of which a space has.
for _tag, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), list(_first)
    )
_Loader.add_constructor(
    "tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node))
)
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda loader, node: float(loader.construct_scalar(node))
)


def parse_yaml(text: str) -> Any:
    """The data in a text.

    Raises:
        ValueError: it is not YAML; says where and why.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        problem = f"{error.context or ''} {error.problem}".strip()
        raise ValueError(f"it is not YAML{where}: {problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {' '.join(str(error).split())}") from None
