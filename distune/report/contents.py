"""Which sections a report has, in which order. Pure."""

from __future__ import annotations

from distune.report import (
    cost,
    curves,
    importance,
    search,
    settings,
    stages,
    summary,
    workers,
    workload,
)
from distune.report.blocks import Section
from distune.report.material import STAGE, Material
from distune.report.optuna_plots import study_of


def sections(material: Material, color_by: str | None = None) -> list[Section]:
    """The sections that this study has something for.

    Args:
        material: of the study.
        color_by: the parameter whose values have colours in learning curves, until another is
            chosen in the page; the stage if None and there are any, else the most important.
    """
    study = study_of(material.history)
    weights = importance.weigh(material, study)
    staged = [STAGE] if material.stages else []
    colours = list(dict.fromkeys([*staged, *weights, *material.varying]))
    if color_by is None:
        color_by = next(iter(colours), None)
    made = [
        summary.summary(material),
        summary.ranking(material),
        stages.section(material),
        search.section(material),
        importance.section(material, study, weights),
        settings.section(material, weights),
        curves.section(material, color_by, colours),
        cost.section(material),
        workload.section(material),
        workers.section(material),
        summary.failures(material),
    ]
    return [section for section in made if section is not None]
