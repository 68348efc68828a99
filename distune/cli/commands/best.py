"""`distune best`: the winner."""

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, Json, Logs, OneStudy
from distune.cli.reading import look
from distune.errors import DistuneError

EXAMPLE = "distune best --json > best.json; distune master --space best.json"


def best(logs: Logs = LOGS, study: OneStudy = None, as_json: Json = False) -> None:
    """Show the best configuration so far; as JSON, a space file that trains it again."""
    from distune.export.leaderboard import best_space
    from distune.watch.display.leaderboard import best_text

    snapshot = look(logs, study)
    text = best_space(snapshot.history)
    if text is None:
        over = snapshot.finished
        when = " yet" if over is None else f", and the study is over: {over.reason}"
        raise DistuneError(f"no trial of {snapshot.study.name} has a result{when}")
    if as_json:
        typer.echo(text, nl=False)
    else:
        console = terminal.console()
        console.print(best_text(snapshot, console.width))
