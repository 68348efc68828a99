"""What a section is made of: paragraphs, tables, plots, pictures. Pure.

They hold plain text, and no markup.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distune.report.plotting import PlotlyFigure


@dataclass(frozen=True)
class Paragraph:
    """A paragraph. `tone`: `aside` for what is said aside, `bad` for what is wrong."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """`numeric`: columns that are set flush right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    caption: str = ""


@dataclass(frozen=True)
class Plot:
    """One plot, or several of which one is shown at a time."""

    title: str
    figures: Mapping[str, PlotlyFigure]  # by what to choose it by, the first being shown
    alt: str  # what it shows, for screen readers
    caption: str = ""  # how to read it
    choice: str = ""  # what is chosen, where there is a choice
    chosen_by: str = ""  # the key of a `Choice` that chooses for this plot and others
    alts: Sequence[str] = ()  # what each of the figures shows, if not all show the same
    height: int = 360  # in pixels
    min_width: int = 0  # in pixels; on a narrower screen it can be moved sideways


@dataclass(frozen=True)
class Choice:
    """One choice for all plots that name its key: which of their figures each shows."""

    key: str
    title: str
    options: Sequence[str]


@dataclass(frozen=True)
class Row:
    """Plots that stand beside each other where there is room."""

    plots: Sequence[Plot]


@dataclass(frozen=True)
class PictureGrid:
    """Small images with what is said under each: (PNG, label)."""

    title: str
    pictures: Sequence[tuple[bytes, str]]
    caption: str = ""


Block = Paragraph | Table | Plot | Choice | Row | PictureGrid


@dataclass(frozen=True)
class Section:
    """`key` names it in the page's address."""

    key: str
    title: str
    blocks: Sequence[Block]
