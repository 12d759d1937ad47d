"""What a model costs, and under what circumstances the numbers hold."""

from typing import Literal

from effcomp.record.row import Row


class Cost(Row):
    """What the artifact takes: disk, memory, time to load, energy."""

    artifact_bytes: int
    """Every file of the artifact folder: weights, config, tokenizer."""
    weights_bytes: int
    """The files of the weights alone."""
    baseline_artifact_bytes: int
    """The same folder of the float32 baseline."""
    parameters: int
    """Of the architecture, without the heads and neurons that pruning removed; tied ones once."""
    nonzero_share: float
    """Non-zero parameters over all, after pruning and before the number format."""
    peak_rss_bytes: int
    """The largest resident set of the measured process, libraries included."""
    library_rss_bytes: int
    """Its resident set with the libraries loaded, before the artifact."""
    load_added_rss_bytes: int
    """What the loaded artifact adds to that, read behind its first calls."""
    inference_added_rss_bytes: int
    """What the timed calls add at their peak to the loaded artifact."""
    baseline_peak_rss_bytes: int
    """The same of the float32 baseline's process."""
    load_time_ms: float
    """From the artifact folder to a model that can be called, libraries imported before."""
    first_call_ms: float
    """The first call of all, translation included where the runtime translates."""
    finetune_s: float
    """What the fine-tuning took when it was computed (its last try, where it was interrupted);
    the store may have kept it since."""
    energy_per_sample_j: float | str
    """Above the idle machine, at the largest batch size; or `unavailable: ` and why."""
    energy_counter: str | None = None
    """Which counter was read."""
    idle_power_w: float | None = None
    """Measured before the processes started, and taken off."""
    pss_bytes: int | None = None
    """The proportional set of the loaded artifact's process: pages shared with other processes count in part."""
    compile_ms: float | None = None
    """What the first call took longer than a later one; None for runtimes that translate nothing."""
    recovery_s: float | None = None
    """What the fine-tuning after pruning took when it was computed; None without one."""
    baseline_parameters: int | None = None
    """Of the float32 baseline, before pruning."""
    bits_per_parameter: float | None = None
    """8 * weights_bytes over parameters: what a parameter costs on disk, all tensors counted."""
    nonzero_parameters: int | None = None
    """Parameters that are not 0, after pruning and before the number format."""
    quantised_layers: list[str] | None = None
    """What the format is applied to: embeddings, linear layers, head, rest (biases, normalisation)."""
    quantised_share: float | None = None
    """Of the parameters, those in these layers."""
    gpu_allocated_bytes: int | None = None
    """The peak of PyTorch's tensors; None on a CPU, as the next two."""
    gpu_reserved_bytes: int | None = None
    """The peak of what PyTorch's allocator holds."""
    gpu_process_bytes: int | None = None
    """All that the process holds on the GPU at the end, by NVML; None where NVML cannot tell processes apart."""
    finetune_peak_gpu_bytes: int | None = None
    """The peak of PyTorch's tensors in the fine-tuning, when it was computed; None on a CPU, without training, and
    where other processes trained."""
    peak_power_w: float | None = None
    """The most that NVML said of the board in the work that the energy was counted of, idle power included; None where
    it says nothing."""


class Kernel(Row):
    """An operator that really ran."""

    name: str
    """As the runtime's profiler calls it, with the implementation where it says which."""
    calls: int
    """In one call of the model with one sequence."""
    share: float
    """Of the time of one call, its own time without that of the operators it calls."""


class Conditions(Row):
    """What the machine did beside the measurement."""

    other_busy_cores: float
    """Cores that other processes used, on average."""
    stolen_share: float
    """Of the processor's time, taken by other virtual machines."""
    clock_before_mhz: float | None
    """Of the processor, or of the GPU's multiprocessors; None where the kernel does not say."""
    clock_after_mhz: float | None
    """The same when the measurement ended."""
    throttle_events: int
    """Thermal throttling of the processor's cores, as the kernel counts it."""
    noise: list[str]
    """Why this run counts as noisy; empty: it does not."""


class Truth(Row):
    """Under what circumstances the numbers hold."""

    time: str
    """UTC, ISO 8601, when the measurement ended."""
    device: str
    """The processor or the GPU by name."""
    device_kind: str
    """cpu or cuda."""
    instruction_sets: list[str]
    """Those of the processor that matter to matrix products."""
    cpu_capability: str
    """What the runtime dispatches to, in its own words."""
    threads: int
    """CPU threads of each measured process."""
    environment: dict[str, str]
    """Variables set for the measured processes: threads, and how the allocator keeps memory."""
    libraries: dict[str, str]
    """Versions."""
    git_commit: str
    """Of effcomp's checkout, with `+changes` where files differ from it."""
    seed: int
    """Of training order, new head and bootstrap."""
    data_fingerprint: str
    """The sha256 over every example of the split, in order."""
    train_examples: int
    """How many were trained on."""
    test_examples: int
    """How many are in the test split."""
    tokens: Literal["the task's texts", "synthetic"]
    """What the timed calls read; synthetic: random ids in sequences as long as the texts would be by their words."""
    artifact: str
    """The artifact's hash in the store."""
    baseline_artifact: str
    """The baseline's hash in the store."""
    finetune_precision: str
    """Type of the matrix products in training."""
    kernels: list[Kernel]
    """The operators that took most of the time of one call."""
    promised_kernel_ran: bool | None = None
    """Whether an operator ran that makes the number format what it is; None: the format promises none."""
    int8_products: bool | None = None
    """Whether a product of int8 matrices ran."""
    instructions: list[str] | None = None
    """What oneDNN chose for the matrix products: kind, type, implementation."""
    providers: dict[str, int] | None = None
    """ONNX Runtime: operators that each execution provider ran in one call; empty for other runtimes."""
    machine_rates: dict[str, float] | None = None
    """Operations per second of matrix products in each arithmetic, and bytes_per_s of memory; measured."""
    conditions: Conditions | None = None
    """What the machine did beside the measurement; None in records of schema 1."""
