"""A full disk, and folders that cannot be written to."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from effcomp.core.errors import DiskFull, UserError
from effcomp.core.failure import failure_line
from effcomp.core.store import Store
from effcomp.pipeline.checks import check
from effcomp.tracking.mlflow_runs import MlflowTracking
from tests.conftest import compose_parts
from tests.faults.conftest import Undisturbed
from tests.faults.ground import Ground, mounted, read_only


def write_bytes(folder: Path) -> None:
    (folder / "weights").write_bytes(bytes(200_000))


def write_tensor(folder: Path) -> None:
    torch.save(torch.zeros(50_000), folder / "weights")


def write_safetensors(folder: Path) -> None:
    """Fail before anything is written, so that the disk has room afterwards."""
    save_file({"weights": torch.zeros(1_000_000)}, folder / "weights")


@pytest.mark.parametrize(
    ("write", "reason", "size"),
    [
        (write_bytes, r"\[Errno 28\] No space left on device", "100k"),
        (write_tensor, ".*unexpected pos.*", "100k"),
        (write_safetensors, r".*No space left on device \(os error 28\)", "3m"),
    ],
)
def test_an_entry_that_the_disk_is_too_small_for_is_said_and_leaves_nothing(
    write: Callable[[Path], None], reason: str, size: str, tmp_path: Path
) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        with pytest.raises(DiskFull, match=rf"^store={tmp_path}: the disk is full \({reason}\); make room and run the"):
            Store(tmp_path).get("kind", {}, write)
        assert not [path for path in (tmp_path / "kind").iterdir() if path.is_dir()]
        subprocess.run(["mount", "-o", "remount,size=5m", str(tmp_path)], check=True)
        assert Store(tmp_path).get("kind", {}, write).created


@pytest.mark.faults
def test_a_sweep_whose_store_is_full_says_so_and_goes_on_from_there_with_more_room(
    ground: Ground, undisturbed: Undisturbed
) -> None:
    ground.store.mkdir(parents=True)
    with mounted(ground.store, "-t", "tmpfs", "-o", "size=100k", "tmpfs"):
        for size in ("100k", "500k", "900k"):
            subprocess.run(["mount", "-o", f"remount,size={size}", str(ground.store)], check=True)
            ran = ground.run()
            assert ran.code == 1, ran.stderr
            outcomes = [json.loads(file.read_text()) for file in ground.sweeps()[-1].glob("*/outcome.json")]
            assert outcomes
            assert {outcome["status"] for outcome in outcomes} == {"failed"}
            assert f"store={ground.store}: the disk is full (" in ran.stderr, size
            assert "Traceback" not in ran.stderr, size
        subprocess.run(["mount", "-o", "remount,size=50m", str(ground.store)], check=True)
        ran = ground.run()
        assert ran.code == 0, ran.stderr
        assert ground.left() == undisturbed.left
        assert ground.open_runs() == []


@pytest.mark.faults
def test_a_sweep_whose_own_folder_is_full_ends_with_one_line_and_its_measurements_are_kept(
    ground: Ground, undisturbed: Undisturbed
) -> None:
    sweeps = ground.folder / "multirun"
    sweeps.mkdir()
    stored = f"store={ground.folder / 'store'}"
    with mounted(sweeps, "-t", "tmpfs", "-o", "size=60k", "tmpfs"):
        ran = ground.run(stored)
        assert ran.code == 1
        errors = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
        assert ["No space left on device" in line for line in errors] == [True]
        assert "Traceback" not in ran.stderr
    ran = ground.run(stored)
    assert ran.code == 0, ran.stderr
    assert ran.stderr.count("measured before") >= 1
    assert ground.left().table == undisturbed.left.table
    assert ground.open_runs() == []


def test_a_store_that_cannot_be_written_to_is_refused_before_any_work(tiny: list[str], tmp_path: Path) -> None:
    with read_only(tmp_path), pytest.raises(UserError, match=r"store=.*: this folder cannot be written to"):
        check(compose_parts(*tiny, f"store={tmp_path}", "tracking=none"))


def test_a_folder_of_mlflow_that_cannot_be_written_to_is_refused_before_any_work(tmp_path: Path) -> None:
    tracking = MlflowTracking(name="local", uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path / "files")
    tracking.prepare()
    with read_only(tmp_path), pytest.raises(UserError, match=r"tracking\.uri=.* cannot be written to"):
        tracking.prepare()


def test_a_full_folder_of_a_run_is_named(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=100k", "tmpfs"), pytest.raises(OSError, match="No space") as full:
        write_bytes(tmp_path)
    said = f"{tmp_path}: [Errno 28] No space left on device; make room and run the same command again"
    assert failure_line(full.value, tmp_path).startswith(said)


@pytest.mark.faults
def test_a_sweep_that_cannot_make_its_folder_is_refused_in_one_line(ground: Ground) -> None:
    sweeps = ground.folder / "sweeps"
    sweeps.mkdir()
    with read_only(sweeps):
        ran = ground.run(f"hydra.sweep.dir={sweeps}/one")
    assert ran.code == 2
    said = ran.stderr.splitlines()[-1]
    assert said == f"error: hydra.sweep.dir={sweeps}/one: Read-only file system; give another folder"
