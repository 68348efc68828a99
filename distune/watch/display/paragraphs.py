"""Texts that may take several lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from distune.study.trial import Params
from distune.watch.display.numbers import format_scalar
from distune.watch.display.text import clean, line_of


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
