"""A function of a script or a notebook as what a worker can train."""

import base64
import hashlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distune.errors import UserError
from distune.training.code import Code
from distune.training.offer import Offer

#: Bytes of a pickled function: each training process is handed its own copy.
_MOST_BYTES = 16 * 2**20
_MAIN = "__main__"


def offer_of(objective: Callable[..., Any]) -> Offer:
    """What workers import, or, of a function that a script or a notebook defines itself, are handed
    as it is.

    Raises:
        UserError: it can be neither imported nor pickled.
    """
    if not callable(objective):
        raise UserError(
            f"distune.run was given {objective!r:.60}: give it a function from params to a number, "
            "or the name of a built-in objective"
        )
    module, name = getattr(objective, "__module__", None), _name_of(objective)
    root = _root_of(module, name, objective)
    if root is not None:
        return Offer(f"{module}:{name}", folder=str(root))
    pickled = _pickled(objective)
    script = getattr(sys.modules[_MAIN], "__file__", None)
    path = Path(script).resolve() if script is not None else None
    if path is None or not path.is_file() or not path.stem.replace("-", "_").isidentifier():
        source = _source_of(objective) or pickled
        code = hashlib.sha256(source).hexdigest()[:12]
        return Offer(f"{_MAIN}:{name}", None, str(Path.cwd()), _as_text(pickled), code)
    # The same as on another host whose worker is given the script.
    offer = Offer(f"{path.stem}:{name}", str(path), str(path.parent))
    code = Code.of_offer(offer).digest
    return Offer(offer.name, None, offer.folder, _as_text(pickled), code)


def _name_of(objective: Callable[..., Any]) -> str:
    name = str(getattr(objective, "__name__", ""))
    return name if name.isidentifier() else "objective"


def _root_of(module: str | None, name: str, objective: Callable[..., Any]) -> Path | None:
    """The folder from which another process imports a function; None if it cannot."""
    loaded = sys.modules.get(module or "")
    file = getattr(loaded, "__file__", None)
    if module in (None, _MAIN) or file is None or getattr(loaded, name, None) is not objective:
        return None
    path = Path(file).resolve()
    up = module.count(".") + (path.stem == "__init__")
    return path.parents[up]


def _source_of(objective: Callable[..., Any]) -> bytes | None:
    try:
        return inspect.getsource(objective).encode()
    except (OSError, TypeError):
        return None


def _pickled(objective: Callable[..., Any]) -> bytes:
    import cloudpickle

    try:
        pickled: bytes = cloudpickle.dumps(objective)
    except Exception as error:
        raise UserError(
            f"the objective cannot be handed to another process ({error}): have it make what it "
            "needs itself, or put it into a file of its own and import it"
        ) from error
    if len(pickled) > _MOST_BYTES:
        raise UserError(
            f"the objective brings {len(pickled) >> 20} MB of data with it, at most "
            f"{_MOST_BYTES >> 20} can be handed over: have it read its data itself"
        )
    return pickled


def _as_text(pickled: bytes) -> str:
    return base64.b64encode(pickled).decode()
