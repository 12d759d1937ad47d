"""The store: what is finished is found again, what is damaged is built again, and nothing is built twice."""

import logging
import multiprocessing
import time
from pathlib import Path

import pytest

from effcomp.core.store import Store, key_hash


def write_one(folder: Path) -> None:
    (folder / "data.txt").write_text("one")


def test_an_entry_is_built_once_and_then_found(tmp_path: Path) -> None:
    store, built = Store(tmp_path), []

    def build(folder: Path) -> None:
        built.append(folder)
        write_one(folder)

    first = store.get("kind", {"a": 1}, build)
    second = store.get("kind", {"a": 1}, build)
    assert (first.created, second.created, len(built)) == (True, False, 1)
    assert (second.path / "data.txt").read_text() == "one"


def test_another_key_is_another_entry(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.get("kind", {"a": 1}, write_one).path != store.get("kind", {"a": 2}, write_one).path
    assert key_hash({"a": 1, "b": 2}) == key_hash({"b": 2, "a": 1})


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write_one(folder)
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        Store(tmp_path).get("kind", {}, fail)
    assert not [path for path in (tmp_path / "kind").iterdir() if path.is_dir()]
    assert Store(tmp_path).get("kind", {}, write_one).created


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "manifest"])
def test_a_damaged_entry_is_said_and_built_again(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path)
    file = store.get("kind", {}, write_one).path / "data.txt"
    match damage:
        case "flip":
            file.write_text("onf")
        case "truncate":
            file.write_text("on")
        case "delete":
            file.unlink()
        case "manifest":
            (file.parent / "manifest.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        again = store.get("kind", {}, write_one)
    assert again.created
    assert (again.path / "data.txt").read_text() == "one"
    assert "building it again" in caplog.text


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    half = tmp_path / "kind" / f"{key_hash({})}.building"
    half.mkdir(parents=True)
    (half / "data.txt").write_text("half")
    assert (store.get("kind", {}, write_one).path / "data.txt").read_text() == "one"
    assert not half.exists()


def build_slowly(root: Path, log: Path) -> None:
    def build(folder: Path) -> None:
        with log.open("a") as stream:
            stream.write("built\n")
        time.sleep(0.5)
        write_one(folder)

    Store(root).get("kind", {}, build)


def test_two_processes_never_build_the_same_entry_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    processes = [context.Process(target=build_slowly, args=(tmp_path / "store", log)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert log.read_text() == "built\n"
