"""A byte that changed on the disk, in any kind of stored file: found by its checksum, said, built again."""

import random
import re
from pathlib import Path

import pytest

from effcomp.core.store import find_fault
from tests.faults.conftest import Undisturbed

KINDS = {"tokens", "checkpoint", "artifact", "machine", "outputs", "result", "sources"}


def spoil(file: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def stored(store: Path) -> list[Path]:
    """Every file of every entry."""
    return sorted(file for file in store.glob("*/*/*") if file.is_file())


@pytest.mark.parametrize(
    ("rounds", "kinds"),
    [
        pytest.param(1, KINDS - {"machine"}, id="short"),  # whose rates take 15 seconds
        pytest.param(9, KINDS, id="long", marks=pytest.mark.faults),
    ],
)
def test_a_changed_byte_in_every_kind_of_stored_file_is_found_and_built_again(
    undisturbed: Undisturbed, tmp_path: Path, rounds: int, kinds: set[str]
) -> None:
    """In the first round one file of every entry, in all rounds every file."""
    ground, generator = undisturbed.ground.copy(tmp_path / "damaged"), random.Random(0)
    entries: dict[Path, list[Path]] = {}
    for file in stored(ground.store):
        entries.setdefault(file.parent, []).append(file)
    assert {entry.parent.name for entry in entries} == KINDS
    assert max(map(len, entries.values())) <= 9, "a round for each file of the largest entry"
    entries = {entry: files for entry, files in entries.items() if entry.parent.name in kinds}
    for files in entries.values():
        generator.shuffle(files)
    for number in range(rounds):
        damaged = {
            entry: files[number % len(files)]
            for entry, files in entries.items()
            if number < len(files) or entry.parent.name == "result"  # were it whole, nothing else would be read
        }
        for entry, file in damaged.items():
            spoil(file)
            assert find_fault(entry) is not None, f"{file} is not covered by a checksum"
        ran = ground.run()
        assert ran.code == 0, ran.stderr
        said = set(re.findall(r"stored (\w+ \w+): .*; building it again", ran.stderr))
        assert said == {f"{entry.parent.name} {entry.name[:12]}" for entry in damaged}
        assert not [entry for entry in entries if find_fault(entry) is not None]
        assert ground.left() == undisturbed.left


def test_an_artifact_that_was_damaged_after_it_was_measured_is_built_again_before_it_is_logged(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    ground = undisturbed.ground.copy(tmp_path / "damaged")
    damaged = set(ground.store.glob("artifact/*/*.safetensors"))
    for file in damaged:
        spoil(file)
    ran = ground.run()
    assert ran.code == 0, ran.stderr
    assert ran.stderr.count("measured before") == 2, "the measurements are whole"
    assert ran.stderr.count("building it again") == len(damaged)
    assert ground.left() == undisturbed.left
    logged = list(ground.folder.glob("mlruns/artifacts/models/*/artifacts/data/*"))
    assert len(logged) == 2
    assert [find_fault(folder) for folder in logged] == [None, None]
