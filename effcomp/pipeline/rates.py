"""Stage that stores the rates of the machine, from which the floor of a latency is computed."""

import json
import logging
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.core import machine
from effcomp.core.code_key import code_key

if TYPE_CHECKING:
    from effcomp.measure.client import Worker
    from effcomp.pipeline.stage import Run

log = logging.getLogger(__name__)

RATES_FILE = "rates.json"


def machine_rates(run: "Run", worker: "Worker") -> dict[str, float]:
    """Measure the rates of matrix products and memory, once for each machine and thread count.

    Args:
        worker: a measured process whose memory has been recorded already: this call adds to it.
    """
    key = {
        "device": machine.device_name(run.device),
        "instruction_sets": machine.cpu_info()[1],
        "threads": run.device.threads,
        "code": code_key(__name__, "effcomp.measure.roofline"),
        "torch": version("torch"),
    }

    def build(folder: Path) -> None:
        log.info("measuring the machine's own rates, once")
        (folder / RATES_FILE).write_text(json.dumps(worker.ask("machine_rates")))

    rates: dict[str, float] = json.loads((run.store.get("machine", key, build).path / RATES_FILE).read_text())
    return rates
