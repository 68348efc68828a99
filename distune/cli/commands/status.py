"""`distune status`: one snapshot of a study."""

from distune.cli import terminal
from distune.cli.options import LOGS, Json, Logs, OneStudy
from distune.cli.reading import look

EXAMPLE = "distune status --logs /shared/logs --json | jq .trials"


def status(logs: Logs = LOGS, study: OneStudy = None, as_json: Json = False) -> None:
    """Show where a study stands: its progress, ranking, running trials and workers."""
    from distune.watch.display.json_data import snapshot_json
    from distune.watch.display.live import status_text

    snapshot = look(logs, study)
    if as_json:
        terminal.print_json(snapshot_json(snapshot, top=None))
    else:
        console = terminal.console()
        console.print(status_text(snapshot, console.width))
