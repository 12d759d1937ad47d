"""Cost of an artifact: size, memory, energy, training, loading."""

from typing import Annotated

from effcomp.core.interval import Interval
from effcomp.record.probe import probed
from effcomp.record.quantity import MIB, Quantity
from effcomp.record.row import Row
from effcomp.record.speed import Number

SMALLER = ("smaller", "larger")
LESS_MEMORY = ("less memory", "more memory")
Bytes = Interval | int


class LayerCandidate(Row):
    """Number format that a layer could have."""

    harm: Number
    """KL divergence of the predictions from the float model's with this layer alone rounded, in nats a prediction; an
    estimate without an interval where it comes from gradients or a single example."""
    bytes: int
    """Bytes of the layer's weight."""
    chosen: bool
    """True for the format that the layer has."""


LayerMap = dict[str, dict[str, LayerCandidate]]
"""Candidates of each layer by the names of layer and format: `int4`."""


class Size(Row):
    """Bytes and parameters of the artifact."""

    artifact_bytes: Annotated[
        int,
        Quantity(
            "artifact",
            "MiB",
            scale=1 / MIB,
            digits=1,
            better="lower",
            words=SMALLER,
            objective=True,
            column=True,
            headline="size_mib",
        ),
    ]
    """Every file of the artifact folder: weights, config, tokenizer."""
    weights_bytes: Annotated[
        int, Quantity("weights", "MiB", scale=1 / MIB, digits=1, better="lower", words=SMALLER, objective=True)
    ]
    """The files of the weights alone."""
    baseline_artifact_bytes: int
    """The artifact folder of the float32 baseline."""
    parameters: int
    """Parameters of the architecture, without the heads and neurons that pruning removed; tied ones count once."""
    baseline_parameters: int | None = None
    """Parameters of the float32 baseline, before pruning."""
    nonzero_parameters: int | None = None
    """Parameters that are not 0, after pruning and before the number format."""
    nonzero_share: float
    """Non-zero parameters over all, after pruning and before the number format."""
    bits_per_parameter: float | None = None
    """8 * weights_bytes over parameters; all stored tensors count."""
    quantized_layers: list[str] | None = None
    """Layers that the number format applies to: embeddings, linear layers, head, rest (biases, normalization)."""
    quantized_share: float | None = None
    """Share of the parameters in these layers."""
    layer_formats: dict[str, str] | None = None
    """Number format of each linear layer, where the format chose one for each: `int4`; None elsewhere."""
    layer_map: LayerMap | None = None
    """Formats that each of these layers could have, with harm and bytes; None where there was no choice."""


class Memory(Row):
    """Memory of the measured process, as the kernel and PyTorch count it: the geometric mean over pairs with its
    interval (the mean, where a pair has 0). What inference added is plain for a single pair until the store has
    several pairs of this machine and runtime."""

    peak_rss_bytes: Annotated[
        Bytes,
        Quantity(
            "peak memory",
            "MiB",
            scale=1 / MIB,
            digits=1,
            better="lower",
            words=LESS_MEMORY,
            objective=True,
            column=True,
            brief=True,
            headline="memory_mib",
        ),
    ]
    """The largest resident set of the measured process, libraries included."""
    library_rss_bytes: Bytes
    """Its resident set with the libraries loaded, before the artifact."""
    load_added_rss_bytes: Annotated[
        Bytes, Quantity("+load", "MiB", scale=1 / MIB, digits=1, better="lower", column=True, brief=True)
    ]
    """Resident memory that the loaded artifact adds to the libraries, read after its first calls."""
    inference_added_rss_bytes: Annotated[
        Bytes, Quantity("+calls", "MiB", scale=1 / MIB, digits=1, better="lower", column=True, brief=True)
    ]
    """Resident memory that the timed calls add at their peak to the loaded artifact."""
    baseline_peak_rss_bytes: Bytes
    """The largest resident set of the float32 baseline's process."""
    pss_bytes: Bytes | None = None
    """Proportional set of the loaded artifact's process: pages shared with other processes count in part, also those
    of libraries that a template imported for both sides of a pair."""
    gpu_allocated_bytes: Annotated[
        Bytes | None,
        Quantity(
            "GPU memory",
            "MiB",
            scale=1 / MIB,
            digits=1,
            better="lower",
            words=LESS_MEMORY,
            objective=True,
            column=True,
            brief=True,
        ),
    ] = None
    """The peak of PyTorch's tensors; None on a CPU, as the next two."""
    gpu_reserved_bytes: Bytes | None = None
    """The peak of what PyTorch's allocator holds."""
    gpu_process_bytes: Bytes | None = None
    """All that the process holds on the GPU at the end, by NVML; None where NVML cannot tell processes apart."""


