"""The page in a browser: it sorts, filters and shows what is under the pointer, without a word on the console."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from effcomp.record import LanguageQuality
from effcomp.report.build import write
from effcomp.report.choose.fronts import tradeoffs
from effcomp.report.choose.goal import parse_goal
from effcomp.report.rows import rows
from effcomp.report.sources import find, find_records
from effcomp.report.where import matching
from tests.conftest import ROOT

SOURCES = [str(ROOT / f"benchmarks/cpu/{name}.jsonl") for name in ("minilm_sst2", "smollm2_bbc_news")]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1280,900"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
A3_PX = round((420 - 20) / 25.4 * 96)
"""Width between the margins of A3 paper that lies on its side."""
CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None, reason="needs a browser: apt-get install chromium chromium-driver"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = find(SOURCES[:1])
    goal = parse_goal(["max_accuracy_drop=0.5", "minimize=latency_p50_ms"])
    return write(found, tmp_path_factory.mktemp("results"), ["quant=fp8: refused: no such kernel"], goal).page


@pytest.fixture(scope="module")
def chromium() -> Iterator[WebDriver]:
    options = webdriver.ChromeOptions()
    assert CHROMIUM is not None
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: WebDriver, file: Path) -> WebDriver:
    """The page, just opened, with its plot drawn."""
    return opened(chromium, file)


def opened(chromium: WebDriver, file: Path) -> WebDriver:
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})  # type: ignore[attr-defined]
    chromium.get(file.as_uri())
    WebDriverWait(chromium, 20).until(lambda it: it.find_elements(By.CSS_SELECTOR, "#plot .point"))
    return chromium


def column(browser: WebDriver, number: int) -> list[str]:
    """The visible cells of a column, from top to bottom."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#comparison tbody tr')].filter(row => !row.hidden)"
        f".map(row => row.cells[{number}].innerText)"
    )


def points(browser: WebDriver) -> int:
    return len(browser.find_elements(By.CSS_SELECTOR, "#plot .scatterlayer .point"))


def visible(browser: WebDriver, selector: str) -> int:
    return sum(element.is_displayed() for element in browser.find_elements(By.CSS_SELECTOR, selector))


def front(browser: WebDriver) -> set[str]:
    """The configurations that the plot marks as on the front, as what the pointer shows of them begins."""
    on_front = "document.getElementById('plot').data.find(trace => trace.name === 'on the Pareto front')"
    return {
        text.partition("</b>")[0].removeprefix("<b>") for text in browser.execute_script(f"return {on_front}.hovertext")
    }


def choose(browser: WebDriver, selector: str, value: str) -> None:
    Select(browser.find_element(By.CSS_SELECTOR, selector)).select_by_value(value)


def test_every_configuration_is_a_row_a_sentence_and_a_point(browser: WebDriver) -> None:
    assert len(column(browser, 0)) == visible(browser, "#verdicts li") == points(browser) == 23
    assert browser.find_element(By.ID, "shown").text == "23 of 23 shown"


def heading(browser: WebDriver, words: str) -> tuple[WebElement, int]:
    """The button of a heading, and the number of its column."""
    buttons = browser.find_elements(By.CSS_SELECTOR, "#comparison th button")
    number = next(index for index, button in enumerate(buttons) if button.text.replace("\n", ", ").startswith(words))
    return buttons[number], number


@pytest.mark.parametrize(
    ("words", "greatest_first"), [("accuracy", True), ("speed-up, batch 1", True), ("artifact", False)]
)
def test_a_heading_sorts_the_best_first_and_then_last(browser: WebDriver, words: str, greatest_first: bool) -> None:
    button, number = heading(browser, words)
    button.click()
    found = [float(text.split()[0]) for text in column(browser, number)]
    assert found == sorted(found, reverse=greatest_first)
    button.click()
    assert [float(text.split()[0]) for text in column(browser, number)] == sorted(found, reverse=not greatest_first)


def test_every_heading_of_the_comparison_explains_itself(browser: WebDriver) -> None:
    headings = browser.find_elements(By.CSS_SELECTOR, "#comparison th")
    meanings = [one.get_attribute("title") or "" for one in headings]
    assert all(meaning.endswith(".") and len(meaning) > 20 for meaning in meanings)
    assert len(set(meanings)) >= len(meanings) - 1, "a speed-up means one thing at both batch sizes"


