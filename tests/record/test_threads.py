"""The threads of a process are all that the kernel runs for it, whoever started them."""

from pathlib import Path
from threading import Event, Thread

from effcomp.record.probes.threads import process_threads
from tests.runtimes.test_engines import load
from tests.small_artifacts import write_small


def test_threads_are_counted_while_they_live(tiny_bert: Path, tmp_path: Path) -> None:
    model, end = load(write_small(tiny_bert, tmp_path / "torch", "sequence_classification"), "torch"), Event()
    alone = process_threads(model, None)
    assert alone is not None
    threads = [Thread(target=end.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert process_threads(model, None) == alone + 3
    end.set()
    for thread in threads:
        thread.join()
