"""Slices of the test: those that candidates are looked at with, and the half that confirms, which no look has seen."""

SCREENED, CONFIRMED = (0.0, 0.5), (0.5, 1.0)
"""Slices of the test for the looks and for the confirmation."""
FIRST_LOOK = 400
"""Examples of the first look, where the test is so large that more looks than one pay."""
GROWTH = 4
"""Factor between the examples of one look and the next, and between the numbers of candidates."""


def look_slices(test_examples: int) -> list[tuple[float, float]]:
    """Return the slices of the looks: one half of the test, after smaller ones where the test is large."""
    first, size, found = SCREENED[1], float(FIRST_LOOK), []
    while 2 * size <= first * test_examples:
        found.append((0.0, size / test_examples))
        size *= GROWTH
    return [*found, SCREENED]
