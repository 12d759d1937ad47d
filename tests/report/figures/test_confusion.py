"""Figure of a confusion matrix."""

import warnings
from pathlib import Path

from effcomp.record import Quality
from effcomp.report.figures.confusion import confusion_figure
from tests.conftest import records


def test_labels_are_drawn_as_they_are_written_whatever_matplotlib_and_its_font_make_of_them(tmp_path: Path) -> None:
    record = records("none")[0]
    quality = record.quality
    assert isinstance(quality, Quality)
    labels = [r"$\cost$ in $", "良い"]
    odd = quality.model_copy(update={"per_class": dict(zip(labels, quality.per_class.values(), strict=True))})
    figure = confusion_figure(record.model_copy(update={"quality": odd}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "matrix.png")
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == [r"\$\cost\$ in \$", "U+826FU+3044"]


def test_of_very_many_labels_the_figure_stays_small_and_writes_no_counts() -> None:
    (record,) = records("nf4")
    assert isinstance(record.quality, Quality)
    scores = next(iter(record.quality.per_class.values()))
    many = record.quality.model_copy(
        update={"per_class": {f"label {i}": scores for i in range(300)}, "confusion_matrix": [[1] * 300] * 300}
    )
    figure = confusion_figure(record.model_copy(update={"quality": many}))
    assert max(figure.get_size_inches()) < 40
    assert not figure.axes[0].texts
