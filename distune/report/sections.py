"""Which sections a report has, in which order. Pure."""

from __future__ import annotations

from distune.report import (
    cost,
    curves,
    importance,
    parameters,
    progress,
    stages,
    summary,
    winner,
    workers,
)
from distune.report.blocks import Section
from distune.report.optuna_plots import study_of
from distune.report.study_data import STAGE, StudyData


def all_sections(data: StudyData, color_by: str | None = None) -> list[Section]:
    """The sections that this study has something for.

    Args:
        data: of the study.
        color_by: the parameter whose values have colours in learning curves, until another is
            chosen in the page; the stage if None and there are any, else the most important.
    """
    study = study_of(data.history)
    weights = importance.weigh(data, study)
    staged = [STAGE] if data.stages else []
    colours = list(dict.fromkeys([*staged, *weights, *data.varying]))
    if color_by is None:
        color_by = next(iter(colours), None)
    made = [
        summary.summary(data),
        summary.ranking(data),
        stages.section(data),
        progress.section(data),
        importance.section(data, study, weights),
        parameters.section(data, weights),
        curves.section(data, color_by, colours),
        cost.section(data),
        winner.section(data),
        workers.section(data),
        summary.failures(data),
    ]
    return [section for section in made if section is not None]
