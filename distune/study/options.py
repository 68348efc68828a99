"""Something that a space file names, with options or without: a sampler, a pruner. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from distune.study.space import Strict, did_you_mean
from distune.study.trial import Scalar


def with_options_apart(fields: Any, key: str, such_as: str) -> Any:
    """`"sampler": {"name": "tpe", ...}` as a name, and `sampler_options`; `such_as`: one of them.

    Raises:
        ValueError: it has no name.
    """
    given = fields.get(key) if isinstance(fields, Mapping) else None
    if not isinstance(given, Mapping):
        return fields
    if not isinstance(given.get("name"), str):
        raise ValueError(f'{key}: say which: {{"name": "{such_as}", ...}}')
    options = {name: value for name, value in given.items() if name != "name"}
    return {**fields, key: given["name"], f"{key}_options": options}


def check_options(key: str, known: type[Strict], options: Mapping[str, Scalar]) -> None:
    """See that what is named takes these options.

    Raises:
        ValueError: it does not; `key.option: problem`.
    """
    for name in options:
        if name not in known.model_fields:
            hint = (
                did_you_mean(name, known.model_fields) if known.model_fields else "; it takes none"
            )
            raise ValueError(f"{key}.{name}: there is no such option{hint}")
    try:
        known.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if not first["loc"]:  # of several options together
            raise ValueError(f"{key}: {first['ctx']['error']}") from None
        value = json.dumps(first["input"])
        raise ValueError(f"{key}.{first['loc'][0]}: {value}: {first['msg']}") from None
