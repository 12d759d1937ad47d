"""One configuration: what is measured is kept, whatever fails after it."""

import re
from pathlib import Path

from hydra import compose, initialize_config_dir

from effcomp.command.upload import send
from effcomp.record import RECORD_FILE, Record
from effcomp.sweep.job import execute
from tests.conftest import ROOT, machine_rates_in


def test_a_run_that_cannot_be_logged_keeps_its_record_and_is_sent_later(tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file, where MLflow needs a folder")
    own = [f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", f"tracking.artifacts={tmp_path}/files"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides=[*tiny, *own, f"store={tmp_path}/store", "device=cpu"])
    folder = tmp_path / "run"
    folder.mkdir()
    with machine_rates_in(tmp_path / "store"):
        finished = execute(config, folder, None)
    message = rf"measured and kept in {folder}, not logged \(.*; to send it later: effcomp upload {folder}; the trace"
    assert re.match(message, str(finished.not_logged))
    assert "Traceback" in (folder / "run.log").read_text()
    record = Record.read(folder / RECORD_FILE)
    assert (tmp_path / "store" / "artifact" / record.truth.artifact).is_dir()
    (tmp_path / "files").unlink()
    assert (send(folder, None).sent, send(folder, None).there_already) == (1, 1)
