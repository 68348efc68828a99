"""Figures that a workload leaves beside its winner, for the report to draw: data, not
drawings. The report knows these kinds and no workload.

A workload's test writes `figures.json` into the trial's folder (`artifacts/000017.1/`).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from distune.study.trial import Document

FILE = "figures.json"
_Numbers = Annotated[list[float], Field(max_length=100_000)]
_Name = Annotated[str, Field(max_length=200)]


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Figure(_Plain):
    """`title` and `caption` are to read; what the caption says must not be in the picture alone."""

    title: _Name
    caption: Annotated[str, Field(max_length=2000)] = ""


class Confusion(_Figure):
    """How often each class (row) was taken for which (column)."""

    kind: Literal["confusion"] = "confusion"
    classes: Annotated[list[_Name], Field(min_length=1, max_length=100)]
    counts: Annotated[list[list[int]], Field(max_length=100)]


class Picture(_Plain):
    """One image: `pixels` are base64 of height x width x channels unsigned bytes."""

    pixels: Annotated[str, Field(max_length=100_000)]
    label: _Name  # what is said under it, such as "a 3, taken for a 5"


class Pictures(_Figure):
    """A grid of images, such as the winner's mistakes."""

    kind: Literal["pictures"] = "pictures"
    height: Annotated[int, Field(ge=1, le=256)]
    width: Annotated[int, Field(ge=1, le=256)]
    channels: Literal[1, 3]
    pictures: Annotated[list[Picture], Field(max_length=100)]


class Boundary(_Figure):
    """A function over a plane, and labelled points: `scores[i][j]` is at `y[i]`, `x[j]`, in
    [0, 1], 0.5 being the boundary between class 0 and class 1.
    """

    kind: Literal["boundary"] = "boundary"
    x: Annotated[list[float], Field(max_length=400)]
    y: Annotated[list[float], Field(max_length=400)]
    scores: Annotated[list[list[float]], Field(max_length=400)]
    points_x: _Numbers
    points_y: _Numbers
    labels: Annotated[list[int], Field(max_length=100_000)]


class Scatter(_Figure):
    """`y` against `x`, point by point, such as a predicted variance against an input."""

    kind: Literal["scatter"] = "scatter"
    x_title: _Name
    y_title: _Name
    x: _Numbers
    y: _Numbers
    y_error: _Numbers = []  # half the length of each error bar; empty for none
    diagonal: bool = False  # also draw y = x
    log_y: bool = False  # on a logarithmic axis, where all of y is above 0


Figure = Annotated[Confusion | Pictures | Boundary | Scatter, Field(discriminator="kind")]


class Figures(Document):
    """What `figures.json` holds; a document with a checksum, as `records.encode_document` makes."""

    figures: Annotated[list[Figure], Field(max_length=50)]
