"""A sweep that was killed at random moments (kill -9), or whose stored files have a changed byte, which its checksum
finds, is run again: it ends as one that nothing disturbed. Both compare with the same one, so they share a file."""

import os
import random
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from effcomp.core.store import find_fault
from tests.faults.conftest import Undisturbed
from tests.faults.ground import Ground

KINDS = {"tokens", "checkpoint", "artifact", "machine", "outputs", "result", "sources"}
KILLS = 25
SEED = int(os.environ.get("FAULTS_SEED", "0"))


@dataclass(frozen=True)
class Kill:
    share: float
    """When: of the duration of the undisturbed sweep."""
    group: bool
    """All of its processes at once; else the one that was started alone, and nobody tells the others."""

    def __str__(self) -> str:
        return f"{'all' if self.group else 'main'}-at-{self.share:.3f}"


def kills() -> list[Kill]:
    """One in each twenty-fifth of the sweep, at random within it, in random order."""
    generator = np.random.default_rng(SEED)
    shares = (generator.permutation(KILLS) + generator.uniform(size=KILLS)) / KILLS
    return [Kill(float(share), bool(number % 2)) for number, share in enumerate(shares)]


SHORT, *LONG = [kills()[:2], *([kill] for kill in kills()[2:])]
"""`make test` kills one sweep twice."""


@pytest.mark.parametrize(
    "moments",
    [SHORT, *(pytest.param(moments, marks=pytest.mark.faults) for moments in LONG)],
    ids=lambda moments: f"seed{SEED}-" + "-".join(map(str, moments)),
)
def test_a_sweep_that_is_killed_and_run_again_ends_as_an_undisturbed_one(
    ground: Ground, undisturbed: Undisturbed, moments: list[Kill]
) -> None:
    for moment in moments:
        strike(ground, moment, undisturbed.seconds)
    again = ground.run()
    assert again.code == 0, again.stderr
    assert ground.left() == undisturbed.left
    assert ground.open_runs() == []
    assert ground.logged_under_last_sweep() == len(undisturbed.left.table)
    assert not list(ground.store.rglob("*.building")), "what was half-built is gone"
    assert not list((ground.store / "unfinished").glob("*/*")), "and so are the checkpoints of a training that ended"


def strike(ground: Ground, kill: Kill, duration_s: float) -> None:
    """Start a sweep and kill it; none of its processes is left after some seconds, and nothing in its temporary folder
    where they could still clean up."""
    sweep = ground.start()
    try:
        sweep.wait(kill.share * duration_s)
    except subprocess.TimeoutExpired:
        if kill.group:
            os.killpg(sweep.pid, signal.SIGKILL)
        else:
            sweep.kill()
        sweep.wait()
    ground.wait_until_quiet()
    if not kill.group:
        assert not list(ground.temporary.glob("effcomp-*/"))


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
