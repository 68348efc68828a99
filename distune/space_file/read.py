"""Reading a space file: JSON with comments, or YAML; and a mistake named with its place and its
remedy.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from distune.errors import SpaceError
from distune.space_file.model import SpaceFile
from distune.study.confirm import Confirm
from distune.study.space import CategoricalParameter, FloatParameter, IntParameter, did_you_mean
from distune.study.stage import Stage

# The closing quote may be missing: to try each later one in turn would take for ever.
_STRING = r'"(?:\\.|[^"\\\n])*"?'
_STRING_OR_COMMENT = re.compile(rf"{_STRING}|//[^\n]*")
_TRAILING_COMMA = re.compile(rf"((?>{_STRING}|[^\s\",\[{{])\s*),(?=\s*[}}\]])|{_STRING}")
#: Ends of the names of files that are YAML.
YAML = (".yaml", ".yml")


def parse_space_file(text: str | bytes, source: str) -> SpaceFile:
    """Check a space file.

    Args:
        text: JSON, in which `//` begins a comment and a comma may come last; or YAML.
        source: its name, for messages; of a `.yaml` or `.yml`, the text is YAML.

    Raises:
        SpaceError: naming the file, the key and the remedy.
    """
    try:
        plain = text if isinstance(text, str) else text.decode("utf-8-sig")
        if source.lower().endswith(YAML):
            from distune.space_file.yaml_text import parse_yaml  # slow to import, and seldom needed

            fields = parse_yaml(plain)
        else:
            fields = json.loads(_plain_json(plain), object_pairs_hook=_no_key_twice)
        json.dumps(fields, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SpaceError(source, "", f"is not JSON ({where}): {error.msg}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise SpaceError(source, "", f"cannot be read: {error}") from None
    if not isinstance(fields, dict):
        raise SpaceError(source, "", 'must be an object: {"params": {...}}')
    try:
        return SpaceFile.model_validate(fields)
    except ValidationError as error:
        raise _named(error, source) from None


def _plain_json(text: str) -> str:
    """Outside strings, `//` to the end of the line and a comma after the last entry become blanks:
    places stay true.
    """
    text = _STRING_OR_COMMENT.sub(
        lambda match: match[0] if match[0][0] == '"' else " " * len(match[0]), text
    )
    return _TRAILING_COMMA.sub(lambda match: match[0] if match[1] is None else match[1] + " ", text)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands there twice: leave one out")
    return fields


def _named(mistake: ValidationError, source: str) -> SpaceError:
    errors = mistake.errors(include_url=False)
    # A misspelt key is also a missing one: the former says what to do.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    # Discriminated unions report their tag as a part of the place: no key of the user's.
    tags = {"float", "int", "categorical"}
    loc = [part for i, part in enumerate(first["loc"]) if not (part in tags and i >= 2)]
    key = ""
    for part in loc:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    problem = first["msg"]
    if first["type"] == "value_error":
        problem = str(first["ctx"]["error"])
        named, separator, rest = problem.partition(": ")
        if separator and re.fullmatch(rf"{re.escape(key)}[\w.\[\]]*", named):
            key, problem = named, rest
    elif first["type"] == "extra_forbidden":
        problem = "unknown key" + did_you_mean(str(loc[-1]), _known_keys(loc))
    elif first["type"] == "missing":
        problem = "is missing" + (': write "params": {"lr": [0.1, 0.2]}' if key == "params" else "")
    elif first["type"].startswith("union_tag"):
        given = first["input"]
        whole = isinstance(given, dict) and "type" not in given and "low" in given
        problem = 'needs "type": "float", "int" or "categorical", or be a list or a constant'
        if whole:
            problem = 'say "type": "int" for whole numbers, or "type": "float"'
    else:
        problem = f"{problem}; got {json.dumps(first['input'], default=str)[:60]}"
    return SpaceError(source, key, problem)


def _known_keys(loc: list[int | str]) -> Iterable[str]:
    if len(loc) < 2:
        return SpaceFile.model_fields
    if loc[0] == "stages" and len(loc) == 3:
        return Stage.model_fields
    if loc[0] == "confirm":
        return Confirm.model_fields
    kinds = (FloatParameter, IntParameter, CategoricalParameter)
    return {name for kind in kinds for name in kind.model_fields}
