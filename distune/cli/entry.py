"""The console script: errors become one line and an exit status."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from distune.cli.app import app
from distune.cli.terminal import harmless
from distune.errors import DistuneError, UserError

#: Click's, which newer Typers carry inside themselves under a private name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main() -> None:
    """Run a command: a mistake of the user's exits 2, a failure 1, Ctrl-C 130."""
    try:
        sys.exit(app(standalone_mode=False, prog_name="distune"))
    except UserError as error:
        _fail(str(error), 2)
    except _UsageError as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "distune")
        message = error.format_message()  # type: ignore[attr-defined]
        _fail(f"{message.rstrip('.')}; see {command} --help", 2)
    except DistuneError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has gone; do not complain
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, status: int) -> NoReturn:
    lines = "\n".join(map(harmless, message.split("\n")))  # a traceback may be part of it
    print(f"distune: {lines}", file=sys.stderr)
    sys.exit(status)