def test_rows_without_a_number_come_last_both_ways(browser: WebDriver) -> None:
    button, _ = heading(browser, "accuracy difference")
    for _ in range(2):
        button.click()
        texts = column(browser, 2)
        assert texts[-1] == "-"
        assert texts.count("-") == 1


def test_words_and_choices_filter_the_table_the_sentences_and_the_plot(browser: WebDriver) -> None:
    browser.find_element(By.ID, "words").send_keys("int8 openvino")
    assert column(browser, 0) == ["int8_static on openvino", "int8_dynamic on openvino"]
    choose(browser, "select[data-group=quant]", "int8_static")
    assert column(browser, 0) == ["int8_static on openvino"]
    assert visible(browser, "#verdicts li") == points(browser) == 1
    browser.find_element(By.ID, "reset").click()
    assert len(column(browser, 0)) == points(browser) == 23


def test_the_front_is_that_of_what_is_shown(browser: WebDriver) -> None:
    assert front(browser) == {"int8_static on openvino"}, "872 examples show of none that it is more accurate"
    choose(browser, "select[data-group=runtime]", "onnxruntime")
    assert front(browser) == {"int8_dynamic on onnxruntime"}


@pytest.mark.parametrize("y", ["accuracy_difference", "accuracy", "artifact_bytes", "peak_rss_bytes"])
@pytest.mark.parametrize("x", ["speedup", "latency_p50_ms", "artifact_bytes"])
def test_the_front_is_the_one_of_the_figures(browser: WebDriver, x: str, y: str) -> None:
    choose(browser, "#x", x)
    choose(browser, "#y", y)
    (found,) = tradeoffs(rows(find_records(Path(SOURCES[0]))), x, (y,))
    assert front(browser) == {found.rows[index].name for index in found.front}


@pytest.mark.parametrize(("x", "y"), [("peak_rss_bytes", "artifact_bytes"), ("speedup", "peak_rss_bytes")])
def test_the_names_on_the_front_cover_no_other_and_no_edge(browser: WebDriver, x: str, y: str) -> None:
    choose(browser, "#x", x)
    choose(browser, "#y", y)
    boxes = [one.rect for one in browser.find_elements(By.CSS_SELECTOR, "#plot .textpoint text") if one.text]
    assert boxes
    for index, one in enumerate(boxes):
        for other in boxes[:index]:
            apart = abs(one["x"] - other["x"]) >= min(one["width"], other["width"]) - 3
            assert apart or abs(one["y"] - other["y"]) >= one["height"] - 5
    plot = browser.find_element(By.CSS_SELECTOR, "#plot .draglayer .nsewdrag").rect
    assert all(plot["x"] < one["x"] and one["x"] + one["width"] < plot["x"] + plot["width"] + 3 for one in boxes)


def test_both_axes_can_be_chosen(browser: WebDriver) -> None:
    choose(browser, "#x", "artifact_bytes")
    choose(browser, "#y", "throughput_samples_per_s")
    titles = [browser.find_element(By.CSS_SELECTOR, f"#plot .{axis}title").text for axis in ("x", "y")]
    assert titles == [
        "artifact, MiB\N{LEFTWARDS ARROW} less is better",
        "throughput at the largest batch, samples/s\N{UPWARDS ARROW} more is better",
    ]
    assert points(browser) == 23
    offered = [option.text for option in Select(browser.find_element(By.ID, "x")).options]
    assert "perplexity" not in offered, "no record has it"


def test_the_pointer_on_a_point_shows_the_configuration_with_its_intervals(browser: WebDriver) -> None:
    browser.find_element(By.ID, "words").send_keys("int8_static on openvino")
    browser.execute_script("document.getElementById('plot').scrollIntoView({block: 'center'})")
    point = browser.find_element(By.CSS_SELECTOR, "#plot .scatterlayer .point")
    ActionChains(browser).move_to_element(point).perform()
    tip = WebDriverWait(browser, 10).until(lambda it: it.find_element(By.CSS_SELECTOR, "#plot .hoverlayer .hovertext"))
    assert "int8_static on openvino" in tip.text
    assert "accuracy, %: 90.02 [87.73, 91.74]" in tip.text
    assert "artifact, MiB: 23.07" in tip.text


