"""Documents: files that are one record, read seldom, whose mistakes a user has to understand."""

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """Base of documents: immutable, and NaN and Infinity survive JSON (as strings)."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings", extra="ignore")
