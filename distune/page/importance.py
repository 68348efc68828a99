"""What mattered, as the page draws it: numbers, and what may be said of them. Pure."""

from typing import Any

from distune.export.importance import Importances, Unknown, importances
from distune.search.ranking import History
from distune.watch.display.importance import (
    caveats,
    importance_json,
    importance_rows,
    rests_on,
)
from distune.watch.display.text import clean


def importance_of(history: History) -> dict[str, Any]:
    """As `importance_json` has it, with `headline`, `how`, `caveats` and the `rows` of a table in
    words; or `unknown`: why nothing can be said.
    """
    try:
        found = importances(history)
    except Unknown as why:
        return {"unknown": f"Nothing can be said: {why}."}
    return {
        **importance_json(history.study, found),
        "headline": headline(found),
        "how": f"{rests_on(found)}.",
        "caveats": caveats(found),
        "rows": importance_rows(found),
    }


def headline(found: Importances) -> str:
    """What stands out from chance, if anything does."""
    names = [clean(one.name, 60) for one in found.parameters if one.stands_out]
    what = f"for {clean(found.objective)}"
    if not names:
        return (
            f"No parameter stands out {what} by more than chance alone may give: what the "
            "importances say may be nothing."
        )
    *first, last = names
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"The best configurations stand out {what} by {listed}; the rest may be chance."
