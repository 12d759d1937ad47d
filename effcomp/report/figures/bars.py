"""Figures for a paper or a page, one line per configuration: units on the axes, intervals as bars, nothing cut off."""

from collections.abc import Callable, Sequence
from functools import cache
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.record.quantity import Field
from effcomp.report.objectives import OBJECTIVES
from effcomp.report.rows import NamedRecord

BASELINE_COLOUR, COLOUR, SECOND_COLOUR, INK = "#8a8f98", "#1f6feb", "#bc4c00", "#333333"
DPI = 150
LONGEST_NAME = 44
"""Characters of a configuration in one line of a figure."""
COSTS = ("artifact_bytes", "peak_rss_bytes", "energy_per_sample_j")
"""Objectives that stand beside the speed-ups."""
NumberOf = Callable[[Record], Interval | None]


def bars(axes: Axes, values: list[Interval | None], colours: list[str]) -> None:
    """Draw bars from zero, with intervals where there are any; for quantities with a meaningful zero."""
    there = [(place, one) for place, one in enumerate(values) if one is not None]
    axes.barh(
        [place for place, _ in there],
        [one.value for _, one in there],
        color=[colours[place] for place, _ in there],
        hatch=["///" if colours[place] == BASELINE_COLOUR else "" for place, _ in there],
        edgecolor="white",
        height=0.7,
    )
    uncertain = [(place, one) for place, one in there if one.high > one.low]
    errors(axes, uncertain, fmt="none", ecolor=INK, capsize=2, elinewidth=1)


def dots(axes: Axes, values: list[Interval | None], colours: list[str]) -> None:
    """Draw points with intervals, for quantities in a narrow range; the value of a single baseline is a line."""
    for colour in dict.fromkeys(colours):
        there = [(place, one) for place, one in enumerate(values) if one is not None and colours[place] == colour]
        errors(axes, there, fmt="D" if colour == BASELINE_COLOUR else "o", color=colour, capsize=3)
        if colour == BASELINE_COLOUR and len(there) == 1:
            axes.axvline(there[0][1].value, color=BASELINE_COLOUR, linewidth=1, linestyle=":")
    axes.grid(axis="x", alpha=0.25)


def errors(axes: Axes, placed: Sequence[tuple[float, Interval]], **style: Any) -> None:
    """Draw intervals along x, each at its place on y."""
    ends = [whiskers(one) for _, one in placed]
    both = [[end[side][0] for end in ends] for side in (0, 1)]
    axes.errorbar([one.value for _, one in placed], [place for place, _ in placed], xerr=both, **style)


def whiskers(interval: Interval) -> list[list[float]]:
    """Return the distances down and up, in the shape that matplotlib takes."""
    return [[max(0.0, interval.value - interval.low)], [max(0.0, interval.high - interval.value)]]


def wrapped(words: str, width: int = LONGEST_NAME) -> str:
    """Return words in lines as matplotlib draws them literally: no dollar begins a formula, no character is a box."""
    return fill("".join(map(drawable, words)), width, break_long_words=True).replace("$", r"\$")


@cache
def drawable(character: str) -> str:
    """Return the character, or its code (U+826F) where the font of the figures lacks it."""
    known = character.isspace() or get_font(findfont(FontProperties())).get_char_index(ord(character))
    return character if known else f"U+{ord(character):04X}"


def colours_of(rows: Sequence[NamedRecord]) -> list[str]:
    return [BASELINE_COLOUR if row.record.is_baseline else COLOUR for row in rows]


def named_lines(axes: Axes, rows: Sequence[NamedRecord]) -> None:
    """Name the configurations from top to bottom on the y axis."""
    axes.set_yticks(range(len(rows)), [wrapped(row.name) for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)


def height(rows: Sequence[NamedRecord]) -> float:
    """Return the height in inches for one line per configuration, more for longer names."""
    lines = sum(wrapped(row.name).count("\n") * 0.5 + 1 for row in rows)
    return 0.3 * lines + 1.7


def panels(
    rows: Sequence[NamedRecord], title: str, draw: Callable[..., None], drawn: Sequence[tuple[str, NumberOf]]
) -> Figure:
    """Draw one panel for each measure, side by side, sharing the configurations; the baseline is grey."""
    figure = Figure(figsize=(2.9 * len(drawn) + 2.6, height(rows)), dpi=DPI, layout="constrained")
    all_axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axes, (label, value) in zip(all_axes, drawn, strict=True):
        draw(axes, [value(row.record) for row in rows], colours_of(rows))
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.label_outer()
    named_lines(all_axes[0], rows)
    titled(figure, title)
    return figure


def titled(figure: Figure, title: str) -> None:
    """Set the title of the whole figure, in as many lines as its width needs."""
    figure.suptitle(wrapped(title, int(figure.get_figwidth() * 11)), fontsize=11)


def in_its_unit(field: Field) -> tuple[str, NumberOf]:
    """Return the label of a quantity with its direction, and a reader of its displayed number."""

    def value(record: Record) -> Interval | None:
        found = field.of(record)
        return None if found is None else found.scaled(field.quantity.scale)

    return f"{field.heading}\n({'less' if field.quantity.better == 'lower' else 'more'} is better)", value


def performance_figure(rows: Sequence[NamedRecord], about: str) -> Figure | None:
    """Draw every objective of quality with its intervals; None where none was measured."""
    qualities = [one.field for one in OBJECTIVES.values() if one.field.section in ("quality", "versus_baseline")]
    drawn = [in_its_unit(field) for field in qualities if any(field.of(row.record) for row in rows)]
    return panels(rows, f"Quality with 95 % intervals: {about}", dots, drawn) if drawn else None


def efficiency_figure(rows: Sequence[NamedRecord], about: str) -> Figure:
    """Draw the speed-up at each batch size that all have, artifact size, peak memory, and energy where any has it."""
    shared = sorted(set.intersection(*(set(row.record.speed.by_batch_size) for row in rows)))
    speedups = [(f"speed-up at batch {size}, times\n(more is better)", speedup_at(size)) for size in shared]
    fields = [OBJECTIVES[name].field for name in COSTS]
    costs = [in_its_unit(field) for field in fields if any(field.of(row.record) for row in rows)]
    title = f"Efficiency, speed-ups with 95 % intervals: {about}"
    figure = panels(rows, title, bars, [*speedups, *costs])
    for axes in figure.axes[: len(shared)]:
        axes.axvline(1, color=INK, linewidth=1, linestyle=":")
    return figure


def speedup_at(batch_size: int) -> NumberOf:
    """Return a reader of the paired speed-up at a batch size."""
    return lambda record: record.speed.by_batch_size[batch_size].speedup
