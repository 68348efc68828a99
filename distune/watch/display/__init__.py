"""What people look at: a live leaderboard, tables, plain lines, JSON. Functions of a snapshot.

Nothing here reads a file or a clock. Whatever came from the share (parameters, hosts,
messages) goes through `clean` and into `rich.text.Text`, never into markup: it can neither
move the cursor nor pass for a style.

Its modules, each of which uses only those before it: `cells` (texts, numbers, tables), `facts`
(what there is to say), `parts` and `leaderboard` (each section's lines), and the views
themselves: `live`, `pages` (the end, the best, one trial) and `plain` (logs and JSON).
"""

from distune.watch.display.cells import (
    clean,
    format_scalar,
    format_value,
    progress_bar,
    short_number,
    sparkline,
)
from distune.watch.display.facts import (
    describe_state,
    eta_seconds,
    planned_trials,
    varying_parameters,
)
from distune.watch.display.live import render, status_text
from distune.watch.display.pages import best_text, final_table, trial_detail
from distune.watch.display.plain import as_json, plain_event, plain_progress, trial_json

__all__ = [
    "as_json",
    "best_text",
    "clean",
    "describe_state",
    "eta_seconds",
    "final_table",
    "format_scalar",
    "format_value",
    "plain_event",
    "plain_progress",
    "planned_trials",
    "progress_bar",
    "render",
    "short_number",
    "sparkline",
    "status_text",
    "trial_detail",
    "trial_json",
    "varying_parameters",
]
