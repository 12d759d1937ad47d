"""python -m effcomp.report: every file is there, the page is whole, what is not a record is refused."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.image import imread

from effcomp.errors import UserError
from effcomp.report.build import find_records, write_report
from tests.conftest import DATA, run_effcomp


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for number, name in enumerate(("nf4", "none")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "record.json").write_text((DATA / "records" / f"{name}.json").read_text())
    return tmp_path


def test_the_baseline_comes_first(sweep: Path) -> None:
    assert [record.choices["quant"] for record in find_records(sweep)] == ["none", "nf4"]


def test_the_page_needs_no_other_file_and_holds_every_configuration(sweep: Path) -> None:
    report = write_report(sweep, left_out=["quant=x <y>: refused: no such pair"])
    text = report.page.read_text()
    HTMLParser().feed(text)
    assert not re.findall(r'(?:src|href)="(?!data:)', text), "one self-contained file"
    assert text.count("<tr>") == 3
    assert text.count("data:image/png;base64,") == 3
    assert "quant=x &lt;y&gt;: refused" in text


def test_the_figures_are_pictures_with_ink_and_a_white_margin(sweep: Path) -> None:
    report = write_report(sweep, left_out=[])
    files = sorted(report.folder.glob("*.png"))
    assert [file.stem for file in files] == ["efficiency_comparison", "performance_comparison", "quality_latency"]
    for file in files:
        pixels = imread(file)[..., :3]
        assert pixels.min() < 0.5
        edge = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        assert all((side > 0.99).all() for side in edge), f"{file.name}: something is cut off"


def test_the_command_prints_the_table(sweep: Path) -> None:
    ran = run_effcomp(str(sweep), cwd=sweep, module="effcomp.report")
    assert ran.code == 0, ran.stderr
    assert "none (baseline)" in ran.stdout
    assert "nf4" in ran.stdout


@pytest.mark.parametrize("content", [None, "{}", "not json", '{"schema": 99}'])
def test_a_folder_without_readable_records_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    with pytest.raises(UserError, match=r"record\.json"):
        find_records(tmp_path)
    ran = run_effcomp(str(tmp_path), cwd=tmp_path, module="effcomp.report")
    assert ran.code == 2
    assert ran.stderr.count("\n") == 1
