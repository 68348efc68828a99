"""Which built-in studies there are, and what each says of itself."""

import json
from importlib import resources
from typing import NamedTuple

_FILES = resources.files("distune.presets")


class Description(NamedTuple):
    """What a preset shows, and how long it takes: `30 s`, `1 h 45 min`."""

    shows: str
    on_two_cores: str


def preset_names() -> list[str]:
    """Names that `--space` takes in place of a file."""
    names = [file.name for file in _FILES.iterdir()]
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def read_preset(name: str) -> str:
    """The space file of one of `preset_names()`."""
    return _FILES.joinpath(f"{name}.json").read_text(encoding="utf-8")


def describe(name: str) -> Description:
    """From the preset's own description: `It shows this (2 cores: 30 s)`."""
    description = json.loads(read_preset(name))["description"]
    shows, _, times = description.rpartition(" (2 cores: ")
    return Description(shows, times.removesuffix(")"))


def read_starter() -> str:
    """A commented space file to start from."""
    return _FILES.joinpath("starter.jsonc").read_text(encoding="utf-8")
