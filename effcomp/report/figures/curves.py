"""Figure of the loss over the steps of fine-tuning and of recovery after pruning."""

import json
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from effcomp.record import settings
from effcomp.report.figures.bars import DPI, titled, wrapped
from effcomp.report.rows import NamedRecord, distinctions
from effcomp.report.sources import Curve, RecordWithCurves

TRAINING_SETTINGS = ("model", "task", "finetune", "seed", "fold")
RECOVERY_SETTINGS = (*TRAINING_SETTINGS, "prune")


def training_figure(found: Sequence[RecordWithCurves], rows: Sequence[NamedRecord], about: str) -> Figure | None:
    """Draw the loss by step, of training and of its evaluations; configurations that share a training share a curve.
    Recoveries after pruning have a second panel. Return None where there is no curve.

    Args:
        rows: name of each of `found`.
    """
    kinds = [
        ("fine-tuning", labelled([one.training_curve for one in found], rows, TRAINING_SETTINGS)),
        ("recovery after pruning", labelled([one.recovery_curve for one in found], rows, RECOVERY_SETTINGS)),
    ]
    drawn = [(title, curves) for title, curves in kinds if curves]
    if not drawn:
        return None
    longest = max(len(curves) for _, curves in drawn)
    size = (6.4 * len(drawn) + 1.2, max(4.2, 0.6 * longest + 1))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        for index, (label, curve) in enumerate(curves.items()):
            draw(axes, label, curve, f"C{index % 10}")
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("loss, nats")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    titled(figure, f"Training: {about}")
    return figure


def draw(axes: Axes, label: str, curve: Curve, colour: str) -> None:
    for key, style, what in (("loss", "-", "training"), ("eval_loss", "o--", "evaluation")):
        points = [(row["step"], row[key]) for row in curve if key in row]
        if points:
            words = ", ".join(part for part in (label, what) if part)
            style = style if len(points) > 1 else "o"  # a line through one point has no length
            axes.plot(*zip(*points, strict=True), style, color=colour, markersize=4, label=wrapped(words, 34))


def labelled(curves: Sequence[Curve], rows: Sequence[NamedRecord], keys: Sequence[str]) -> dict[str, Curve]:
    """Return the distinct curves, each labelled by the settings in which its first configuration differs from the
    others'.
    """
    first: dict[str, tuple[NamedRecord, Curve]] = {}
    for curve, row in zip(curves, rows, strict=True):
        if curve:
            points = [{name: point.get(name) for name in ("step", "loss", "eval_loss")} for point in curve]
            first.setdefault(json.dumps(points), (row, curve))
    if not first:
        return {}
    kept = list(first.values())
    flat = [settings(row.record.config) for row, _ in kept]
    told = distinctions([{k: v for k, v in one.items() if k.partition(".")[0] in keys} for one in flat])
    labels = [", ".join(parts) for parts in told]
    unclear = len(set(labels)) < len(labels)
    return {row.name if unclear else label: curve for label, (row, curve) in zip(labels, kept, strict=True)}
