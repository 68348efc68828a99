"""Commands of which each is a module: how the one that is called is found."""

from importlib import import_module
from keyword import iskeyword
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command


def python_name(command: str) -> str:
    """A command's name in code: `try` is a word of Python's own."""
    return f"{command}_" if iskeyword(command) else command


class CommandGroup(TyperGroup):
    """Loads the command that is called, and none for the list of all: building all of them
    takes a sixth of the time of `distune --help`.

    Each is a module of `package` with a function of the same name (see `python_name`), whose
    docstring is the help, and an EXAMPLE; a command that has commands of its own has a Typer of
    that name instead.
    """

    package: ClassVar[str]
    registry: ClassVar[dict[str, str]]  # what each does, by its name

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.registry)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.registry:
            return None
        name = python_name(cmd_name)
        module = import_module(f"{self.package}.{name}")
        found = getattr(module, name)
        if isinstance(found, typer.Typer):
            return get_command(found)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(cmd_name, epilog=f"\b\nExample: {module.EXAMPLE}")(found)
        return get_command(alone)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.registry.items()))
