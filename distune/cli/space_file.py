"""The space file or preset that a command is given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from distune.errors import UserError

if TYPE_CHECKING:
    from distune.space_file.model import SpaceFile


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
    return parse_space_file(text, space), space, Path(space).stem


def checked_name(name: str) -> str:
    """The name, if a study can have it."""
    from distune.study.study import STUDY_NAME

    if not re.fullmatch(STUDY_NAME, name):
        raise UserError(
            f"{name!r} cannot name a study: use letters, digits, '-', '_' and '.' (--study)"
        )
    return name
