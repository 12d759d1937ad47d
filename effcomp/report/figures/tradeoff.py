"""Figures of one number against another: quality against its cost with the Pareto front, throughput and perplexity."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from effcomp.core.interval import Interval
from effcomp.report.choose.fronts import Tradeoff
from effcomp.report.figures.bars import (
    BASELINE_COLOUR,
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
from effcomp.report.figures.labels import write_beside
from effcomp.report.objectives import Objective
from effcomp.report.rows import subject

PANELS_ABREAST = 3
KEY_WIDTH = 34
"""Characters in a line of the key."""
MOST_NAMES = 8
"""Configurations on a front that are named in the figure; the others have numbers."""
LOG_FROM = 6.0
"""Ratio of the greatest to the least value that gives a logarithmic axis."""
FRONT: dict[str, Any] = {"marker": "o", "color": COLOUR, "markersize": 8, "zorder": 4}
OTHER: dict[str, Any] = {
    "marker": "o",
    "color": BASELINE_COLOUR,
    "markerfacecolor": "white",
    "markersize": 6,
    "zorder": 2,
}
BASELINE: dict[str, Any] = {"marker": "D", "color": INK, "markersize": 7, "zorder": 3}

KINDS = (
    (FRONT, "on the front: none is shown to beat it"),
    (OTHER, "another is shown to beat it"),
    (BASELINE, "float32 baseline"),
)


def tradeoff_figure(found: Sequence[Tradeoff], about: str) -> Figure:
    """Draw quality against a cost, both with intervals.

    Each test set has a panel. A name of one line stands beside a configuration on the front, a number beside the
    others, with their names in the key.
    """
    fronts = dict.fromkeys(one.rows[index].name for one in found for index in one.front)
    named = [name for name in fronts if "\n" not in wrapped(name)][:MOST_NAMES]
    names = dict.fromkeys(row.name for one in found for row in one.rows)
    numbered = [name for name in names if name not in named]
    labels = {name: str(number) for number, name in enumerate(numbered, 1)} | {name: wrapped(name) for name in named}
    key = [wrapped(name, KEY_WIDTH) for name in numbered]
    figure, all_axes = grid(len(found), key)
    drawn, used = [], []
    for one, axes in zip(found, all_axes, strict=False):
        front = {one.rows[index].name for index in one.front}
        for row, (x, y) in zip(one.rows, one.points, strict=True):
            style = BASELINE if row.record.is_baseline else FRONT if row.name in front else OTHER
            used.append(style)
            axes.errorbar(
                [x.value], [y.value],
                xerr=whiskers(x), yerr=whiskers(y), alpha=1 if style is FRONT else 0.7, elinewidth=0.8, **style,
            )  # fmt: skip
        scaled(axes, "x", one.x, [x for x, _ in one.points])
        scaled(axes, "y", one.y, [y for _, y in one.points])
        axes.grid(alpha=0.25)
        if len(found) > 1:
            axes.set_title(wrapped(subject([row.record for row in one.rows])), fontsize=9)
        drawn.append((axes, [(x.value, y.value) for x, y in one.points], [labels[row.name] for row in one.rows]))
    for axes in all_axes:  # those of the grid that are left over
        axes.set_axis_off()
    kinds = [(style, words) for style, words in KINDS if style in used]
    kinds += [
        ({"marker": f"${labels[name]}$", "color": INK, "markeredgewidth": 0}, words)
        for name, words in zip(numbered, key, strict=True)
    ]
    signs, texts = zip(*((sign(style), words) for style, words in kinds), strict=True)
    figure.legend(signs, texts, fontsize=7, loc="outside right center", frameon=False, ncols=key_columns(key))
    titled(figure, f"Quality against {found[0].x.quantity.label}, with 95 % intervals: {about}")
    figure.draw_without_rendering()  # the layout says where the points are
    figure.set_layout_engine("none")
    for axes, points, names_beside in drawn:
        write_beside(axes, points, names_beside)
    return figure


def sign(style: dict[str, Any]) -> Line2D:
    """Return the mark of a line of the key."""
    return Line2D([], [], linestyle="none", **style)


def grid(panels: int, key: list[str]) -> tuple[Figure, Iterator[Axes]]:
    """Return a figure with at least this many panels, and room for a key in 7 points at their side."""
    width, columns = min(panels, PANELS_ABREAST), key_columns(key)
    depth = math.ceil(panels / width)
    beside = sum(0.07 + 0.13 * (label.count("\n") + 1) for label in key) / columns
    size = (5.8 * width + 2.6 * columns, max(4.8 * depth, 1.1 * beside + 1.4))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    return figure, iter(figure.subplots(depth, width, squeeze=False).flat)


def key_columns(key: list[str]) -> int:
    return 1 if len(key) <= 24 else 2


def scaled(axes: Axes, side: str, objective: Objective, values: Iterable[Interval]) -> None:
    """Label an axis; a logarithmic one where less is better and the values, all above 0, differ much."""
    axis, kept = getattr(axes, f"{side}axis"), [one.value for one in values]
    less = objective.direction == "minimize"
    axis.set_label_text(f"{objective.label} ({'less' if less else 'more'} is better)")
    if less and min(kept, default=0) > 0 and max(kept) > LOG_FROM * min(kept):
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
