"""Rotten Tomatoes from the installed package, and from a folder."""

from hydra import compose, initialize_config_dir

from effcomp.compose import build
from effcomp.tasks.movie_reviews import MovieReviews
from tests.conftest import MOVIES, ROOT


def rotten_tomatoes(*overrides: str) -> MovieReviews:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        task = build(compose("config", overrides=list(overrides))).task
    assert isinstance(task, MovieReviews)
    return task


def test_the_package_has_the_published_sentences() -> None:
    splits = rotten_tomatoes().load()
    assert len(splits.train) + len(splits.test) == 8530
    assert (len(splits.train), len(splits.test)) == (7030, 1500)
    assert sum(splits.test.labels) == 750, "stratified: half of the sentences are positive"
    assert splits.fingerprint() == rotten_tomatoes().load().fingerprint()


def test_a_folder_takes_the_rows_of_the_source_alone() -> None:
    splits = rotten_tomatoes(f"task.data_dir={MOVIES}", "task.test_size=20").load()
    texts = splits.train.texts + splits.test.texts
    assert len(texts) == 62
    assert not any("another source" in text for text in texts)
