"""Libraries that not every installation has."""

from __future__ import annotations

import importlib

from distune.errors import UserError


def need(*libraries: str, extra: str) -> None:
    """See that libraries can be imported: `need("pandas", extra="export")`.

    Args:
        libraries: names to import.
            extra: of the package, which installs them.

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
