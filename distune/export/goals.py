"""What is written of several objectives, and of constraints; nothing of a study that has neither.
Pure.
"""

from typing import Any

from distune.search.configuration import Configuration
from distune.search.goals import judged_beside
from distune.search.ranking import History

#: What a leaderboard has of every study.
_ANYWAY = ("seconds", "parameters")


class GoalsOf:
    """`GoalsOf(history).of(configuration)`: as plain data, by keys of JSON."""

    def __init__(self, history: History) -> None:
        study = history.study
        self._study = study
        self._front = {one.first for one in history.front()}
        #: The metrics, beside the first one, that it is judged by.
        self.names = judged_beside(study)
        #: Columns of a table of configurations, beside those that every study has.
        self.columns = [name for name in self.names if name not in _ANYWAY]
        self.columns += ["front"] if study.objectives else []
        self.columns += ["violations"] if study.constraints else []

    def is_on_front(self, configuration: Configuration) -> bool:
        return configuration.first in self._front

    def params_of(self, configuration: Configuration) -> dict[str, Any]:
        return self._study.plain_params(configuration.params)

    def of(self, configuration: Configuration) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._study.objectives:
            found["objectives"] = {n: configuration.mean_of(n) for n in self._study.objectives}
            found["front"] = self.is_on_front(configuration)
        if self._study.constraints:
            found["violations"] = [vars(one) for one in configuration.violations]
        return found

    def cells(self, configuration: Configuration) -> list[float | str | None]:
        """Those of `columns`."""
        row: dict[str, float | str | None] = {
            "front": str(self.is_on_front(configuration)).lower(),
            "violations": "; ".join(map(str, configuration.violations)),
        }
        return [row[name] if name in row else configuration.mean_of(name) for name in self.columns]
