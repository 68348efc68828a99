"""What commands read: a study on the share, a space file or preset."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distune.cli import terminal
from distune.errors import UserError

if TYPE_CHECKING:
    from distune.share.store import Store
    from distune.space_file.model import SpaceFile
    from distune.watch.snapshot import Snapshot


@contextmanager
def opened(logs: Path, study: str | None) -> Iterator[Store]:
    """The study's store, around what reads it; says so if the share takes long to answer."""
    from distune.share.find_studies import open_study

    with terminal.stall().watched():
        yield open_study(logs, study)


def opened_to_change(logs: Path, study: str, any_owner: bool) -> tuple[Path, Store]:
    """A study's folder and store, for a command that writes in the place of its master."""
    from distune.share import access

    with opened(logs, study) as store:
        folder = logs.resolve() / study
        if not any_owner:
            access.check_owner(folder)
    return folder, store


def look(logs: Path, study: str | None) -> Snapshot:
    from distune.watch.observer import Observer

    with opened(logs, study) as store:
        return Observer(store).look(curves=True)


def read_space(space: str) -> tuple[SpaceFile, str, str]:
    """A checked space file, what messages call it, and the study's name it suggests."""
    from distune.presets.catalogue import preset_names, read_preset
    from distune.space_file.read import parse_space_file

    if space in preset_names() and not Path(space).is_file():
        return parse_space_file(read_preset(space), f"preset {space}"), f"preset {space}", space
    try:
        text = Path(space).read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{space}: there is no such file, and no such preset ({', '.join(preset_names())})"
        ) from None
    except OSError as error:
        raise UserError(f"{space}: cannot be read: {error.strerror}") from None
    file = parse_space_file(text, space)
    return file, space, file.name or Path(space).stem


def read_given(*, ends_with_it: bool = False) -> bytes:
    """The encoded objective in the first line of the standard input.

    Args:
        ends_with_it: the end of the input asks this process to end, as SIGTERM does: whoever gives
            the objective may be killed.
    """
    # By its descriptor: a thread that waits in a buffered reader keeps Python from ending.
    with open(0, "rb", buffering=0, closefd=False) as pipe:
        given = pipe.readline()
    if ends_with_it:
        threading.Thread(target=_end_with_input, daemon=True).start()
    return given.strip()


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def checked_name(name: str) -> str:
    """The name, if a study can have it."""
    from distune.study.study import STUDY_NAME

    if not re.fullmatch(STUDY_NAME, name):
        raise UserError(
            f"{name!r} cannot name a study: use letters, digits, '-', '_' and '.' (--study)"
        )
    return name
