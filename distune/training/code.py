"""Which code an objective is: a digest of its file, and of the modules beside it that it imports.

What is imported is read from the text, not from a running Python: so that it is the same before the
code is loaded, on every host, and whichever parts of it have run.
"""

import ast
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from distune.training.offer import Offer

_DIGITS = 12
_MOST_FILES = 1000
_LARGEST_FILE = 2**20  # bytes

Stamp = tuple[str, int, int]  # path, time of the last change, size


@dataclass(frozen=True)
class Code:
    """Some code as it was; without files that could be found, its digest is empty."""

    digest: str
    stamps: tuple[Stamp, ...]

    @classmethod
    def of_offer(cls, offer: Offer) -> "Code":
        """Of an objective that a worker offers."""
        if offer.code is not None:
            return cls(offer.code, ())
        module = offer.name.partition(":")[0]
        if offer.path is not None:
            path = Path(offer.path)
            return cls._of([path], path.parent, only=None)
        top = module.partition(".")[0]
        places = [*sys.path, *([offer.folder] if offer.folder is not None else [])]
        with suppress(Exception):  # whatever the user's own finders raise
            spec = PathFinder.find_spec(top, places)
            if spec is not None:
                inside = next(iter(spec.submodule_search_locations or ()), None)
                root = Path(inside or spec.origin or "").parent
                beside = offer.folder is not None and root.resolve() == Path(offer.folder).resolve()
                # Of a library, what belongs to its own package.
                files = [*_files_of(module, root)]
                return cls._of(files, root, only=None if beside else top)
        return cls("", ())

    @classmethod
    def of_command(cls, command: Sequence[str]) -> "Code":
        """Of a program that is run in this process's folder: the files there that it names."""
        files = [Path(one) for one in command if not Path(one).is_absolute() and _is_small(one)]
        return cls._of(files, Path(), only=None)

    @classmethod
    def _of(cls, files: Sequence[Path], root: Path, only: str | None) -> "Code":
        found: dict[Path, bytes] = {}
        to_do = list(files)
        while to_do and len(found) < _MOST_FILES:
            path = to_do.pop()
            if path in found or not _is_small(path):
                continue
            found[path] = path.read_bytes()
            if path.suffix == ".py":
                here = root if path.is_relative_to(root) else path.parent
                for name in _imported_by(found[path], path, here):
                    if only is None or name.partition(".")[0] == only:
                        to_do += _files_of(name, here)
        stamps = tuple(sorted(stamp for path in found if (stamp := _stamp(path)) is not None))
        hashed = hashlib.sha256()
        for file, data in sorted(found.items()):
            shown = file.relative_to(root) if file.is_relative_to(root) else file
            text = data.replace(b"\r\n", b"\n")
            hashed.update(b"%s\0%d\0%s" % (shown.as_posix().encode(), len(text), text))
        return cls(hashed.hexdigest()[:_DIGITS] if found else "", stamps)

    @property
    def may_have_changed(self) -> bool:
        """Whether a file of it is not as old and as large as it was."""
        return any(_stamp(Path(path)) != (path, *rest) for path, *rest in self.stamps)


class CurrentCode:
    """`CurrentCode(lambda: Code.of_offer(offer)).digest`: of the code as it is now."""

    def __init__(self, read: Callable[[], Code]) -> None:
        self._read = read
        self._code: Code | None = None

    @property
    def digest(self) -> str:
        if self._code is None or self._code.may_have_changed:
            self._code = self._read()
        return self._code.digest


def _is_small(path: str | Path) -> bool:
    with suppress(OSError, ValueError):
        return Path(path).is_file() and Path(path).stat().st_size <= _LARGEST_FILE
    return False


def _stamp(path: Path) -> Stamp | None:
    with suppress(OSError):
        found = path.stat()
        return str(path), found.st_mtime_ns, found.st_size
    return None


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """The files that are run when a module is imported from a folder, if it is there."""
    place = root
    for part in module.split("."):
        for path in (place / part / "__init__.py", place / f"{part}.py"):
            if path.is_file():
                yield path
        place /= part


def _imported_by(text: bytes, path: Path, root: Path) -> Iterator[str]:
    """The modules that a file imports anywhere, by their whole names, and names in them."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    package = path.relative_to(root).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*up, *([node.module] if node.module else [])])
            yield from filter(None, [base])
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
