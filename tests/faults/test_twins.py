"""Two identical sweeps that are started at the same moment: one computes, the other waits and reads."""

import pytest

from tests.faults.conftest import Undisturbed
from tests.faults.ground import Ground


@pytest.mark.faults
def test_two_identical_sweeps_at_once_compute_everything_once(ground: Ground, undisturbed: Undisturbed) -> None:
    twins = [ground.start(), ground.start()]
    assert [twin.wait(300) for twin in twins] == [0, 0]
    logs = [file.read_text() for file in ground.folder.glob("multirun/2*/*/*/run.log")]
    assert len(logs) == 4
    said = "\n".join(logs)
    assert said.count("INFO fine-tuning") == 1
    assert said.count("INFO compressing") == len(list(ground.store.glob("artifact/*/")))
    assert said.count("INFO measuring") == 2
    assert said.count("INFO measured before") == 2
    assert "INFO waiting for another run" in said
    assert ground.left() == undisturbed.left
    assert ground.open_runs() == []
    assert ground.logged_under_last_sweep() == 2
