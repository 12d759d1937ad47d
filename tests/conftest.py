"""Ways to run effcomp, its components and records (models: tests/tiny_models.py, artifacts: small_artifacts.py)."""

import atexit
import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from inspect import unwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.forks import ROOT, forks

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from effcomp.core.template import Template
    from effcomp.measure.client import KeptTemplate
    from effcomp.pipeline.compose import Components
    from effcomp.record import Record
    from effcomp.record.result import Result
    from tests.forks import Started
    from tests.hub_server import HubServer

pytest_plugins = ["tests.tiny_models"]

DATA = ROOT / "tests/data"
MOVIES = DATA / "movie_reviews"

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # files of tests run side by side (pyproject.toml)
# Else Inductor tries in each fresh cache whether the compiler knows this processor's instructions: 8 s of 14.
os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")
# Else each process that compiles starts another, which imports PyTorch to compile beside it: 18 s of 69.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

settings.register_profile("effcomp", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("effcomp")


FIRST = ("faults/", "sweep/", "test_", "pipeline/")
"""Beginnings of the paths of files whose few tests run whole sweeps."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: one that began last would run alone. (xdist by itself begins with the files of most
    tests.)"""
    items.sort(key=lambda item: not item.path.relative_to(ROOT / "tests").as_posix().startswith(FIRST))


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """A runtime that a test has loaded sets the threads and the log level of this process; the next test begins as it
    would alone."""
    logging.getLogger().setLevel(logging.WARNING)
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[HubServer]":
    """A Hub of our own, which the clients of this process ask; its cache is empty, its patience two seconds."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session
    from huggingface_hub.utils._http import http_backoff, http_stream_backoff

    from effcomp.core.hub.repository import commit
    from effcomp.models.hub import file_names
    from effcomp.tasks.hub_data import find_layout
    from tests.hub_server import HubServer

    with HubServer() as server:
        settings = {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_ETAG_TIMEOUT": 1,
            "HF_HUB_DOWNLOAD_TIMEOUT": 0.6,
        }
        for name, value in settings.items():
            monkeypatch.setattr(constants, name, value)
        for call in (http_backoff, unwrap(http_stream_backoff)):  # whose retries wait for 23 s in all
            monkeypatch.setitem(call.__kwdefaults__, "base_wait_time", 0.02)
            monkeypatch.setitem(call.__kwdefaults__, "max_wait_time", 0.02)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "HF_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        close_session()
        for remembered in (commit, file_names, find_layout):
            remembered.cache_clear()
        yield server
        constants.HF_HUB_OFFLINE = True  # ends the downloads that were given up
    for thread in threading.enumerate():
        if thread.name.startswith("waiting for"):
            thread.join(10)
    close_session()


TEMPORARY = tempfile.TemporaryDirectory(prefix="effcomp-tests-")
if "PYTEST_XDIST_WORKER" in os.environ and shutil.which("nvidia-smi") is None:
    # The processor's lock lies there: files of tests do not wait for each other's measurements. (A GPU's memory and
    # energy are measured alone.)
    os.environ["TMPDIR"] = tempfile.tempdir = TEMPORARY.name
RATES = Path(TEMPORARY.name) / "rates"
RATES.mkdir()

PATIENCE_S = 300

SMALL = [
    *("bench.pairs=1", "bench.turns=6", "bench.seconds=0", "bench.turn_ms=5", "bench.warmup_turns=1"),
    "bench.quiet_wait_s=0",
    *("bench.batch_sizes=[1,4]", "bench.prompt_tokens=16", "bench.new_tokens=4"),
]
"""A measurement of a second: real, and too short to say anything about speed."""


@dataclass(frozen=True)
class Ran:
    code: int
    stdout: str
    stderr: str

    @property
    def record(self) -> dict[str, Any]:
        """The last line of standard output."""
        record: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return record


def compose_parts(*overrides: str, in_product: bool = False) -> "Components":
    """Return the components of a configuration, as the command line builds them; not yet checked against each other."""
    from effcomp.pipeline.compose import build

    return build(composed(overrides), in_product)


@cache
def composed(overrides: tuple[str, ...]) -> "DictConfig":
    """Compose a configuration once in a session: each takes 0.1 s."""
    from effcomp.pipeline import compose

    return compose.composed(overrides)


@contextlib.contextmanager
def machine_rates_in(store: Path) -> Iterator[None]:
    """The machine's rates, which take some 15 seconds, are measured by the first run that needs them, and found in the
    stores of the others, as a user's second run finds them."""
    put_machine_rates_in(store)
    yield
    shutil.copytree(store / "machine", RATES, dirs_exist_ok=True)


def put_machine_rates_in(store: Path) -> None:
    """Those that were measured so far."""
    if not (store / "machine").exists():
        shutil.copytree(RATES, store / "machine")


def run_parts(parts: "Components") -> "Result":
    """Check and run a configuration in this process, as the process of a sweep does one after another."""
    from effcomp.pipeline.checks import check
    from effcomp.pipeline.run import run

    check(parts)
    with machine_rates_in(parts.store):
        return run(parts, kept_template())


@cache
def kept_template() -> "KeptTemplate":
    from effcomp.measure.client import KeptTemplate

    kept = KeptTemplate()
    atexit.register(kept.close)
    return kept


def run_effcomp(
    *arguments: str, cwd: Path, module: str = "effcomp.run", root: Path | None = None, own: Path | None = None
) -> Ran:
    """`python -m effcomp.run ...` in a folder of its own.

    Args:
        module: `effcomp.run`, another one, or a script of the folder.
        root: the checkout whose command Python starts, with all its imports; without one it is this checkout's, in a
            forked process that has imported them (tests/forked.py).
        own: a folder with modules of the user's.
    """
    with machine_rates_in(cwd / "multirun/store"):
        if root is None:
            answer = forks().run(module, list(arguments), cwd, own, PATIENCE_S)
            return Ran(answer["code"], answer["stdout"], answer["stderr"])
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    return Ran(done.returncode, done.stdout, done.stderr)


def start_effcomp(*arguments: str, cwd: Path, own_group: bool = False) -> "Started":
    """Start a command as `run_effcomp` does, and leave it running, for tests that end it.

    Args:
        own_group: in a process group of its own, which a signal can end as a whole.
    """
    put_machine_rates_in(cwd / "multirun/store")
    return forks().start(list(arguments), cwd, own_group=own_group)


@pytest.fixture(scope="session")
def tiny(tiny_bert: Path) -> list[str]:
    """Overrides that make any run tiny, through the real code."""
    return [f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20", "finetune.epochs=1", *SMALL]


@pytest.fixture(scope="session")
def torch_template() -> "Iterator[Template]":
    """A template of measured processes that run PyTorch on one thread: each is forked with its libraries imported."""
    from effcomp.core.device import Device
    from effcomp.core.template import Template
    from effcomp.runtimes.torch import Torch

    environment = Device(name="cpu", kind="cpu", threads=1).environment()
    with Template("effcomp.measure.worker", Torch.libraries, environment) as template:
        yield template


def altered(row: Any, changes: dict[str, Any]) -> Any:
    """Return a copy of a record with other values at dotted paths: {"truth.machine.threads": 16}."""
    for path, value in changes.items():
        name, _, below = path.partition(".")
        row = row.model_copy(update={name: altered(getattr(row, name), {below: value}) if below else value})
    return row


def records(*names: str) -> list["Record"]:
    """Records of real runs (`make demo`), kept under tests/data/records."""
    from effcomp.record import Record

    return [Record.read(DATA / "records" / f"{name}.json") for name in names]
