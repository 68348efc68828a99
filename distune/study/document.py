"""Documents: files that are one record, read seldom, whose mistakes people have to understand."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from distune.study import trial


class Document(BaseModel):
    """Base of documents: immutable, and NaN and Infinity survive JSON (as strings)."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings", extra="ignore")


def _scalar(value: object) -> object:
    """What a parameter may be. One validator, not a union: its message has to help."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"must be a string, a number, true, false or null, not {value!r:.40}")


Count = Annotated[int, Field(ge=0, le=10**12)]
Scalar = Annotated[trial.Scalar, PlainValidator(_scalar)]
