"""Figure of quality against a cost."""

import numpy as np

from effcomp.report.choose.fronts import tradeoffs
from effcomp.report.figures.tradeoff import tradeoff_figure
from effcomp.report.rows import rows
from effcomp.report.sources import find_records
from tests.conftest import ROOT, records


def test_a_loss_that_does_not_grow_is_drawn_beside_those_that_grow_much() -> None:
    """The baseline's difference is 0, which a logarithmic axis does not have."""
    found = rows(find_records(ROOT / "benchmarks/cpu/smollm2_bbc_news.jsonl"))
    figure = tradeoff_figure(tradeoffs(found, "speedup", ("loss_difference",)), "smollm2")
    (axes,) = [one for one in figure.axes if one.get_visible() and one.lines]
    low, high = sorted(axes.get_ylim())
    drawn = [y for line in axes.lines for y in np.ravel(line.get_ydata())]
    assert drawn and all(low <= y <= high for y in drawn)


def test_the_key_explains_the_marks_that_are_drawn() -> None:
    keys = {}
    for names in (("nf4",), ("none", "nf4")):
        figure = tradeoff_figure(tradeoffs(rows(records(*names)), "speedup"), "minilm")
        keys[names] = [text.get_text() for text in figure.legends[0].get_texts()]
    assert keys["nf4",] == ["on the front: none is shown to beat it"]
    assert "float32 baseline" in keys["none", "nf4"]


def test_the_words_beside_points_stay_inside_their_axes() -> None:
    """Long names, which would reach over the key, stand in it."""
    found = rows(find_records(ROOT / "benchmarks/pruning.jsonl"))
    figure = tradeoff_figure(tradeoffs(found, "speedup"), "pruning")
    for axes in figure.axes:
        for text in axes.texts:
            box = text.get_window_extent()
            assert (axes.bbox.min <= box.min).all() and (box.max <= axes.bbox.max).all()
