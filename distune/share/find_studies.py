"""The studies in a logs directory."""

import os
from pathlib import Path

from distune.errors import BadRecord, NotAFolder, ShareError, UserError
from distune.share import protocol
from distune.share.folder import Folder, TooManyNames, answers
from distune.share.shown_paths import shown
from distune.share.store import Store

#: In a logs directory. A worker looks into each of them every few seconds, and must not be late
#: with its heartbeat for it.
_MOST_FOLDERS = 10_000


def find_studies(logs: Path, only: str | None = None) -> dict[str, Store]:
    """The studies in a logs directory, by name; one that is a symbolic link is among them, and
    `Store.load` says so.

    Raises:
        ShareError: the directory cannot be listed now.
    """
    with answers("list", logs):
        try:
            names = _folders_in(logs, only)
        except FileNotFoundError:
            return {}
    found: dict[str, Store] = {}
    for name in names:
        folder = Folder(logs / name, network=True)
        try:
            if protocol.STUDY in folder.names(""):
                found[name] = Store(Folder(logs / name))
        except NotAFolder as error:
            if error.link:
                found[name] = Store(folder)
        except FileNotFoundError:
            continue  # gone again
        except ShareError as error:
            # Another user's folder is not for this one, and a flooded one for nobody. Anything else
            # must not look as if the study had been deleted.
            if not isinstance(error.__cause__, PermissionError | TooManyNames):
                raise
    return found


def _folders_in(logs: Path, only: str | None) -> list[str]:
    """What may be a study; files are none, and so many of them as there may be."""
    names = []
    with os.scandir(logs) as entries:
        for entry in entries:
            its = only is None or entry.name == only
            if its and not entry.name.startswith(".") and not entry.is_file(follow_symlinks=False):
                names.append(entry.name)
                if len(names) > _MOST_FOLDERS:
                    raise TooManyNames(_MOST_FOLDERS, "folders")
    return sorted(names)


def none_yet(logs: Path, name: str | None) -> str:
    """What to say where there is no study yet, or none of that name.

    Raises:
        ShareError: the directory cannot be listed now.
    """
    if name is None:
        return f"no study in {logs} yet; waiting for a master"
    there = ", ".join(find_studies(logs)) or "none"
    return f"no study {name!r} in {logs} yet (there: {there}); waiting for its master"


def choose_study(logs: Path, name: str | None) -> tuple[str, Store]:
    """The study of that name, which is its folder's; without a name, the only one there is.

    Raises:
        UserError: there is none, or more than one to choose from.
    """
    studies = find_studies(logs, name)
    if name is None:
        studies = {one: store for one, store in studies.items() if not os.path.islink(logs / one)}
    elif name not in studies:
        there = ", ".join(find_studies(logs)) or "none"
        raise UserError(f"no study {name!r} in {logs} (there: {there}); check --logs and --study")
    if not studies:
        raise UserError(f"no study in {logs}; start one: distune master --space FILE --logs {logs}")
    if len(studies) > 1:
        raise UserError(
            f"{len(studies)} studies in {logs}: choose one with --study ({', '.join(studies)})"
        )
    (found,) = studies.items()
    return found


def open_study(logs: Path, name: str | None) -> Store:
    """What `choose_study` finds.

    Raises:
        UserError: there is none, or more than one to choose from, or it cannot be used.
    """
    found, store = choose_study(logs, name)
    try:
        store.load()
    except BadRecord as error:
        raise UserError(
            f"{shown(f'{logs / found}/{protocol.STUDY}')} cannot be used: {error}"
        ) from None
    except NotAFolder as error:
        raise UserError(str(error)) from None
    return store
