"""Quotes around the cells of a table that is divided by tabs, where they may be characters of the text."""

import re
from itertools import zip_longest

QUOTED = re.compile(r'"(?:[^"]|"")*"')
NUMBER = re.compile(r"[-+.\d]*")


def is_quoted(rows: list[list[str]]) -> bool:
    """Tell whether a CSV writer (pandas, Excel, R) has quoted these cells: each quote belongs to a well-formed quoted
    cell, and some cell doubles the quotes inside it, or a column has all but its numbers and its name quoted."""
    with_quotes = [cell for row in rows for cell in row if '"' in cell]
    if not with_quotes or not all(QUOTED.fullmatch(cell) for cell in with_quotes):
        return False
    if any('""' in cell[1:-1] for cell in with_quotes):
        return True
    columns = list(zip_longest(*(rows[1:] or rows), fillvalue=""))
    return any(
        any('"' in cell for cell in column) and all('"' in cell or NUMBER.fullmatch(cell) for cell in column)
        for column in columns
    )


def unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell
