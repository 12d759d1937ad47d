"""Figures of a single record."""

from matplotlib.figure import Figure

from effcomp.record import Quality, Record
from effcomp.report.figures.confusion import confusion_figure
from effcomp.report.figures.layers import layer_figure


def figures_of(record: Record) -> dict[str, Figure]:
    """Return the figures of a single record, by name: the confusion matrix of a classifier, the layers of a format that
    chooses among them."""
    confusion = confusion_figure(record) if isinstance(record.quality, Quality) else None
    drawn = {"confusion_matrix": confusion, "layer_map": layer_figure(record)}
    return {name: figure for name, figure in drawn.items() if figure is not None}
