"""What the commands share that leave a mark for all processes of a study: pause, stop, resume."""

from __future__ import annotations

import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distune.cli import terminal
from distune.cli.reading import opened_to_change
from distune.errors import BadRecord, UserError

if TYPE_CHECKING:
    from distune.share.heartbeat import Finished
    from distune.share.protocol import Halt
    from distune.share.store import Store


@dataclass(frozen=True)
class Standing:
    """A study that may be marked, as it stands.

    Attributes:
        finished: how it ended, if it is over.
        halt: what was asked of it before.
        marked: there are marks, whether or not they mean anything.
        has_master: one runs, or was killed; as its heartbeat said last.
    """

    name: str
    logs: Path
    store: Store
    finished: Finished | None
    halt: Halt | None
    marked: bool
    has_master: bool

    @classmethod
    def of(cls, logs: Path, study: str | None, any_owner: bool) -> Standing:
        """Look at a study that this user may change.

        Raises:
            UserError: there is none of that name, or it cannot be written to.
        """
        from distune.share import access
        from distune.share.find_studies import find_studies

        with terminal.stall().watched():
            if study is None:
                there = ", ".join(find_studies(logs)) or "none"
                raise UserError(f"say which study (in {logs}: {there})")
            folder, store = opened_to_change(logs, study, any_owner)
            access.check_writable(folder)
            halts = store.listing(viewer=True).halts
            try:
                finished = store.read_finished()
            except BadRecord:
                finished = None
            beat, halt = store.read_master(), store.read_halts(halts)[0]
            runs = beat is not None and beat.state == "running" and finished is None
            return cls(study, logs, store, finished, halt, bool(halts), runs)

    def mark(self, halt: Halt) -> Halt:
        """Have it halt; what holds from now on, which may be what was asked before."""
        from distune.share.protocol import Halt

        with terminal.stall().watched():
            self.store.mark(halt, socket.gethostname())
        return max(halt, self.halt or halt, key=list(Halt).index)

    @property
    def resume(self) -> str:
        """The command that takes all marks away."""
        return shlex.join(["distune", "resume", self.name, "--logs", str(self.logs)])
