"""Circumstances of a measurement: machine, software, data, executed kernels, interference."""

from typing import Annotated, Literal

from effcomp.record.quantity import Quantity
from effcomp.record.row import Row

Disturbance = Literal["waiting for the processor", "other processes", "stolen time", "throttling"]
"""Reason to drop a turn and to measure it again."""


class Machine(Row):
    """Hardware of the measured processes, and what it can do."""

    device: str
    """Name of the processor or the GPU."""
    device_kind: str
    """cpu or cuda."""
    instruction_sets: list[str]
    """Instruction sets of the processor that matter to matrix products."""
    cpu_capability: str
    """The instruction set that the runtime dispatches to, in its own words."""
    threads: int
    """CPU threads of each measured process."""
    environment: dict[str, str]
    """Environment variables of the measured processes: threads, and how the allocator keeps memory."""
    rates: dict[str, float] | None = None
    """Measured operations per second of matrix products in each compute dtype, and `bytes_per_s` of memory."""


class Software(Row):
    """Versions of the code."""

    libraries: dict[str, str]
    """Version of Python and of each library that computes."""
    git_commit: str
    """Commit of effcomp's checkout, with `+changes` where files differ from it."""


class ReadFile(Row):
    """Rows of a data file."""

    file: str
    """Name of the file; of a folder of texts, its name."""
    read: int
    """Rows (or documents) that were read."""
    used: int
    """Those of them that are examples, before any are drawn (fold, test_slice, task.test_size,
    finetune.train_samples): `train_examples` and `test_examples` are what is left."""


class Vocabulary(Row):
    """Tokens that pruning left, and the part of the test that had others."""

    tokens: int
    """Tokens of the artifact's tokenizer."""
    baseline_tokens: int
    """Tokens of the model's own tokenizer."""
    respelled_tokens_share: Annotated[float, Quantity("tokens respelled", "%", scale=100, digits=1, column=True)]
    """Tokens of the test, by the model's own tokenizer, that are gone and that smaller ones spell, over all."""
    respelled_texts_share: float
    """Test examples with such a token, over all."""


class Data(Row):
    """Examples that were trained and tested on."""

    fingerprint: str
    """The sha256 over every example of the split, in order."""
    train_examples: int
    """Examples that were trained on."""
    test_examples: int
    """Examples in the test split."""
    tokens: Literal["the task's texts", "synthetic"]
    """Input of the timed calls; synthetic: random ids in sequences as long as the texts would be by their words."""
    files: list[ReadFile] | None = None
    """Rows of each file that was read; empty for data of the Hub, None in older records."""
    vocabulary: Vocabulary | None = None
    """Tokens that prune=vocabulary left; None where the artifact has the model's own tokenizer."""


class Kernel(Row):
    """An operator that was executed."""

    name: str
    """Its name in the runtime's profiler, with the implementation where the profiler tells it."""
    calls: int
    """Calls in one call of the model with one sequence."""
    share: float
    """Its own time, without the operators that it calls, over the time of one call of the model."""


class Kernels(Row):
    """Operators of one call of the model, by the runtime's profiler."""

    executed: list[Kernel]
    """The operators that took most of the time."""
    expected_ran: bool | None = None
    """True when an expected kernel of the number format ran; None for a format that expects none."""
    int8_products: bool | None = None
    """True when a product of int8 matrices ran."""
    instructions: list[str] | None = None
    """oneDNN's choice for the matrix products: kind, type, implementation."""
    providers: dict[str, int] | None = None
    """ONNX Runtime: operators that each execution provider ran in one call; empty for other runtimes."""


class Conditions(Row):
    """Other activity of the machine during the measurement."""

    other_busy_cores: float
    """Cores that other processes used, on average."""
    stolen_share: float
    """Share of the processor's time that other virtual machines took."""
    clock_before_mhz: float | None
    """Clock of the processor, or of the GPU's multiprocessors; None where the kernel does not report it."""
    clock_after_mhz: float | None
    """Clock when the measurement ended."""
    throttle_events: int
    """Thermal throttling of the processor's cores, as the kernel counts it."""
    free_cores: float | None = None
    """Cores that the measured processes may use, less those that other processes used; None in older records."""
    waited_s: float | None = None
    """Seconds of waiting until the machine was quiet, before the pairs (bench.quiet_wait_s); None in older records."""
    repeated_turns: int | None = None
    """Turns that were dropped and measured again, because they were disturbed; None in older records."""
    disturbed_turns: int | None = None
    """Turns that count although they were disturbed, because as many as may be were repeated."""
    disturbances: dict[Disturbance, int] | None = None
    """Disturbed turns by reason; a turn may have several. A turn is disturbed when its threads waited for the processor
    in over 10 % of its time, when other processes or other virtual machines took over 0.25 cores (and 0.05 s), or when
    the processor or the GPU was throttled. Half as many as are measured are repeated. None in older records."""
    waiting_counted: bool | None = None
    """True where the kernel counts waiting for the processor; None in older records."""
    noise: list[str]
    """Reasons why this run counts as noisy; empty where it does not."""


class Truth(Row):
    """Circumstances under which the numbers hold."""

    time: str
    """UTC, ISO 8601, when the measurement ended."""
    seed: int
    """Seed of training order, new head and bootstrap."""
    finetune_precision: str
    """Data type of the matrix products in training."""
    artifact: str
    """Hash of the artifact in the store."""
    baseline_artifact: str
    """Hash of the baseline in the store."""
    machine: Machine
    """Hardware."""
    software: Software
    """Versions."""
    data: Data
    """Examples."""
    kernels: Kernels
    """Operators that were executed."""
    conditions: Conditions | None = None
    """Interference; None in records of schema 1."""
