"""Figure of the training curves."""

from effcomp.report.figures.curves import training_figure
from effcomp.report.rows import rows
from effcomp.report.sources import RecordWithCurves
from tests.conftest import records


def test_a_training_of_one_step_is_a_dot() -> None:
    (record,) = records("nf4")
    found = [RecordWithCurves(record, [{"step": 1, "loss": 0.7}], [])]
    figure = training_figure(found, rows([record]), "a short training")
    assert figure is not None
    (line,) = figure.axes[0].lines
    assert line.get_marker() == "o"
