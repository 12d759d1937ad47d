"""kill -9 at random moments of a sweep: run again, it ends as one that nothing disturbed."""

import os
import signal
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest

from tests.faults.conftest import Undisturbed
from tests.faults.ground import Ground

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
