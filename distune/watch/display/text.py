"""Texts that are safe to print, and lines of them that fit."""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len
from rich.text import Text

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: More of a text than this is on no screen; a hostile one may be a megabyte.
_LONGEST_TEXT = 400


def clean(text: str, limit: int = _LONGEST_TEXT) -> str:
    """One line that is safe to print: control and formatting characters become �.

    Line breaks and tabs become spaces. Variation selectors go: terminals do not agree on
    how wide they make a character.
    """
    text = text[:limit]
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_safe, text))


def _safe(character: str) -> str:
    if character in "\n\t":
        return " "
    if "\ufe00" <= character <= "\ufe0f":
        return ""
    return _REPLACEMENT if unicodedata.category(character) in _UNSAFE else character


def line_of(*pieces: tuple[str, str] | str | Text) -> Text:
    return Text.assemble(*pieces, no_wrap=True, overflow="ellipsis", end="\n")


def fitted(text: Text, width: int) -> Text:
    """At most `width` cells of it."""
    text = text.copy()
    text.no_wrap = True
    text.truncate(max(width, 0), overflow="ellipsis")
    return text


def padded(text: Text, width: int, right: bool = False) -> Text:
    text = fitted(text, width)
    missing = width - text.cell_len
    if right:
        text.pad_left(missing)
    else:
        text.pad_right(missing)
    return text


def indented(line: Text, width: int) -> Text:
    return fitted(line_of(" ", line), width)


def rule_line(title: str, aside: str, more: str, width: int) -> Text:
    """`Title  aside ────────── more ─`"""
    tail = f" {more} ─" if more else ""
    left = line_of((title, "bold"), (f"  {aside} " if aside else " ", "dim"))
    left = fitted(left, width - cell_len(tail))
    rule = "─" * max(width - left.cell_len - cell_len(tail), 0)
    return line_of(left, (rule + tail, "dim"))
