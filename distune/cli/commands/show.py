"""`distune show`: one trial."""

from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, Json, Logs, OneStudy
from distune.cli.reading import opened
from distune.errors import UserError

EXAMPLE = "distune show 17 --logs /shared/logs"

Number = Annotated[int, typer.Argument(min=0, metavar="TRIAL", help="The trial's number.")]


def show(trial: Number, logs: Logs = LOGS, study: OneStudy = None, as_json: Json = False) -> None:
    """Show everything about one trial: its params, attempts, curve, result and errors."""
    from distune.search.goals import is_plain
    from distune.watch.display.json_data import trial_json
    from distune.watch.display.trial_detail import trial_detail
    from distune.watch.observer import Observer

    with opened(logs, study) as store:
        files = store.attempts_of(trial)
        if not files:
            raise UserError(f"trial {trial} is not in {logs}; see which are: distune status")
        if as_json:
            plain = is_plain(store.load())
            terminal.print_json(trial_json(files, None if plain else Observer(store).history))
            return
        snapshot = Observer(store).look()
    console = terminal.console()
    console.print(trial_detail(snapshot, files, console.width))
