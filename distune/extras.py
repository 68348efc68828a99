"""Libraries that not everybody needs, and that an extra of distune installs."""

import importlib
from importlib.util import find_spec

from distune.errors import UserError


def need(*libraries: str, extra: str) -> None:
    """See that libraries can be imported, which an extra of the package installs.

    Raises:
        UserError: one cannot be imported; says how to install it.
    """
    for library in libraries:
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise UserError(
                f"this needs {library} ({error}); install it: pip install 'distune[{extra}]'"
            ) from None


def is_installed(library: str) -> bool:
    """Whether it is there to be imported, which of torch takes seconds."""
    return find_spec(library) is not None


def need_installed(*libraries: str, extra: str, what: str) -> None:
    """As `need`, but imports nothing.

    Args:
        what: that needs them, for people.

    Raises:
        UserError: one is not installed; says how to install it.
    """
    for library in libraries:
        if not is_installed(library):
            raise UserError(
                f"{what} needs {library}, which is not installed here: "
                f"pip install 'distune[{extra}]'"
            )
