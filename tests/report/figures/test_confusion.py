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
