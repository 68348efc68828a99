"""Phrases that several sections use. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from distune.study.trial import Direction, Params
from distune.watch.display.numbers import format_scalar
from distune.watch.display.text import clean


def good_direction(direction: Direction) -> str:
    return "higher is better" if direction == "maximize" else "lower is better"


PARAMS_IN_WORDS = 12


def params_words(params: Params, varying: Sequence[str]) -> str:
    """`lr 0.1, optimizer sgd`: those that vary; all, if none do."""
    names = [name for name in varying if name in params] or list(params)
    words = [f"{clean(n, 60)} {clean(format_scalar(params[n]), 60)}" for n in names]
    more = len(words) - PARAMS_IN_WORDS
    return ", ".join(words[:PARAMS_IN_WORDS]) + (f" and {more} more" if more > 0 else "")
