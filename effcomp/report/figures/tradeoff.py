"""Figures of one number against another: quality against its cost with the Pareto front, throughput and perplexity."""

import math
from collections.abc import Iterable, Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from effcomp.core.interval import Interval
from effcomp.report.choose.fronts import Tradeoff
from effcomp.report.figures.bars import (
    COLOUR,
    DPI,
    INK,
    SECOND_COLOUR,
    height,
    named_lines,
    titled,
    whiskers,
    wrapped,
)
from effcomp.report.objectives import Objective
from effcomp.report.rows import subject

MARKERS = "osD^vP*X<>hp"
PANELS_ABREAST = 3
LEGEND_WIDTH = 34
"""Characters in a line of the legend."""
LOG_FROM = 6.0
"""Ratio of the greatest to the least value that gives a logarithmic axis."""


def tradeoff_figure(found: Sequence[Tradeoff], about: str) -> Figure:
    """Draw quality against a cost, both with intervals, and the Pareto front.

    Each test set has a panel; a configuration has one colour and mark in all of them, paler where it is not on the
    front.
    """
    on_front = {one.rows[index].name for one in found for index in one.front}
    names = list(dict.fromkeys(row.name for one in found for row in one.rows))
    labels = ["Pareto front", *sorted(names, key=lambda name: name not in on_front)]
    legend = [wrapped(label, LEGEND_WIDTH) for label in labels]
    figure, all_axes = grid(len(found), legend)
    lines = {}
    for one, axes in zip(found, all_axes, strict=False):
        corners = [one.points[index] for index in one.front]
        (lines["Pareto front"],) = axes.plot(
            [x.value for x, _ in corners],
            [y.value for _, y in corners],
            drawstyle="steps-post", color=INK, linewidth=1, linestyle="--", zorder=1,
        )  # fmt: skip
        for row, (x, y) in zip(one.rows, one.points, strict=True):
            index, strong = names.index(row.name), row.name in on_front
            lines[row.name], *_ = axes.errorbar(
                [x.value], [y.value],
                xerr=whiskers(x), yerr=whiskers(y),
                fmt=MARKERS[index % len(MARKERS)], color=f"C{index % 10}", alpha=1 if strong else 0.5,
                markeredgecolor=INK if strong else "none", markersize=8 if strong else 6, zorder=3 if strong else 2,
                elinewidth=0.8,
            )  # fmt: skip
        scaled(axes, "x", one.x, [x for x, _ in one.points])
        scaled(axes, "y", one.y, [y for _, y in one.points])
        axes.grid(alpha=0.25)
        if len(found) > 1:
            axes.set_title(subject([row.record for row in one.rows]), fontsize=9)
    for axes in all_axes:  # those of the grid that are left over
        axes.set_axis_off()
    figure.legend(
        [lines[label] for label in labels],
        legend,
        fontsize=7,
        loc="outside right center",
        frameon=False,
        ncols=legend_columns(legend),
    )
    titled(figure, f"Quality against {found[0].x.quantity.label}, with 95 % intervals: {about}")
    return figure


def grid(panels: int, legend: list[str]) -> tuple[Figure, Iterator[Axes]]:
    """A figure with at least so many panels, and room for a legend in 7 points beside them."""
    width, columns = min(panels, PANELS_ABREAST), legend_columns(legend)
    depth = math.ceil(panels / width)
    beside = sum(0.07 + 0.13 * (label.count("\n") + 1) for label in legend) / columns
    size = (5.2 * width + 2.6 * columns, max(4.8 * depth, 1.1 * beside + 0.8))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    return figure, iter(figure.subplots(depth, width, squeeze=False).flat)


def legend_columns(legend: list[str]) -> int:
    return 1 if len(legend) <= 24 else 2


def scaled(axes: Axes, side: str, objective: Objective, values: Iterable[Interval]) -> None:
    """Label an axis; a logarithmic one where less is better and the values differ much."""
    axis, kept = getattr(axes, f"{side}axis"), [one.value for one in values if one.value > 0]
    less = objective.direction == "minimize"
    axis.set_label_text(f"{objective.label} ({'less' if less else 'more'} is better)")
    if less and max(kept, default=0) > LOG_FROM * min(kept, default=1):
        getattr(axes, f"set_{side}scale")("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())


def throughput_figure(found: Sequence[Tradeoff], about: str) -> Figure | None:
    """Draw tokens per second as bars and perplexity as points on an axis of its own, both with intervals. None without
    a language model."""
    if not found:
        return None
    rows = [row for one in found for row in one.rows]
    points = [point for one in found for point in one.points]
    figure = Figure(figsize=(8.4, height(rows) + 0.6), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    above = axes.twiny()
    for position, (speed, perplexity) in enumerate(points):
        axes.barh(position, speed.value, color=COLOUR, alpha=0.45, height=0.7)
        axes.errorbar([speed.value], [position], xerr=whiskers(speed), color=COLOUR, capsize=2, elinewidth=1)
        above.errorbar(
            [perplexity.value], [position], xerr=whiskers(perplexity), fmt="o", color=SECOND_COLOUR, capsize=3
        )
    scaled(axes, "x", found[0].x, [speed for speed, _ in points])
    scaled(above, "x", found[0].y, [perplexity for _, perplexity in points])
    for side, colour in ((axes, COLOUR), (above, SECOND_COLOUR)):
        side.xaxis.label.set_color(colour)
        side.tick_params(axis="x", which="both", colors=colour)
    named_lines(axes, rows)
    titled(figure, f"Throughput and perplexity with 95 % intervals: {about}")
    return figure
