"""What has changed in a study between two looks, as messages for a browser. Pure."""

from collections.abc import Mapping

import msgspec

from distune.page.columns import Tree, as_columns
from distune.page.study import counted_of, status_of
from distune.search.ranking import History
from distune.watch.snapshot import Snapshot

_TABLES = ("configurations", "trials")

_Version = tuple[int, int, int]


class Follower:
    """`Follower().changes(snapshot)`, again and again.

    A message is JSON: a study as `study_of` gives it, or of its parts those that are others now; of
    configurations and trials, as columns, those that are new or others; in `gone` what is no more,
    which is missing from a message that has all of them. A configuration has no `rank`, which is
    its place in `order`: one that is new would change all those below.
    """

    def __init__(self) -> None:
        self._version: _Version | None = None
        self._known: dict[str, dict[int, int]] = {name: {} for name in _TABLES}  # what rows hash to
        self._whole: tuple[_Version, Tree] | None = None

    def changes(self, snapshot: Snapshot) -> bytes:
        """What is not as it was in the message before."""
        version = _version_of(snapshot.history)
        counted: Tree = {}
        if version != self._version:
            counted, gone = _counted_of(snapshot.history), {}
            for name in _TABLES:
                counted[name], gone[name] = self._others(name, counted[name])
            if self._version is not None:
                counted["gone"] = gone
            self._version = version
        return _message(snapshot, _in_columns(counted))

    def whole(self, snapshot: Snapshot) -> bytes:
        """All of the study, which may have been written for another browser before."""
        version = _version_of(snapshot.history)
        if self._whole is None or self._whole[0] != version:
            tree = _in_columns(_counted_of(snapshot.history))
            encoded = {name: msgspec.Raw(msgspec.json.encode(one)) for name, one in tree.items()}
            self._whole = version, encoded
        return _message(snapshot, self._whole[1])

    def _others(self, name: str, rows: Mapping[int, Tree]) -> tuple[dict[int, Tree], list[int]]:
        """The rows that are new or others, and the keys of those that are gone."""
        before = self._known[name]
        now = {key: hash(msgspec.json.encode(row)) for key, row in rows.items()}
        self._known[name] = now
        others = {key: row for key, row in rows.items() if before.get(key) != now[key]}
        return others, [key for key in before if key not in now]


def _version_of(history: History) -> _Version:
    return len(history), len(history.tests), history.left_out


def _counted_of(history: History) -> Tree:
    tree = counted_of(history)
    for one in tree["configurations"].values():
        del one["rank"]
    return tree


def _in_columns(tree: Tree) -> Tree:
    return {name: as_columns(one) if name in _TABLES else one for name, one in tree.items()}


def _message(snapshot: Snapshot, counted: Tree) -> bytes:
    return msgspec.json.encode({"trouble": None, "status": status_of(snapshot), **counted})
