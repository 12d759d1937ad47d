"""A database whose making was killed, files that are not MLflow's, URIs that hold a secret."""

import multiprocessing
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from effcomp.core.errors import UserError
from effcomp.tracking.database import check_database, make_database, open_client, without_credentials


def test_a_database_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    making = multiprocessing.get_context("spawn").Process(target=make_database, args=(file,))
    making.start()
    end = time.monotonic() + 60
    while not list(tmp_path.glob("mlflow.db*building")):
        assert time.monotonic() < end, "it was never begun"
        time.sleep(0.01)
    making.kill()
    making.join()
    assert not file.exists(), "it was killed too late: the test shows nothing"
    make_database(file)
    assert list(tmp_path.iterdir()) == [file]
    check_database(file, "the one that was made")
    assert open_client(f"sqlite:///{file}").create_experiment("one")


def test_a_file_that_is_not_mlflows_is_refused_and_one_that_is_not_there_yet_is_not(tmp_path: Path) -> None:
    words, other = tmp_path / "words.db", tmp_path / "other.db"
    words.write_text("not a database, and longer than the header of one" * 10)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("create table films (title)")
    with pytest.raises(UserError, match=r"tracking\.uri=words: file is not a database; give another file"):
        check_database(words, "tracking.uri=words")
    with pytest.raises(UserError, match=r"tracking\.uri=other: that database is not MLflow's; give another file"):
        check_database(other, "tracking.uri=other")
    check_database(tmp_path / "none.db", "tracking.uri=none")
    assert sorted(tmp_path.iterdir()) == [other, words]


@pytest.mark.parametrize(
    "uri",
    [
        "http://user:s3cret@host:5000",
        "https://s3cret@host",
        "https://host/mlflow?token=s3cret",
        "postgresql://user:s3cret@host/mlflow",
        "mysql+pymysql://user:s3/cret@host/mlflow",
        "postgresql://host/mlflow?user=u&password=s3cret",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(UserError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        without_credentials(uri)
    assert "s3" not in str(refused.value)


@pytest.mark.parametrize("uri", ["http://host:5000", "postgresql://user@host/db", "sqlite:////odd/a:b@c.db"])
def test_a_uri_without_credentials_is_taken(uri: str) -> None:
    assert without_credentials(uri) == uri
