"""Reads a study from the share and writes its report."""

from __future__ import annotations

import os
import secrets
from importlib.resources import files
from pathlib import Path

from distune.errors import BadRecord, UserError
from distune.observer import Observer
from distune.protocol import AttemptName, State
from distune.records import AttemptFile
from distune.report.contents import sections
from distune.report.material import Material, sample
from distune.report.page import html_page
from distune.store import Store
from distune.trial import Counted, Outcome

#: Of how many trials learning curves are read: the best ones, and others drawn at random.
CURVES_OF_BEST, CURVES_OF_OTHERS = 60, 240


def write_report(store: Store, out: Path | None) -> Path:
    """Write the report of a study; what was there under that name is replaced when it is done.

    Args:
        store: of the study.
        out: the file; `NAME-report.html` in the current directory if None.

    Returns:
        The file.

    Raises:
        UserError: Plotly or Optuna is missing, or the file cannot be written; says what to do.
        ShareError: the share did not answer.
    """
    plotly = plotly_script()
    material = read(store)
    name = material.study.name
    made = html_page(
        f"Study {name}",
        f"Made by distune from the study {name}, {material.study.id}. This file loads nothing "
        "from the network.",
        sections(material),
        style=asset("page.css"),
        script=asset("page.js"),
        plotly=plotly,
    )
    target = out or Path(f"{name}-report.html")
    _write(target, made)
    return target


def plotly_script() -> str:
    """All of Plotly's script.

    Raises:
        UserError: it is not installed, or Optuna is not.
    """
    try:
        import optuna  # noqa: F401  drawn with later; asked for now, before anything is read
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UserError(
            f"a report needs Plotly and Optuna ({error}): pip install 'distune[report]'"
        ) from None
    script: str = get_plotlyjs()
    return script


def asset(name: str) -> str:
    """A file of the page's own: `page.css` or `page.js`."""
    return (files("distune.report") / name).read_text(encoding="utf-8")


def _write(target: Path, text: str) -> None:
    """All of it or nothing."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        try:
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(f"cannot write {target}: {why}; choose another file with --out") from None


# -- reading -------------------------------------------------------------------------------


def read(store: Store) -> Material:
    """What a report needs to know of a study.

    Raises:
        ShareError: the share did not answer.
    """
    snapshot = Observer(store).look()
    files: dict[int, AttemptFile] = {}
    for counted in sample(snapshot.history, CURVES_OF_BEST, CURVES_OF_OTHERS):
        if counted.result.steps > 1:
            file = _file_of(store, counted)
            if file is not None:
                files[counted.trial.number] = file
    return Material(snapshot=snapshot, files=files)


def _file_of(store: Store, counted: Counted) -> AttemptFile | None:
    """The file of the attempt that ended a trial; None if it is not to be had."""
    trial = counted.trial
    state = State.PRUNED if counted.result.outcome is Outcome.PRUNED else State.SEEN
    for name, seen in (
        (AttemptName(trial.number, trial.attempt, trial.purpose, counted.worker, state), True),
        # Counted a moment ago, and not yet put away.
        (
            AttemptName(trial.number, trial.attempt, trial.purpose, counted.worker, State.DONE),
            False,
        ),
    ):
        try:
            return store.read_attempt(name, seen=seen)
        except (FileNotFoundError, BadRecord):
            continue
    return None
