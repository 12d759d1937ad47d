"""Base of every part of a Record."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    """Base class of every part of a Record: immutable, without unknown fields, NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


def rows_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the classes of rows in a type: those of `dict[int, BatchSpeed] | None` are [BatchSpeed]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [row for part in get_args(annotation) for row in rows_in(part)]
