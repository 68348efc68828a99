"""What a section is made of: paragraphs, tables, plots, pictures. Pure.

They hold plain text, and no markup.
"""

from collections.abc import Mapping, Sequence

import msgspec

from distune.report.charts import Chart


class Paragraph(msgspec.Struct, frozen=True, tag_field="kind", tag="paragraph"):
    """A paragraph. `tone`: `quiet` for what is said aside, `bad` for what is wrong."""

    text: str
    tone: str = ""


class Table(msgspec.Struct, frozen=True, tag_field="kind", tag="table"):
    """`numeric`: columns that are set flush right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()
    caption: str = ""


class Plot(msgspec.Struct, frozen=True, tag_field="kind", tag="plot"):
    """One plot, or several of which one is shown at a time."""

    title: str
    charts: Mapping[str, Chart]  # by what to choose it by, the first being shown
    alt: str  # what it shows, for screen readers
    caption: str = ""  # how to read it
    choice: str = ""  # what is chosen, where there is a choice
    chosen_by: str = ""  # the name of a `Choice` that chooses for this plot and others
    alts: Sequence[str] = ()  # what each of the charts shows, if not all show the same
    height: int = 300  # in pixels


class Choice(msgspec.Struct, frozen=True, tag_field="kind", tag="choice"):
    """One choice for all plots that name it: which of their charts each shows."""

    name: str
    title: str
    options: Sequence[str]


class Row(msgspec.Struct, frozen=True, tag_field="kind", tag="row"):
    """Plots that stand beside each other where there is room."""

    plots: Sequence[Plot]


class Picture(msgspec.Struct, frozen=True):
    """`pixels`: base64 of height x width x channels unsigned bytes."""

    pixels: str
    label: str


class PictureGrid(msgspec.Struct, frozen=True, tag_field="kind", tag="pictures"):
    """Small images with what is said under each."""

    title: str
    height: int
    width: int
    channels: int
    pictures: Sequence[Picture]
    caption: str = ""


Block = Paragraph | Table | Plot | Choice | Row | PictureGrid


class Section(msgspec.Struct, frozen=True):
    """`key` names it in the page."""

    key: str
    title: str
    blocks: Sequence[Block]
