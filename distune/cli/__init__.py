"""The command line. What a command needs is imported when it runs."""

import os
import sys


def main() -> None:
    """Run a command, with what it needs from Python and its libraries, and not from the current
    directory: `python -m distune`, and a `PYTHONPATH` with an empty entry, would look there first.
    """
    try:
        sys.path.sort(key=("", ".", os.getcwd()).__contains__)
    except OSError:
        pass  # the current directory is gone
    if sys.argv[1:2] == ["worker"]:  # before the imports, which take a second on a share
        from distune.signals import leave_on_request

        leave_on_request()
    from distune.cli.app import main as run

    run()


__all__ = ["main"]
