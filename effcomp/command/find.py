"""Search for the configuration that is best within limits, and confirm it on test examples that the search did not use.

effcomp find model=minilm task=rotten_tomatoes max_accuracy_drop=0.5 minimize=latency_p50_ms budget_minutes=20
effcomp find quant=none,bf16,int8_dynamic runtime=torch,openvino minimize=artifact_bytes max_accuracy_drop=1 --dry-run

Words of the goal: minimize=NAME or maximize=NAME, or two of them, minimize=[NAME,NAME], whose answer is a front; and
limits (effcomp recommend --help has them). budget_minutes ends the looks in time. effort=train also fits codes to
training examples (quant.rounding), and recovers pruned models by distillation, where that may keep a limit. All other
words are those of effcomp run; quant, prune and runtime with commas are what is searched, else all of their choices.
--dry-run prints the plan and its expected time. The same search in Hydra's way:

python -m effcomp.run -m hydra/sweeper=find 'hydra.sweeper.goal="minimize=latency_p50_ms max_accuracy_drop=0.5"'

Exit code: 0 an answer was found and confirmed, 1 every candidate breaks a limit for sure, 3 none is shown to keep the
limits nor all to break them, 2 the command is wrong, 4 the search failed and has no answer. Records that could not be
logged to MLflow are named, and leave the code of an answer as it is.
"""

import sys

from effcomp.report.choose.goal import DIRECTIONS
from effcomp.report.choose.limits import LOSSES

OWN, DRY_RUN = ("budget_minutes", "effort"), "--dry-run"


def main() -> None:
    """Run the sweeper with these words."""
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return
    from effcomp.run import main as run

    sys.argv = [sys.argv[0], "-m", "hydra/sweeper=find", *translated(words)]
    run()


def translated(words: list[str]) -> list[str]:
    """Return the words as overrides of the sweeper and of its configurations."""
    goal = [word for word in words if is_goal(word)]
    others = [word for word in words if word not in goal]
    wanted = [f'hydra.sweeper.goal="{" ".join(goal)}"'] if goal else []
    return [*wanted, *map(as_override, others)]


def as_override(word: str) -> str:
    """Return a word as the sweeper's setting where it is one, else as it is."""
    if word == DRY_RUN:
        return "hydra.sweeper.dry_run=true"
    return f"hydra.sweeper.{word}" if word.partition("=")[0] in OWN else word


def is_goal(word: str) -> bool:
    """Return True for an objective or a limit."""
    key = word.partition("=")[0]
    return key in DIRECTIONS or key in LOSSES or key.startswith(("max_", "min_"))
