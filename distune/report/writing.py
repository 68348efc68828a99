"""Writes the report of a study."""

from __future__ import annotations

import os
import secrets
from importlib.resources import files
from pathlib import Path

from distune.errors import UserError
from distune.export.leaderboard import parameter_names
from distune.report.page import html_page
from distune.report.sections import all_sections
from distune.report.study_data import STAGE, StudyData


def write_report(
    data: StudyData, plotly: str, out: Path | None, color_by: str | None = None
) -> Path:
    """Write the report of a study; what was there under that name is replaced when it is done.

    Args:
        data: from `read`.
        plotly: from `plotly_script`.
        out: the file; `NAME-report.html` in the current directory if None.
        color_by: the parameter whose values have colours in learning curves; the most
            important one if None.

    Returns:
        The file.

    Raises:
        UserError: there is no such parameter, or the file cannot be written.
    """
    name = data.study.name
    known = [*([STAGE] if data.stages else []), *parameter_names(data.history)]
    if color_by is not None and color_by not in known:
        raise UserError(
            f"--color-by: {name} has no parameter {color_by!r}; there are {', '.join(known)}"
        )
    target = out or Path(f"{name}-report.html")
    _write(
        target,
        html_page(
            f"Study {name}",
            f"Made by distune from the study {name}, {data.study.id}. This file loads "
            "nothing from the network.",
            all_sections(data, color_by),
            style=_asset("page.css"),
            script=_asset("page.js"),
            plotly=plotly,
        ),
    )
    return target


def plotly_script() -> str:
    """All of Plotly's script.

    Raises:
        UserError: it is not installed, or Optuna is not.
    """
    try:
        import optuna  # noqa: F401  drawn with later
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UserError(
            f"a report needs Plotly and Optuna ({error}): pip install 'distune[report]'"
        ) from None
    script: str = get_plotlyjs()
    return script


def _asset(name: str) -> str:
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
