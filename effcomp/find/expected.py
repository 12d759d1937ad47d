"""Expected time of a search, from earlier runs in the store."""

import json
from statistics import median

from effcomp.core import machine
from effcomp.core.progress import duration
from effcomp.core.store import Store
from effcomp.find.plan import Plan
from effcomp.find.search import LOOK_BENCH
from effcomp.pipeline.compose import Components
from effcomp.record import model_called, task_called
from effcomp.record.result import SERIES_FILE, stored_results


def expected(plan: Plan, base: Components, finalists: int) -> list[str]:
    """Return the number of measurements and their time, in lines.

    The time of each is the median of earlier runs of the same model and task with the same bench on this machine,
    without the training of one that stands alone; unknown where the store has none.
    """
    looks = plan.looks_at_most(finalists)
    counts = [f"at most {looks} looks (bench={LOOK_BENCH}); then {finalists} finalists (bench={base.bench.name})"]
    each = {name: seconds_of(base, name) for name in (LOOK_BENCH, base.bench.name)}
    look_s, final_s = each[LOOK_BENCH], each[base.bench.name]
    if look_s is None:
        return [*counts, "expected time: unknown until the first row"]
    if final_s is None:
        of_looks = f"at most about {duration(looks * look_s)} for the looks"
        return [*counts, f"expected time: {of_looks}; unknown for the finalists"]
    return [*counts, f"expected time: at most about {duration(looks * look_s + finalists * final_s)}"]


def seconds_of(base: Components, bench: str) -> float | None:
    """Return the median time of the runs in the store with this bench; None where there is none."""
    subject = (model_called(base.config), task_called(base.config), machine.device_name(base.device.resolved()))
    found, trained = list[float](), 0.0
    for folder, record in stored_results(Store(base.store).root):
        measured = (model_called(record.config), task_called(record.config), record.truth.machine.device)
        if measured == subject and record.choices["bench"] == bench:
            series = json.loads((folder / SERIES_FILE).read_text())
            found.append((series["ended_ms"] - series["started_ms"]) / 1e3)
            trained = record.cost.training.finetune_s
    if len(found) == 1:
        return max(found[0] - trained, 0.0)
    return median(found) if found else None