class Energy(Row):
    """Energy and power above the idle machine."""

    energy_per_sample_j: Annotated[
        Number | str,
        Quantity(
            "energy",
            "mJ a sample",
            scale=1000,
            better="lower",
            words=("less energy", "more energy"),
            objective=True,
            column=True,
            headline="energy_mj",
        ),
    ]
    """Energy above the idle machine, at the largest batch size: the geometric mean over pairs with its interval; plain
    for a single pair, until the store has several pairs of this machine and runtime. `unavailable: ` and the reason
    without a counter."""
    counter: str | None = None
    """The hardware counter that was read."""
    idle_power_w: float | None = None
    """Mean power before the processes started; subtracted from the energy."""
    peak_power_w: Annotated[float | None, Quantity("peak power", "W", digits=0, better="lower", column=True)] = None
    """The highest power of the board by NVML during the energy measurement, idle power included; None where NVML does
    not report it."""


class Training(Row):
    """Time and memory that training took when it was computed; the store may have kept its result since."""

    finetune_s: float
    """Seconds of fine-tuning (of its last attempt, where it was interrupted)."""
    finetune_peak_gpu_bytes: int | None = None
    """The peak of PyTorch's tensors in fine-tuning; None on a CPU, without training, and where other processes
    trained."""
    recovery_s: float | None = None
    """Seconds of fine-tuning after pruning; None without one."""


class Calibration(Row):
    """Cost of fitting the number format to training examples, when the artifact was written."""

    calibration_s: Annotated[float, Quantity("calibration", "s", digits=0, better="lower", column=True)]
    """Seconds from the float model to the written weights."""
    peak_rss_bytes: int
    """The largest resident set of the compressing process meanwhile."""
    samples: int
    """Training examples that the format was fitted to, or blocks of documents."""
    fingerprint: str
    """The sha256 over the token ids of these examples, in order."""


class Load(Row):
    """Time until the artifact answers: the geometric mean over pairs with its interval."""

    load_time_ms: Annotated[
        Number,
        Quantity(
            "load",
            "ms",
            digits=0,
            better="lower",
            words=("loaded faster", "loaded more slowly"),
            objective=True,
            column=True,
            brief=True,
            headline="load_ms",
        ),
    ]
    """From the artifact folder to a model that can be called; libraries are imported before."""
    first_call_ms: Number
    """The first call of all, with translation where the runtime translates."""
    compile_ms: Number | None = None
    """The first call minus a later one of the same batch; None for runtimes that do not compile."""


class Cost(Row):
    """Cost of the artifact: disk, memory, energy, training, loading."""

    size: Size
    """Bytes and parameters."""
    memory: Memory
    """Memory of the measured process."""
    energy: Energy
    """Energy of a sample."""
    training: Training
    """Time of fine-tuning and recovery."""
    load: Load
    """Time to load and to compile."""
    probes: Annotated[dict[str, float] | None, probed()] = None
    """Numbers of the loaded model that need no turns, by name (effcomp.record.probes); None in older records."""
    calibration: Calibration | None = None
    """Time and memory of calibration; None for a format that is not fitted to examples, and in older records."""
