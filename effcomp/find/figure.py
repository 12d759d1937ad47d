"""Figure of a search: each candidate's objectives and limited numbers, in the looks and in the confirmation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from effcomp.core.interval import Interval
from effcomp.find.plan import Candidate
from effcomp.find.search import Findings
from effcomp.record import Record
from effcomp.report.choose.goal import Goal
from effcomp.report.choose.limits import Bound, Loss
from effcomp.report.figures.bars import BASELINE_COLOUR, COLOUR, DPI, INK, SECOND_COLOUR, errors, titled, wrapped
from effcomp.report.objectives import OBJECTIVES, comparable

Values = dict[Candidate, Interval]


@dataclass(frozen=True)
class Panel:
    """Number of the goal, in every measurement of the search."""

    label: str
    looks: Values
    finals: Values
    limit: float | None
    """Limit in the unit of the values; None for an objective."""


def search_figure(goal: Goal, found: Findings, winners: list[Candidate]) -> Figure:
    """Draw a line for each candidate that was looked at, in the order of the looks, with a panel for each objective and
    each limit."""
    panels = [of_objective(name, found) for name in goal.objectives]
    panels += [of_limit(typed, limit, found) for typed, limit in goal.limits.items()]
    places = {candidate: place for place, candidate in enumerate(found.looks)}
    size = (3.2 * len(panels) + 2.8, 0.3 * len(places) + 2.2)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        draw(axes, panel, places, winners)
    all_axes[0].set_yticks(range(len(places)), [wrapped(one.name) for one in places], fontsize=8)
    all_axes[0].set_ylim(len(places) - 0.4, -0.6)
    handles = {
        name: handle for axes in all_axes for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), fontsize=7, loc="outside lower center", frameon=False, ncols=4)
    titled(figure, f"Search for {goal.text}, with 95 % intervals")
    return figure


def draw(axes: Axes, panel: Panel, places: Mapping[Candidate, int], winners: list[Candidate]) -> None:
    """Draw looks as hollow points, confirmations as full ones below them, and the limit as a line."""

    def points(values: Values, chosen: Iterable[Candidate], below: float, label: str, **style: str) -> None:
        placed = [(places[one] + below, values[one]) for one in chosen if one in values]
        if placed:
            errors(axes, placed, fmt="o", capsize=2, markersize=5, elinewidth=1, label=label, **style)

    others = [one for one in panel.finals if one not in winners]
    points(panel.looks, panel.looks, 0.0, "look", color=BASELINE_COLOUR, markerfacecolor="white")
    points(panel.finals, others, 0.25, "confirmation", color=COLOUR)
    points(panel.finals, winners, 0.25, "confirmation of the answer", color=SECOND_COLOUR)
    if panel.limit is not None:
        axes.axvline(panel.limit, color=INK, linewidth=1, linestyle=":", label="limit")
    axes.set_xlabel(panel.label, fontsize=8)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.label_outer()


def of_objective(name: str, found: Findings) -> Panel:
    objective = OBJECTIVES[name]

    def shown(records: dict[Candidate, Record]) -> Values:
        values = zip(records, comparable(objective, list(records.values())), strict=True)
        return {one: value.scaled(objective.quantity.scale) for one, value in values if value is not None}

    direction = "less" if objective.direction == "minimize" else "more"
    return Panel(f"{objective.label}\n({direction} is better)", shown(found.looks), shown(found.finals), None)


def of_limit(typed: str, limit: Bound | Loss, found: Findings) -> Panel:
    if isinstance(limit, Bound):
        panel, scale = of_objective(limit.objective, found), OBJECTIVES[limit.objective].quantity.scale
        return Panel(f"{typed}\n({OBJECTIVES[limit.objective].label})", panel.looks, panel.finals, limit.limit * scale)
    losses = [
        {one: known for one, record in records.items() if (known := limit.evidence(record)) is not None}
        for records in (found.looks, found.finals)
    ]
    ends = [known.limit for known in losses[0].values()]
    looks, finals = ({one: known.loss for one, known in each.items()} for each in losses)
    return Panel(f"{typed}\n({limit.scale}; less is better)", looks, finals, ends[0] if ends else None)
