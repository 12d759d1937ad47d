"""Progress of a sweep: a line when a configuration begins, and a row of a growing table when it ends.

Jobs may run in other processes, so both come from the files in the sweep's folder.
"""

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from effcomp.core.progress import duration
from effcomp.record import RECORD_FILE, Record
from effcomp.sweep.folder import OUTCOME_FILE, SWEEP_FILE, SweepDescription, in_order

WIDTHS = (9, 40, 8, 22, 8, 12)
ALIGNED = "<<>>>>"
HEADINGS = ("", "configuration", "quality", "speed-up", "MiB", "verdict")


def say_begin(sweep: Path, folder: Path, overrides: Sequence[str]) -> None:
    """Print the overrides of a configuration that begins, and the estimated time that the sweep still takes."""
    left = time_left(sweep)
    more = f"; about {duration(left)} left" if left is not None else ""
    print(f"{place(sweep, folder)}: {varied(sweep, overrides)}{more}", file=sys.stderr, flush=True)


def say_end(sweep: Path, folder: Path, overrides: Sequence[str]) -> None:
    """Print the row of a configuration that ended, under the headings where it is the first."""
    if len(ended(sweep)) == 1:
        print(line(HEADINGS), file=sys.stderr)
    head = (place(sweep, folder), shortened(varied(sweep, overrides), WIDTHS[1] - 1))
    if (folder / RECORD_FILE).exists():
        cells = numbers(Record.read(folder / RECORD_FILE))
    else:
        cells = ("-", "-", "-", json.loads((folder / OUTCOME_FILE).read_text())["status"])
    print(line((*head, *cells)), file=sys.stderr, flush=True)


def numbers(record: Record) -> tuple[str, ...]:
    """Return the cells of a record: quality, speed-up at the first batch size, size, verdict."""
    from effcomp.report.choose.fronts import QUALITIES
    from effcomp.report.objectives import OBJECTIVES
    from effcomp.report.rows import NamedRecord, spread
    from effcomp.report.table.columns import verdict_word

    found = ((OBJECTIVES[name].quantity, OBJECTIVES[name].value(record)) for name in QUALITIES)
    shown = [(quantity, value) for quantity, value in found if value is not None]
    quality = "-"
    if shown:
        quantity, value = shown[0]
        quality = f"{value.value * quantity.scale:.{quantity.digits}f} {quantity.unit}".rstrip()
    size = OBJECTIVES["artifact_bytes"].quantity
    return (
        quality,
        f"{spread(record.speed.speedup, 2)} x",
        f"{record.cost.size.artifact_bytes * size.scale:.1f}",
        verdict_word(NamedRecord("", record)),
    )


def line(cells: Sequence[str]) -> str:
    """Return a line of the table: the first two cells to the left, the others to the right."""
    aligned = [
        f"{cell:{'<' if at < 2 else '>'}{width}}" for at, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    return "".join(aligned).rstrip()


def shortened(text: str, most: int) -> str:
    """Return overrides in so many characters: their values alone where they are longer, and cut where these are."""
    if len(text) > most:
        text = " ".join(word.partition("=")[2] for word in text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def place(sweep: Path, folder: Path) -> str:
    """Return the number of a configuration among those of the sweep: `3 of 12`."""
    return f"{int(folder.name) + 1} of {SweepDescription.read(sweep).configurations}"


def varied(sweep: Path, overrides: Sequence[str]) -> str:
    """Return the overrides that vary between configurations; all of them where none varies."""
    common = SweepDescription.read(sweep).common
    return " ".join([one for one in overrides if one not in common] or overrides)


def ended(sweep: Path) -> list[Path]:
    """Return the file with which each configuration ended, the oldest first; of one that was not logged its record."""
    files = {file.parent: file for name in (OUTCOME_FILE, RECORD_FILE) for file in in_order(sweep, name)}
    return sorted(files.values(), key=lambda file: file.stat().st_mtime)


def time_left(sweep: Path) -> float | None:
    """Estimate the seconds until the sweep ends: the median time between two ends, for each remaining configuration.

    The first configuration trains the model that the others share: without that time while it stands alone, and no
    more than one value of the median later. Return None before the first end.
    """
    files = ended(sweep)
    if not files:
        return None
    times = [(sweep / SWEEP_FILE).stat().st_mtime, *(file.stat().st_mtime for file in files)]
    took = [later - earlier for earlier, later in pairwise(times)]
    if len(files) == 1 and files[0].name == RECORD_FILE:
        took[0] = max(took[0] - Record.read(files[0]).cost.training.finetune_s, 0.0)
    return (SweepDescription.read(sweep).configurations - len(files)) * median(took)