@pytest.mark.parametrize("width", [400, 1280, 1920])
def test_nothing_is_wider_than_the_page_but_the_tables_own_scroller(browser: WebDriver, width: int) -> None:
    browser.execute_cdp_cmd(  # type: ignore[attr-defined]
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    WebDriverWait(browser, 10).until(lambda it: it.execute_script(fits), "the plot follows the window")
    wide = browser.execute_script(
        "return [...document.querySelectorAll('body *')]"
        ".filter(one => !one.closest('.wide table') && one.getBoundingClientRect().right > innerWidth)"
        ".map(one => one.outerHTML.slice(0, 80))"
    )
    assert wide == []
    heights = "return [...document.querySelectorAll('#comparison tr')].map(row => row.getBoundingClientRect().height)"
    assert all(height.is_integer() for height in map(float, browser.execute_script(heights)))  # else lines are lost


def test_the_recommendation_and_what_was_left_out_are_on_the_page(browser: WebDriver) -> None:
    section = browser.find_element(By.CLASS_NAME, "recommendation").text
    assert section.splitlines()[1].startswith("bf16 on openvino: 3.88 [3.73, 4.06] times the baseline's speed")
    assert section.splitlines()[2].endswith(
        "corrected for 22 configurations (Bonferroni); 2 times as wide for 2 noisy records; "
        "1.4 times for 23 records of earlier versions"
    )
    assert "quant=fp8: refused: no such kernel" in browser.find_element(By.TAG_NAME, "body").text


def test_configurations_without_the_chosen_number_are_counted_and_not_drawn(
    chromium: WebDriver, tmp_path: Path
) -> None:
    found = matching(find(SOURCES), {"quant": ["none", "bf16"]})
    language = sum(isinstance(one.record.quality, LanguageQuality) for one in found)
    browser = opened(chromium, write(found, tmp_path, [], None).page)
    assert points(browser) == len(found) - language
    assert browser.find_element(By.ID, "unplotted").text.startswith(f"{language} of these")
    choose(browser, "#y", "perplexity")
    assert points(browser) == language
    choose(browser, "select[data-group=task]", "sst2")
    assert points(browser) == 0
    assert len(column(browser, 0)) == len(found) - language


def test_a_dark_system_has_a_dark_page_and_paper_is_white(browser: WebDriver) -> None:
    def colours() -> list[str]:
        return browser.execute_script(
            "const plot = document.getElementById('plot');"
            "return [getComputedStyle(document.body).backgroundColor, plot.layout.font.color]"
        )

    media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    light = colours()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)  # type: ignore[attr-defined]
    try:
        WebDriverWait(browser, 10).until(lambda _: colours()[1] != light[1])
        assert colours() == ["rgb(13, 17, 23)", "#e6edf3"]
        browser.execute_script("dispatchEvent(new Event('beforeprint'))")
        assert colours() == light == ["rgb(255, 255, 255)", "#1c2128"]
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})  # type: ignore[attr-defined]


def test_the_whole_table_is_printed(browser: WebDriver) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})  # type: ignore[attr-defined]
    try:
        hidden = "return (one => one.scrollWidth - one.clientWidth + one.scrollHeight - one.clientHeight)"
        browser.execute_cdp_cmd(  # type: ignore[attr-defined]
            "Emulation.setDeviceMetricsOverride",
            {"width": A3_PX, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        assert browser.execute_script(f"{hidden}(document.getElementById('comparison'))") == 0
        assert not browser.find_element(By.CLASS_NAME, "filters").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})  # type: ignore[attr-defined]


def test_the_console_stays_silent(browser: WebDriver) -> None:
    choose(browser, "#x", "peak_rss_bytes")
    browser.find_element(By.ID, "words").send_keys("nothing is called so")
    browser.find_element(By.ID, "reset").click()
    assert browser.get_log("browser") == []
