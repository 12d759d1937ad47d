"""Figure of a confusion matrix."""

from matplotlib.figure import Figure

from effcomp.record import Quality, Record
from effcomp.report.figures.bars import DPI, wrapped
from effcomp.report.rows import name

MOST_WRITTEN = 30
"""Most labels whose counts are written, each in a square of its own size; of more the squares get smaller."""


def confusion_figure(record: Record, title: str | None = None) -> Figure:
    """Draw the confusion matrix, with counts unless there are many labels; rows are the true labels.

    The margins are given, not laid out: there may be forty of these to draw.

    Args:
        title: the configuration's name beside others; None for its own name.
    """
    assert isinstance(record.quality, Quality)
    labels = [wrapped(label, 14) for label in record.quality.per_class]
    matrix = record.quality.confusion_matrix
    few = len(labels) <= MOST_WRITTEN
    side, margin, below = 1.1 * min(len(labels), MOST_WRITTEN) + 0.4, 0.85, 0.65
    words = wrapped(title or name(record), int((side + margin) * 11))
    above = 0.2 * (words.count("\n") + 1) + 0.15
    size = (margin + side + 0.2, below + side + above)
    figure = Figure(figsize=size, dpi=DPI)
    axes = figure.add_axes((margin / size[0], below / size[1], side / size[0], side / size[1]))
    axes.imshow(matrix, cmap="Blues", vmin=0)
    middle = max(max(row) for row in matrix) / 2
    for row, counts in enumerate(matrix if few else []):
        for column, count in enumerate(counts):
            colour = "white" if count > middle else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    size_pt = min(10.0, 300 / len(labels))
    axes.set_xticks(range(len(labels)), labels, fontsize=size_pt, rotation=0 if few else 90)
    axes.set_yticks(range(len(labels)), labels, fontsize=size_pt, rotation=90 if few else 0, va="center")
    axes.set_xlabel("predicted, test examples")
    axes.set_ylabel("true, test examples")
    figure.text((margin + side / 2) / size[0], 1 - 0.1 / size[1], words, ha="center", va="top", fontsize=10)
    return figure
