"""What remains of a study for other programs.

`leaderboard` (configurations, and the winner as a space file) and `rows` (trials) are functions
of a history; `files`, `event_files` and `optuna_storage` write what they make; `formats` chooses
among them. Importing this package loads none of the libraries that those need.
"""

from distune.export.leaderboard import (
    best_space,
    leaderboard_csv,
    parameter_names,
    result_of,
)

__all__ = ["best_space", "leaderboard_csv", "parameter_names", "result_of"]
