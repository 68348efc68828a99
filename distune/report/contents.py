"""Which sections a report has, in which order. Pure."""

from __future__ import annotations

from distune.report import search, summary
from distune.report.blocks import Section
from distune.report.material import Material


def sections(material: Material) -> list[Section]:
    """The sections that this study has something for."""
    made = [
        summary.summary(material),
        summary.ranking(material),
        search.section(material),
        summary.failures(material),
    ]
    return [section for section in made if section is not None]
