"""`distune best`: the winner."""

from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, Json, Logs, OneStudy
from distune.cli.reading import look
from distune.errors import DistuneError

EXAMPLE = (
    "distune best --json > best.json; distune master --space best.json\n"
    "         distune best --within 30s"
)

Within = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DURATION|METRIC=N",
        help="The best of those whose training takes no longer, in the mean over their repeats; or "
        "that have no more of a metric, as parameters=200000. May be given several times.",
    ),
]


def best(
    logs: Logs = LOGS, study: OneStudy = None, within: Within = None, as_json: Json = False
) -> None:
    """Show the best configuration so far; as JSON, a space file that trains it again.

    Of a study with several objectives: all configurations that no other one surpasses; the JSON
    has them in its result, and trains the one again that is best by the first objective.
    """
    from distune.export.leaderboard import best_space
    from distune.search.within import best_within, parse_limit
    from distune.watch.display.goals import front_text, no_feasible
    from distune.watch.display.leaderboard import best_text

    limits = dict(map(parse_limit, within or []))
    snapshot = look(logs, study)
    chosen = best_within(snapshot.history, limits) if limits else None
    nothing = limits and chosen is None  # but what was stopped may be the winner so far
    text = None if nothing else best_space(snapshot.history, chosen)
    if text is None:
        over = snapshot.finished
        when = " yet" if over is None else f", and the study is over: {over.reason}"
        why = no_feasible(snapshot) or f"no trial of {snapshot.study.name} has a result"
        raise DistuneError(f"{why}{when}")
    if as_json:
        typer.echo(text, nl=False)
        return
    console = terminal.console()
    console.print(best_text(snapshot, console.width, chosen))
    if snapshot.study.objectives and chosen is None:
        console.print(front_text(snapshot, console.width))
