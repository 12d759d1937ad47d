"""--where model=minilm quant=nf4,int8_dynamic: the records that are reported."""

import json
from typing import Any

from effcomp.core.errors import UserError
from effcomp.record import settings
from effcomp.report.sources import RecordWithCurves


def parse_where(items: list[str]) -> dict[str, list[str]]:
    """Return the wanted values of each setting. Raise UserError for an item that is no KEY=VALUE[,VALUE]."""
    wanted = {}
    for item in items:
        key, _, values = item.partition("=")
        if not key or not values:
            raise UserError(f"--where {item}: write KEY=VALUE or KEY=VALUE,VALUE, sources before it")
        wanted[key] = values.split(",")
    return wanted


def matching(found: list[RecordWithCurves], wanted: dict[str, list[str]]) -> list[RecordWithCurves]:
    """Return the records whose settings (choices of groups, or settings as they are typed) have the wanted values.

    Raises:
        UserError: no record has such a setting or such a value, or none has all of them.
    """
    if not wanted:
        return found
    flat = [typed(one) for one in found]
    for key, values in wanted.items():
        there = sorted({config[key] for config in flat if key in config})
        if not there:
            keys = sorted({key for config in flat for key in config})
            raise UserError(f"--where {key}: no record has it; there are: {', '.join(keys)}")
        for value in values:
            if value not in there:
                raise UserError(f"--where {key}={value}: no record has it; there are: {', '.join(there)}")
    kept = [
        one
        for one, config in zip(found, flat, strict=True)
        if all(config.get(key) in values for key, values in wanted.items())
    ]
    if not kept:
        items = " ".join(f"{key}={','.join(values)}" for key, values in wanted.items())
        raise UserError(f"--where {items}: no record has all of these; ask for fewer")
    return kept


def typed(found: RecordWithCurves) -> dict[str, str]:
    """Return a record's settings as they are typed on the command line."""
    return {key: text(value) for key, value in settings(found.record.config).items()}


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
