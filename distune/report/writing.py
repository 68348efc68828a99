"""Writes the report of a study."""

from __future__ import annotations

from pathlib import Path

from distune.errors import UserError
from distune.export.files import complete
from distune.export.leaderboard import parameter_names
from distune.report import cost, curves, parameters, progress, summary, winner, workers
from distune.report.blocks import Section
from distune.report.optuna_plots import study_of
from distune.report.page import html_page
from distune.report.study_data import STAGE, StudyData


def write_report(
    data: StudyData, plotly: str, out: Path | None, color_by: str | None = None
) -> Path:
    """Write the report of a study; what was there under that name is replaced when it is done.

    Args:
        data: from `read`.
        plotly: all of its script.
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
    page = html_page(
        f"Study {name}",
        f"Made by distune from the study {name}, {data.study.id}. This file loads "
        "nothing from the network.",
        all_sections(data, color_by),
        plotly,
    )
    with complete(target) as draft:
        draft.write_text(page, encoding="utf-8")
    return target


def all_sections(data: StudyData, color_by: str | None = None) -> list[Section]:
    """The sections that this study has something for.

    Args:
        data: of the study.
        color_by: the parameter whose values have colours in learning curves, until another is
            chosen in the page; the stage if None and there are any, else the most important.
    """
    study = study_of(data.history)
    weights = parameters.weigh(data, study)
    staged = [STAGE] if data.stages else []
    colours = list(dict.fromkeys([*staged, *weights, *data.varying]))
    if color_by is None:
        color_by = next(iter(colours), None)
    made = [
        summary.summary(data),
        summary.ranking(data),
        summary.stages(data),
        progress.section(data),
        parameters.what_mattered(data, study, weights),
        parameters.section(data, weights),
        curves.section(data, color_by, colours),
        cost.section(data),
        winner.section(data),
        workers.section(data),
        summary.failures(data),
    ]
    return [section for section in made if section is not None]
