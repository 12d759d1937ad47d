"""Figures for a paper or a page: units on the axes, intervals as bars, nothing cut off."""

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from effcomp.record import Interval, LanguageQuality, Quality, Record
from effcomp.report.columns import MIB
from effcomp.report.rows import headline, is_baseline, name, rows, subject

BASELINE_COLOUR, COLOUR = "#8a8f98", "#1f6feb"
DPI = 150


def bars(axes: Axes, values: list[Interval], colours: list[str]) -> None:
    """Bars from zero, with intervals where there are any: for what has a meaningful zero."""
    positions = range(len(values))
    axes.barh(positions, [interval.value for interval in values], color=colours, height=0.7)
    spans = [(position, interval) for position, interval in enumerate(values) if interval.high > interval.low]
    for position, interval in spans:
        axes.errorbar([interval.value], [position], xerr=whiskers(interval), color="#333333", capsize=2, elinewidth=1)


def dots(axes: Axes, values: list[Interval], colours: list[str]) -> None:
    """Points with intervals: for what is compared in a narrow range."""
    for position, (interval, colour) in enumerate(zip(values, colours, strict=True)):
        axes.errorbar([interval.value], [position], xerr=whiskers(interval), fmt="o", color=colour, capsize=3)
    if colours[0] == BASELINE_COLOUR:
        axes.axvline(values[0].value, color=BASELINE_COLOUR, linewidth=1, linestyle=":")
    axes.grid(axis="x", alpha=0.25)
    axes.margins(y=0.1)


def whiskers(interval: Interval) -> list[list[float]]:
    """The distances down and up, as matplotlib wants them."""
    return [[max(0.0, interval.value - interval.low)], [max(0.0, interval.high - interval.value)]]


def panels(
    records: list[Record], title: str, draw: Callable[..., None], drawn: list[tuple[str, Callable[[Record], Interval]]]
) -> Figure:
    """One panel for each measure, side by side, sharing the configurations; the baseline on top, in grey."""
    figure = Figure(figsize=(3.2 * len(drawn) + 2.0, 0.34 * len(records) + 1.6), dpi=DPI, layout="constrained")
    all_axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    colours = [BASELINE_COLOUR if is_baseline(record) else COLOUR for record in records]
    for axes, (label, value) in zip(all_axes, drawn, strict=True):
        draw(axes, [value(record) for record in records], colours)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.label_outer()
    all_axes[0].set_yticks(range(len(records)), [row.name for row in rows(records)])
    all_axes[0].invert_yaxis()  # shared: one call turns all panels
    figure.suptitle(f"{title}: {subject(records)}")
    return figure


def exact(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


def performance_figure(records: list[Record]) -> Figure | None:
    """Quality with its intervals; None where it was not measured or where the records have different kinds of it."""
    kinds = {type(record.quality) for record in records}
    drawn: list[tuple[str, Callable[[Record], Interval]]]
    if kinds == {Quality}:
        drawn = [
            ("accuracy, %", lambda record: record.quality.accuracy.scaled(100)),  # type: ignore[union-attr]
            ("macro-F1, %", lambda record: record.quality.macro_f1.scaled(100)),  # type: ignore[union-attr]
        ]
    elif kinds == {LanguageQuality}:
        drawn = [
            ("perplexity (less is better)", lambda record: record.quality.perplexity),  # type: ignore[union-attr]
            ("loss, nats a token", lambda record: record.quality.loss),  # type: ignore[union-attr]
        ]
    else:
        return None
    return panels(records, "Quality with 95 % intervals", dots, drawn)


def efficiency_figure(records: list[Record]) -> Figure:
    """Speed-up at each batch size, artifact size and peak memory."""
    shared = sorted(set.intersection(*(set(record.speed.by_batch_size) for record in records)))
    speedups: list[tuple[str, Callable[[Record], Interval]]] = [
        (f"speed-up at batch {size}", lambda record, size=size: record.speed.by_batch_size[size].speedup)  # type: ignore[misc]
        for size in shared
    ]
    figure = panels(
        records,
        "Efficiency, speed-ups with 95 % intervals",
        bars,
        [
            *speedups,
            ("artifact, MiB", lambda record: exact(record.cost.artifact_bytes / MIB)),
            ("peak memory, MiB", lambda record: exact(record.cost.peak_rss_bytes / MIB)),
        ],
    )
    for axes in figure.axes[: len(shared)]:
        axes.axvline(1, color="#333333", linewidth=1, linestyle=":")
    return figure


def tradeoff_figure(records: list[Record]) -> Figure | None:
    """Quality against latency, both with intervals; None where quality was not measured or has different kinds."""
    headlines = [headline(record) for record in records]
    labels = {found[0] for found in headlines if found}
    if None in headlines or len(labels) != 1:
        return None
    figure = Figure(figsize=(7.2, 4.6), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    markers = "osD^vP*X<>hp"
    for index, (label, record) in enumerate((row.name, row.record) for row in rows(records)):
        found = headline(record)
        assert found is not None
        x, y = record.speed.latency_p50_ms, found[1]
        axes.errorbar(
            [x.value], [y.value],
            xerr=whiskers(x), yerr=whiskers(y),
            fmt=markers[index % len(markers)], color=f"C{index % 10}", label=label,
            capsize=2, elinewidth=0.8, markersize=6,
        )  # fmt: skip
    axes.set_xlabel("latency p50 at the first batch size, ms (less is better)")
    axes.set_ylabel(labels.pop())
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.suptitle(f"Quality against latency: {subject(records)}")
    return figure


def confusion_figure(record: Record) -> Figure:
    """The confusion matrix with counts; rows are the true labels."""
    assert isinstance(record.quality, Quality)
    labels, matrix = list(record.quality.per_class), record.quality.confusion_matrix
    side = 1.1 * len(labels) + 1.6
    figure = Figure(figsize=(side + 0.6, side), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="Blues", vmin=0)
    middle = max(max(row) for row in matrix) / 2
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            colour = "white" if count > middle else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels, rotation=90, va="center")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(name(record), fontsize=10)
    figure.colorbar(image, ax=axes, label="test examples", shrink=0.8)
    return figure
