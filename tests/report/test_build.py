"""python -m effcomp.report: every file is there, and says what the records say."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from effcomp.core.store import folder_sha256
from effcomp.report.build import write_report
from tests.conftest import DATA, ROOT, run_effcomp

CURVE = [{"step": step, "loss": 1 / step, "learning_rate": 1e-4} for step in range(1, 9)]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for number, name in enumerate(("nf4", "none")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "record.json").write_text((DATA / "records" / f"{name}.json").read_text())
        (tmp_path / str(number) / "series.json").write_text(json.dumps({"training_curve": CURVE}))
    return tmp_path


class Page(HTMLParser):
    """Addresses that a browser would fetch, and the text that it would show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in {"src", "href"} and value is not None]


def test_the_page_needs_no_other_file_and_holds_every_configuration(sweep: Path) -> None:
    report = write_report(sweep, left_out=["quant=x <y>: refused: no such pair"])
    assert report.folder == sweep / "results"
    text = report.page.read_text()
    page = Page(text)
    assert all(link.startswith("data:") for link in page.links), "one self-contained file"
    assert page.tags.count("tr") == 1 + 2 + 2 * 3, "the comparison, and a confusion matrix of two labels for each"
    assert page.tags.count("img") == len(list(report.folder.glob("*.png")))
    assert report.page.stat().st_size < 3e6
    assert "quant=x &lt;y&gt;: refused" in text


def test_the_figures_are_pictures_with_ink_and_a_white_margin(sweep: Path) -> None:
    report = write_report(sweep, left_out=[])
    files = sorted(report.folder.rglob("*.png"))
    assert [str(file.relative_to(report.folder).with_suffix("")) for file in files] == [
        "confusion_matrices/nf4",
        "confusion_matrices/none_baseline",
        "efficiency_comparison",
        "performance_comparison",
        "quality_bytes",
        "quality_speed",
        "training_curves",
    ]
    contents = folder_sha256(report.folder)
    assert folder_sha256(write_report(sweep, left_out=[]).folder) == contents, "no time and no random id is in them"
    for suffix in (".pdf", ".svg"):
        assert {one.stem for one in report.folder.glob(f"*{suffix}")} == {one.stem for one in files[2:]}
    for file in files:
        pixels = imread(file)[..., :3]
        assert pixels.min() < 0.5
        edge = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        assert all((side > 0.99).all() for side in edge), f"{file.name}: something is cut off"


def test_nothing_of_an_earlier_report_is_left(sweep: Path) -> None:
    earlier = write_report(sweep, left_out=[]).folder
    for name in ("layer_map_9.svg", "further_tables.md", "throughput_perplexity.png", "mine.png"):
        (earlier / name).touch()
    (sweep / "0/record.json").unlink()
    report = write_report(sweep, left_out=[])
    assert [file.name for file in (report.folder / "confusion_matrices").iterdir()] == ["none_baseline.png"]
    assert not list(report.folder.glob("layer_map_*")) and not (report.folder / "throughput_perplexity.png").exists()
    assert not (report.folder / "further_tables.md").exists()
    assert (report.folder / "mine.png").exists()


def test_a_language_model_has_its_figure_of_throughput_and_perplexity(tmp_path: Path) -> None:
    file = tmp_path / "smollm2.jsonl"
    file.write_text((ROOT / "benchmarks/cpu/smollm2_bbc_news.jsonl").read_text())
    report = write_report(file, left_out=[])
    assert report.folder == tmp_path / "smollm2_results"
    assert {file.stem for file in report.folder.glob("*.png")} >= {"throughput_perplexity", "quality_speed"}
    assert not (report.folder / "confusion_matrices").exists()


def test_records_without_a_quality_are_reported_without_figures_of_it(tmp_path: Path) -> None:
    file = tmp_path / "random.jsonl"
    file.write_text((ROOT / "benchmarks/cpu/distilbert_random.jsonl").read_text())
    assert {file.stem for file in write_report(file, left_out=[]).folder.glob("*.png")} == {"efficiency_comparison"}


def test_the_command_prints_the_table_and_the_recommendation(sweep: Path, tmp_path: Path) -> None:
    goal = ("--recommend", "max_accuracy_drop=2", "minimize=artifact_bytes")
    ran = run_effcomp(".", "--out", "elsewhere", *goal, cwd=sweep, module="effcomp.report")
    assert ran.code == 0, ran.stderr
    assert "none (baseline)" in ran.stdout
    assert ran.stdout.index("elsewhere/index.html") < ran.stdout.index("best  nf4: ")
    page = (tmp_path / "elsewhere/index.html").read_text()
    assert page.index("max_accuracy_drop=2") < page.index("<h2>Comparison</h2>")


def test_a_place_where_nothing_can_be_written_is_refused(sweep: Path) -> None:
    (sweep / "taken").write_text("a file")
    ran = run_effcomp(".", "--out", "taken", cwd=sweep, module="effcomp.report")
    assert ran.code == 2
    assert ran.stderr == "error: taken cannot be made: File exists; give another folder with --out\n"


def test_the_command_reports_multirun_where_nothing_is_named(sweep: Path) -> None:
    (sweep / "multirun").mkdir()
    (sweep / "0").rename(sweep / "multirun/0")
    ran = run_effcomp("--where", "quant=nf4", cwd=sweep, module="effcomp.report")
    assert ran.code == 0, ran.stderr
    frame = pd.read_csv(sweep / "multirun/results/comparison_table.csv")
    assert frame["configuration"].tolist() == ["nf4"]


def test_of_very_many_configurations_those_near_the_fronts_are_drawn_and_all_are_listed(tmp_path: Path) -> None:
    kept = [json.loads(line) for line in (ROOT / "benchmarks/cpu/minilm_sst2.jsonl").read_text().splitlines()]
    lines = []
    for number in range(50):
        record = kept[number % len(kept)]
        record["config"]["seed"] = number // len(kept)
        record["truth"]["time"] = f"2026-11-22T10:00:{number:02}+00:00"
        lines.append(json.dumps(record))
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(lines) + "\n")
    report = write_report(file, left_out=[])
    assert len(report.comparison.shown) == 40
    drawn = {file.stem for file in report.folder.glob("confusion_matrices/*.png")}
    assert {"int8_static_on_openvino_seed=0", "int4_on_openvino_seed=0"} <= drawn
    assert not any(stem.startswith("none_baseline") for stem in drawn), "it is on no front"
    text = report.page.read_text()
    assert "40 of 50 configurations: on the Pareto fronts, and nearest to them" in text
    rows = Page(text).tags.count("tr")
    assert rows == 1 + 50 + 1 + len(kept) + 3 * len(drawn), "the table, the means over the seeds, confusion matrices"
    assert len(pd.read_csv(report.folder / "comparison_table.csv")) == 50
