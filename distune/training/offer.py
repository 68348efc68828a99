"""A user's objective that a worker agrees to run."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distune.errors import UserError
from distune.share import records
from distune.study.trial import Record

Objective = Callable[..., Any]


class Offer(Record, frozen=True):
    """What `--objective train:train` names, or what `distune.run` was given."""

    name: str  # as a study names it, `module:function`
    path: str | None = None  # of the file, if the module is not simply imported
    folder: str | None = None  # where Python looks last: the file's, or the worker's current one
    pickled: str | None = None  # the function itself, in Base64, if it cannot be imported
    code: str | None = None  # of that, its digest

    @classmethod
    def parse(cls, text: str, logs: Path) -> Offer:
        """`Offer.parse("examples/plain.py:train", logs)` offers `plain:train`.

        Args:
            logs: the shared folder, resolved; no code is loaded from it, where others may write.

        Raises:
            UserError: it is neither `module:function` nor `file.py:function`, or its code lies in
                the shared folder.
        """
        module, _, function = text.rpartition(":")
        path = Path(module).resolve() if module.endswith(".py") else None
        names = [path.stem] if path is not None else module.split(".")
        name = f"{'.'.join(names)}:{function}"
        # A file is not looked for by its name, which may be what `import` would not take.
        importable = all(one.replace("-", "_" if path else "-").isidentifier() for one in names)
        if not (importable and function.isidentifier()):
            raise UserError(
                f"--objective {text}: write module:function or path/to/file.py:function, "
                "with names that Python can import (a file's may have hyphens)"
            )
        if path is not None and not path.is_file():
            raise UserError(f"--objective {text}: there is no file {path}")
        folder = path.parent if path else Path.cwd()
        if not folder.is_relative_to(logs):
            return cls(name, str(path) if path else None, str(folder))
        if path or any((folder / f"{names[0]}{end}").exists() for end in ("", ".py")):
            raise UserError(
                f"--objective {text}: it lies in {folder}, which is in the logs directory; others "
                "may change it there. Keep your code elsewhere, or choose another --logs"
            )
        return cls(name)

    @classmethod
    def all_of(cls, texts: Sequence[str], given: bytes, logs: Path) -> list[Offer]:
        """Those that a command line names, and one that was `given`, encoded, if any was.

        Raises:
            UserError: as `parse_all`.
        """
        offers = cls.parse_all(texts, logs)
        return [*offers, records.load(cls, given)] if given else offers

    @classmethod
    def parse_all(cls, texts: Sequence[str], logs: Path) -> list[Offer]:
        """`parse` each.

        Raises:
            UserError: two of them have one name, by which a study could mean either.
        """
        offers: dict[str, tuple[str, Offer]] = {}
        for text in texts:
            offer = cls.parse(text, logs)
            before, known = offers.setdefault(offer.name, (text, offer))
            if known != offer:
                raise UserError(
                    f"--objective {before} and --objective {text} are both called {offer.name!r}: "
                    "rename one of the files, or give each to a worker of its own (--study NAME)"
                )
        return [offer for _, offer in offers.values()]

    def load(self) -> Objective:
        """Import or unpickle it; raises whatever its code raises. Its code finds itself as if it
        had been started without arguments: those of this process are distune's.
        """
        module_name, _, function = self.name.partition(":")
        sys.argv = [self.path or module_name]
        if self.folder is not None and self.folder not in sys.path:
            sys.path.append(self.folder)
        if self.pickled is not None:
            return pickle.loads(base64.b64decode(self.pickled))  # type: ignore[no-any-return]
        if self.path is not None:
            module_name = _free_name(module_name, self.path)
            spec = importlib.util.spec_from_file_location(module_name, self.path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{self.path} cannot be imported")
            module = importlib.util.module_from_spec(spec)
            sys.modules[module_name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
        found = getattr(module, function, None)
        if not callable(found):
            raise AttributeError(f"{self.path or module_name} has no function {function!r}")
        return found  # type: ignore[no-any-return]


def _free_name(name: str, path: str) -> str:
    """What to call the module that a file is: its name, unless that is a library's, which the file
    itself may want (a `queue.py`).
    """
    found = sys.modules.get(name) or importlib.util.find_spec(name)
    its = getattr(found, "__file__", None) or getattr(found, "origin", None)
    return name if found is None or its == path else f"_objective_{name}"
