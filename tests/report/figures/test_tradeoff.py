"""Figure of quality against a cost."""

from effcomp.report.choose.fronts import tradeoffs
from effcomp.report.figures.tradeoff import tradeoff_figure
from effcomp.report.rows import rows
from tests.conftest import records


def test_the_key_explains_the_marks_that_are_drawn() -> None:
    keys = {}
    for names in (("nf4",), ("none", "nf4")):
        figure = tradeoff_figure(tradeoffs(rows(records(*names)), "speedup"), "minilm")
        keys[names] = [text.get_text() for text in figure.legends[0].get_texts()]
    assert keys["nf4",] == ["on the front: none is shown to beat it"]
    assert "float32 baseline" in keys["none", "nf4"]
