"""Figure of the layers' formats: in the page, and among the figures of a run."""

from pathlib import Path

from matplotlib.patches import Rectangle

from effcomp.core.interval import Interval
from effcomp.record import Record
from effcomp.record.cost import LayerCandidate
from effcomp.report.build import write_report
from effcomp.report.figures.layers import layer_figure
from effcomp.report.figures.single import figures_of
from tests.conftest import records

HARMS = {
    "layer.0.dense": (Interval(value=2e-3, low=1e-3, high=4e-3), Interval(value=0.0, low=0.0, high=0.0)),
    "layer.1.dense": (3e-1, 1e-5),
}


def mixed() -> Record:
    """Return a record whose second layer has the wider format."""
    (record,) = records("nf4")
    layers = {
        name: {
            form: LayerCandidate(harm=harm, bytes=size, chosen=(form == "int8") == (name == "layer.1.dense"))
            for form, harm, size in zip(("int2", "int8"), harms, (2048, 8192), strict=True)
        }
        for name, harms in HARMS.items()
    }
    size = record.cost.size.model_copy(update={"layer_map": layers})
    return record.model_copy(update={"cost": record.cost.model_copy(update={"size": size})})


def test_the_chosen_formats_are_framed_and_every_harm_is_written() -> None:
    figure = layer_figure(mixed())
    assert figure is not None
    axes = figure.axes[0]
    frames = [one for one in axes.patches if isinstance(one, Rectangle)]
    assert [(round(one.get_x() + 0.47), round(one.get_y() + 0.44)) for one in frames] == [(0, 0), (1, 1)]
    assert [one.get_text() for one in axes.texts] == [
        "2.0e-03 [1e-03, 4e-03]  2 KiB",
        "0.0e+00 [0e+00, 0e+00]  8 KiB",
        "3.0e-01  2 KiB",
        "1.0e-05  8 KiB",
    ]


def test_a_record_of_layers_alike_has_no_such_figure() -> None:
    assert figures_of(mixed()).keys() == {"confusion_matrix", "layer_map"}
    assert figures_of(*records("nf4")).keys() == {"confusion_matrix"}


def test_the_page_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text("".join(one.to_json() + "\n" for one in (*records("none"), mixed())))
    report = write_report(file, left_out=[])
    assert (report.folder / "layer_map_1.png").is_file()
    assert 'alt="layer_map_1"' in report.page.read_text()


def test_its_numbers_are_no_metrics_of_a_run() -> None:
    assert mixed().metrics() == records("nf4")[0].metrics()
