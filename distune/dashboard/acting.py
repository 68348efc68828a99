"""What a browser may have done to a study, where that is allowed: the commands of the same names,
each in a process of its own, which says what it did or what the mistake is.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from distune.errors import ShareError, UserError
from distune.training.children import python_command

_PATIENCE = 60.0  # seconds
MOST_BYTES = 2**20  # of what is asked for


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What the body of a request says, and how the command says it."""

    @property
    def options(self) -> list[str]:
        return []

    @property
    def arguments(self) -> list[str]:
        return []


class _Stop(_Asked):
    now: bool = False

    @property
    def options(self) -> list[str]:
        return ["--now"] if self.now else []


class _Retry(_Asked):
    """Trials by their numbers; all that have failed, if it names none."""

    trials: list[int] = []

    @property
    def options(self) -> list[str]:
        return [] if self.trials else ["--failed"]

    @property
    def arguments(self) -> list[str]:
        return [str(number) for number in self.trials]


class _Enqueue(_Asked):
    settings: list[dict[str, Any]]

    @property
    def arguments(self) -> list[str]:
        return [msgspec.json.encode(one).decode() for one in self.settings]


_KINDS: dict[str, type[_Asked]] = {
    "stop": _Stop,
    "pause": _Asked,
    "resume": _Asked,
    "retry": _Retry,
    "enqueue": _Enqueue,
}
ACTIONS = tuple(_KINDS)


async def act(logs: Path, study: str, action: str, body: bytes) -> str:
    """Have one of `ACTIONS` done; what the command says.

    Args:
        study: one that is there: it becomes an argument.
        body: JSON.

    Raises:
        UserError: a mistake, in the words of the command.
        ShareError: it may have been done or not.
    """
    try:
        asked = msgspec.json.decode(body, type=_KINDS[action])
    except msgspec.DecodeError as error:
        raise UserError(f"this cannot be asked of {action}: {error}") from None
    options = [f"--logs={logs}", *asked.options]
    command = python_command("distune", action, *options, "--", study, *asked.arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    try:
        said, wrong = await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError:
        process.kill()
        raise ShareError(f"{action} took too long: the shared folder does not answer") from None
    if process.returncode == 0:
        return said.decode(errors="replace").strip()
    trouble = wrong.decode(errors="replace").strip().removeprefix("distune: ")
    raise (UserError if process.returncode == 2 else ShareError)(trouble)
