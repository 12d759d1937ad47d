"""Sweeps whose configurations a launcher runs in processes of its own (the extra [cluster]): joblib, Ray, submitit."""

from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from hydra import compose, initialize_config_dir

from effcomp.record import Record
from tests.conftest import ROOT, Ran, run_effcomp

pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs pip install 'effcomp[cluster]'")

SPACE = ["quant=none,int8_dynamic", "device.threads=1,4096"]
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
OTHERS = {
    "ray": ["hydra/launcher=ray_local", "hydra.launcher.ray.init.num_cpus=2"],
    "submitit": ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
}


@dataclass(frozen=True)
class Swept:
    folder: Path
    ran: Ran

    @property
    def records(self) -> list[Record]:
        """Every line of standard output; one that is no record fails."""
        return [Record.from_json(line) for line in self.ran.stdout.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def environment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # as the launchers set it: sums in another order are other sums
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", "/tmp")  # the name of a socket has 107 bytes at most
        yield


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> dict[str, Swept]:
    """Run one sweep by each launcher: joblib's two workers compute, the others find what these stored."""

    def sweep(name: str, *overrides: str) -> Swept:
        folder = tmp_path_factory.mktemp(name)
        return Swept(folder, run_effcomp("-m", *tiny, *SPACE, *overrides, cwd=folder, root=ROOT))

    joblib = sweep("joblib", *JOBLIB)
    stored = f"store={joblib.folder / 'multirun/store'}"
    return {"joblib": joblib} | {name: sweep(name, *overrides, stored) for name, overrides in OTHERS.items()}


every_launcher = pytest.mark.parametrize("launcher", ["joblib", *OTHERS])


def test_two_workers_compute_what_a_run_alone_computes(
    swept: dict[str, Swept], tiny: list[str], tmp_path: Path
) -> None:
    alone = run_effcomp(*tiny, "quant=int8_dynamic", "device.threads=1", "tracking=none", cwd=tmp_path)
    theirs, ours = Record.from_json(alone.stdout.splitlines()[-1]), swept["joblib"].records[1]
    assert (ours.quality, ours.versus_baseline) == (theirs.quality, theirs.versus_baseline)
    assert ours.truth.time != theirs.truth.time, "not the same measurement"


@pytest.mark.parametrize("launcher", OTHERS)
def test_a_configuration_is_the_same_whoever_launches_it(launcher: str, swept: dict[str, Swept]) -> None:
    assert [record.speed for record in swept[launcher].records] == [record.speed for record in swept["joblib"].records]


@every_launcher
def test_standard_output_holds_the_records_in_their_order(launcher: str, swept: dict[str, Swept]) -> None:
    assert [record.choices["quant"] for record in swept[launcher].records] == ["none", "int8_dynamic"]


@every_launcher
def test_refused_configurations_are_named_and_the_command_ends_with_2(launcher: str, swept: dict[str, Swept]) -> None:
    ran = swept[launcher].ran
    assert ran.code == 2, ran.stderr
    for quant in ("none", "int8_dynamic"):
        assert f"left out: quant={quant} device.threads=4096: refused: device.threads=4096: this process" in ran.stderr


@every_launcher
def test_each_configuration_has_its_folder_and_the_sweep_its_report(launcher: str, swept: dict[str, Swept]) -> None:
    (folder,) = swept[launcher].folder.glob("multirun/2*/*")
    for number in range(4):
        assert (folder / f"{number}" / ("outcome.json" if number % 2 else "record.json")).is_file()
    assert (folder / "results/index.html").is_file()


@every_launcher
def test_one_parent_run_holds_both_children(launcher: str, swept: dict[str, Swept]) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{swept[launcher].folder}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("effcomp").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    (parent,) = [run for run in runs if run.data.tags["kind"] == "sweep"]
    children = [run.data.tags for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(tags["quant"] for tags in children) == ["int8_dynamic", "none"]


def test_a_ray_cluster_is_joined_with_nothing_that_ray_refuses_there() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides=["hydra/launcher=ray_cluster"], return_hydra_config=True)
    assert config.hydra.launcher.ray.init == {"address": "auto", "object_store_memory": None}
