"""Figure of the formats that each layer could have: harm, bytes, and the choice."""

from math import log10

from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.record.cost import LayerCandidate
from effcomp.report.figures.bars import DPI, INK, titled
from effcomp.report.rows import name

SMALLEST_HARM = 1e-9
"""Lower bound of a harm, in nats a prediction, for its colour."""


def layer_figure(record: Record, title: str | None = None) -> Figure | None:
    """Draw the harm of each layer in each format, chosen ones framed, with what the layer takes; None where the format
    had no choice.

    Args:
        title: the configuration's name beside others; None for its own name.
    """
    layers = record.cost.size.layer_map
    if not layers:
        return None
    forms = list(next(iter(layers.values())))
    figure = Figure(figsize=(2.6 + 1.9 * len(forms), 1.6 + 0.24 * len(layers)), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    colours = [[log10(max(SMALLEST_HARM, value(one[form]))) for form in forms] for one in layers.values()]
    shade_of = Normalize(min(map(min, colours)), max(map(max, colours)))
    image = axes.imshow(colours, cmap="Blues", aspect="auto", norm=shade_of)
    for row, (candidates, shades) in enumerate(zip(layers.values(), colours, strict=True)):
        for column, (form, shade) in enumerate(zip(forms, shades, strict=True)):
            colour = "white" if shade_of(shade) > 0.6 else INK
            axes.text(column, row, words(candidates[form]), ha="center", va="center", fontsize=6, color=colour)
            if candidates[form].chosen:
                frame = Rectangle((column - 0.47, row - 0.44), 0.94, 0.88, fill=False, edgecolor="#bc4c00", linewidth=2)
                axes.add_patch(frame)
    axes.set_xticks(range(len(forms)), forms)
    axes.set_yticks(range(len(layers)), list(layers), fontsize=7)
    figure.colorbar(image, label="harm, log10 of nats a prediction")
    about = "Harm, 95 % intervals in brackets, and size of each layer; chosen ones are framed"
    titled(figure, f"{about}: {title or name(record)}")
    return figure


def value(candidate: LayerCandidate) -> float:
    return candidate.harm.value if isinstance(candidate.harm, Interval) else candidate.harm


def words(candidate: LayerCandidate) -> str:
    """Return the text of a cell: `2.1e-03 [1e-03, 4e-03]  18 KiB`."""
    harm = candidate.harm
    bounds = f" [{harm.low:.0e}, {harm.high:.0e}]" if isinstance(harm, Interval) else ""
    return f"{value(candidate):.1e}{bounds}  {candidate.bytes / 1024:.0f} KiB"
