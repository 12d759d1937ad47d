"""Figure of a search: a panel for each number of the goal, with its limit and both measurements of a candidate."""

from pathlib import Path

from matplotlib.axes import Axes

from effcomp.find.figure import search_figure
from effcomp.find.plan import Candidate
from effcomp.find.search import Findings
from effcomp.report.choose.goal import parse_goal
from tests.conftest import records

(RECORD,) = records("nf4")
NF4, FP4 = (Candidate(name, "none", "torch", "bfloat16") for name in ("nf4", "fp4"))
FOUND = Findings(finals={NF4: RECORD}, looks={NF4: RECORD, FP4: RECORD})


def test_each_number_of_the_goal_has_a_panel_with_its_limit() -> None:
    goal = parse_goal(["minimize=[latency_p50_ms,artifact_bytes]", "max_accuracy_drop=0.5", "max_peak_rss_bytes=4e8"])
    figure = search_figure(goal, FOUND, [NF4])
    latency, artifact, accuracy, memory = figure.axes
    assert [text.get_text() for text in latency.get_yticklabels()] == ["nf4 on torch", "fp4 on torch"]
    assert latency.get_xlabel().endswith("(less is better)")
    assert artifact.get_xlabel().startswith("artifact")
    assert (limits(latency), limits(accuracy), limits(memory)) == ([], [0.5], [4e8 / 2**20])
    assert accuracy.get_xlabel() == "max_accuracy_drop=0.5\n(points that are lost; less is better)"


def test_the_confirmation_of_the_answer_stands_out(tmp_path: Path) -> None:
    goal = parse_goal(["minimize=latency_p50_ms"])
    chosen, none = (search_figure(goal, FOUND, winners) for winners in ([NF4], []))
    assert series(chosen.axes[0]) == ["look", "confirmation of the answer"]
    assert series(none.axes[0]) == ["look", "confirmation"]
    chosen.savefig(tmp_path / "search.png")


def limits(axes: Axes) -> list[float]:
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_label() == "limit"]


def series(axes: Axes) -> list[str]:
    return axes.get_legend_handles_labels()[1]
