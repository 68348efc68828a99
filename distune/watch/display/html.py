"""A study as HTML, for a cell of a notebook."""

from html import escape
from itertools import islice

from rich.text import Text

from distune.watch.display.leaderboard import best_sentences, ranking_columns
from distune.watch.display.numbers import plural
from distune.watch.display.state import describe_state, trials_counted
from distune.watch.display.text import Column, clean
from distune.watch.snapshot import Snapshot

_ROWS = 10
_MOST_COLUMNS = 14


def study_html(snapshot: Snapshot) -> str:
    """The best in words, and a table of the best ten; without colours of its own."""
    study, history = snapshot.study, snapshot.history
    state = f"{trials_counted(snapshot)}, {describe_state(snapshot)}"
    parts = [
        f"<p><strong>{escape(clean(study.name))}</strong>, {escape(clean(study.aim))}: "
        f"{escape(state)}</p>"
    ]
    if history.configurations:
        parts.append("".join(f"<p>{_inline(text)}</p>" for text, _ in best_sentences(snapshot)))
        places = list(islice(history.places(_ROWS), _ROWS))
        parts.append(_table(ranking_columns(snapshot, places)[:_MOST_COLUMNS]))
        more = history.configurations - len(places)
        if more > 0:
            parts.append(f"<p>and {escape(plural(more, 'more configuration'))}</p>")
    return f'<div class="distune">{"".join(parts)}</div>'


def _inline(text: Text) -> str:
    return escape(text.plain.strip())


def _table(columns: list[Column]) -> str:
    head = "".join(f'<th scope="col">{escape(one.name.strip())}</th>' for one in columns)
    rows = zip(*(one.cells for one in columns), strict=True)
    align = [' style="text-align: right"' if one.right else "" for one in columns]
    body = "".join(
        "<tr>"
        + "".join(f"<td{a}>{_inline(cell)}</td>" for a, cell in zip(align, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
