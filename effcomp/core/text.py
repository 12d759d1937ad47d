"""Text in lines, for a terminal."""

from textwrap import fill

TEXT_WIDTH = 100
"""Characters in a line of text."""


def labelled(name: str, text: str, indent: int = 10) -> str:
    """Return a name and a text beside it, which begins at this column in each of its lines."""
    return fill(text, TEXT_WIDTH, initial_indent=f"{name:{indent}}", subsequent_indent=" " * indent)
