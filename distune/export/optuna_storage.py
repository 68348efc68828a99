"""Trials in an Optuna storage: a file of SQLite or of Optuna's journal, or a database."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from distune.errors import DistuneError, UserError
from distune.export.files import complete
from distune.export.optuna_bridge import optuna_study
from distune.export.table import TrialTable

_JOURNALS = (".log", ".journal")
_SQLITE = "sqlite:///"
_DELETE = "it: optuna delete-study --study-name {name} --storage {storage}"


def write_optuna_storage(table: TrialTable, out: str) -> str:
    """A study in an Optuna storage, which may have other studies.

    Args:
        table: of its trials.
        out: a file, of Optuna's journal if it ends in .log or .journal and else of SQLite; or
            the URL of a database, as Optuna takes it.

    Returns:
        What `optuna-dashboard` takes, but for a password.

    Raises:
        UserError: the storage cannot be used, or has such a study already.
    """
    out = _file_of(out)
    if "://" in out:
        shown = _without_password(out)
        with _opened(shown, lambda: get_storage(out)) as storage:
            _add(table, storage, shown, _DELETE)
        return shown
    path = Path(out)
    journal = path.suffix in _JOURNALS
    if os.path.exists(out):
        with _opened(out, lambda: _in_file(path, journal)) as storage:
            _add(table, storage, out, "the file, with all that is in it")
    else:
        # What is not complete is thrown away: it need not survive a power cut meanwhile.
        with (
            complete(path) as draft,
            _opened(out, lambda: _in_file(draft, journal, careless=True)) as storage,
        ):
            optuna_study(table, storage)
    return out if journal else _url_of(out)


def _file_of(out: str) -> str:
    """The file that a URL of SQLite names; all else, options of a connection too, as it is."""
    if not out.startswith(_SQLITE) or make_url(out).query:
        return out
    return make_url(out).database or ""


def _url_of(file: str) -> str:
    """The URL of a file of SQLite; without escapes where it means the same."""
    plain = f"{_SQLITE}{file}"
    if make_url(plain).database == file:
        return plain
    return URL.create("sqlite", database=file).render_as_string()


def _add(table: TrialTable, storage: BaseStorage, shown: str, remedy: str) -> None:
    """Add a study to what is there; all of it, or nothing."""
    name = table.history.study.name
    try:
        optuna_study(table, storage)
    except optuna.exceptions.DuplicatedStudyError:
        raise UserError(
            f"{shown} has a study {name!r} already, which stays as it is: name another storage "
            f"with --out, or first remove {remedy.format(name=name, storage=shown)}"
        ) from None
    except BaseException:
        with suppress(Exception):
            optuna.delete_study(study_name=name, storage=storage)
        raise


def _in_file(file: Path, journal: bool, careless: bool = False) -> BaseStorage:
    if journal:
        return JournalStorage(JournalFileBackend(str(file)))

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(file)
        if careless:
            connection.execute("PRAGMA synchronous = OFF")
        return connection

    # By a function: a URL cannot have every name in it.
    return RDBStorage("sqlite:///study.db", engine_kwargs={"creator": connect})


@contextmanager
def _opened(shown: str, open_storage: Callable[[], BaseStorage]) -> Iterator[BaseStorage]:
    """A storage; whatever a driver of a database raises is said in one line."""
    try:
        storage = open_storage()
        yield storage
        storage.remove_session()
        if isinstance(storage, RDBStorage):
            storage.engine.dispose()
    except DistuneError:
        raise
    except Exception as error:
        cause = error
        while cause.__cause__ is not None and isinstance(cause.__cause__, Exception):
            cause = cause.__cause__
        why = str(cause).partition("\n")[0] or type(cause).__name__
        raise UserError(f"cannot use the Optuna storage {shown}: {why}") from error


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url
