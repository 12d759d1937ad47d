"""llama.cpp's C interface (include/llama.h of b11549), as far as effcomp calls it."""

import ctypes
from collections.abc import Callable
from ctypes import c_bool, c_char_p, c_float, c_int32, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effcomp.quant.ggml import library

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q4_0"]
CACHE_TYPES: dict[CacheType, int] = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q4_0": 2}
"""ggml's numbers of the types."""
FLASH_ATTENTION_AUTO, FLASH_ATTENTION_OFF = -1, 0
UBATCH = 512
"""Tokens that go through the model together; llama.cpp's own default."""
LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, c_char_p, c_void_p)
WATCH = ctypes.CFUNCTYPE(c_bool, c_void_p, c_bool, c_void_p)
Watch = Callable[[int, bool], bool]
"""Called with a tensor's address before it is computed (True) and after (False); returns whether to go on."""


class Structure(ctypes.Structure):
    """One of llama.h."""


class ModelParams(Structure):
    """Structure llama_model_params of llama.h."""

    _fields_ = [  # ctypes reads this attribute
        *((name, c_void_p) for name in ("devices", "tensor_buft_overrides")),
        *((name, c_int32) for name in ("n_gpu_layers", "split_mode", "load_mode", "lazy_mode", "main_gpu")),
        *((name, c_void_p) for name in ("tensor_split", "progress_callback", "progress_data", "kv_overrides")),
        *((name, c_bool) for name in ("vocab_only", "check_tensors", "use_extra_bufts")),
        *((name, c_bool) for name in ("no_host", "no_alloc", "load_mtp")),
    ]


class ContextParams(Structure):
    """Structure llama_context_params of llama.h."""

    _fields_ = [
        *((name, c_uint32) for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_rs_seq")),
        *((name, c_uint32) for name in ("n_outputs_max", "n_outputs_max_per_seq")),
        *((name, c_int32) for name in ("n_threads", "n_threads_batch", "ctx_type", "rope_scaling_type")),
        *((name, c_int32) for name in ("pooling_type", "attention_type", "flash_attn_type")),
        *((name, c_float) for name in ("rope_freq_base", "rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor")),
        *((name, c_float) for name in ("yarn_beta_fast", "yarn_beta_slow")),
        ("yarn_orig_ctx", c_uint32),
        ("defrag_thold", c_float),
        *((name, c_void_p) for name in ("cb_eval", "cb_eval_user_data")),
        *((name, c_int32) for name in ("type_k", "type_v")),
        ("moe_cache_size", c_size_t),
        *((name, c_void_p) for name in ("abort_callback", "abort_callback_data")),
        *((name, c_bool) for name in ("embeddings", "offload_kqv", "no_perf", "op_offload", "swa_full", "kv_unified")),
        ("samplers", c_void_p),
        ("n_samplers", c_size_t),
        ("ctx_other", c_void_p),
    ]


class Tokens(Structure):
    """llama_batch."""

    _fields_ = [
        ("n_tokens", c_int32),
        ("token", c_void_p),
        ("embd", c_void_p),
        ("pos", c_void_p),
        ("n_seq_id", c_void_p),
        ("seq_id", c_void_p),
        ("logits", c_void_p),
    ]


class Operator(Structure):
    """The first fields of ggml_tensor."""

    _fields_ = [
        ("type", c_int32),
        ("buffer", c_void_p),
        ("shape", ctypes.c_int64 * 4),
        ("strides", c_size_t * 4),
        ("operator", c_int32),
        ("operator_params", c_int32 * 16),
        ("flags", c_int32),
        ("sources", c_void_p * 10),
    ]


messages: list[str] = []
"""Errors that llama.cpp logged since the list was last read."""


@LOG
def keep_errors(level: int, text: bytes, _: int | None) -> None:
    if level == 4:  # GGML_LOG_LEVEL_ERROR
        messages.append(text.decode(errors="replace").strip())


@cache
def llama() -> ctypes.CDLL:
    """Load the library and type its functions; its log is kept, not printed."""
    found = library()
    typed: dict[str, tuple[type | None, list[type]]] = {
        "llama_log_set": (None, [LOG, c_void_p]),
        "llama_backend_init": (None, []),
        "llama_print_system_info": (c_char_p, []),
        "llama_model_default_params": (ModelParams, []),
        "llama_model_load_from_file": (c_void_p, [c_char_p, ModelParams]),
        "llama_model_free": (None, [c_void_p]),
        "llama_context_default_params": (ContextParams, []),
        "llama_init_from_model": (c_void_p, [c_void_p, ContextParams]),
        "llama_free": (None, [c_void_p]),
        "llama_get_memory": (c_void_p, [c_void_p]),
        "llama_memory_clear": (None, [c_void_p, c_bool]),
        "llama_memory_seq_rm": (c_bool, [c_void_p, c_int32, c_int32, c_int32]),
        "llama_state_seq_get_size": (c_size_t, [c_void_p, c_int32]),
        "llama_decode": (c_int32, [c_void_p, Tokens]),
        "llama_get_logits": (c_void_p, [c_void_p]),
        "llama_get_embeddings": (c_void_p, [c_void_p]),
        "ggml_op_desc": (c_char_p, [c_void_p]),
        "ggml_type_name": (c_char_p, [ctypes.c_int]),
        "ggml_backend_buffer_name": (c_char_p, [c_void_p]),
    }
    for name, (result, arguments) in typed.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    found.llama_log_set(keep_errors, None)
    found.llama_backend_init()
    return found


class Model:
    """The weights of a GGUF file. Memory is mapped, but for weights that llama.cpp reorders for this processor."""

    def __init__(self, file: Path) -> None:
        """Load a GGUF file; raise ValueError when llama.cpp cannot."""
        params = llama().llama_model_default_params()
        params.n_gpu_layers = 0
        messages.clear()
        self.handle = llama().llama_model_load_from_file(str(file).encode(), params)
        if not self.handle:
            raise ValueError(f"llama.cpp does not load {file}: {'; '.join(messages)}")


class Capacity(NamedTuple):
    """Capacity of a context."""

    sequences: int
    length: int
    """Tokens of each sequence."""
    outputs: int
    """Positions of a call whose outputs are asked for."""

    def holds(self, other: "Capacity") -> bool:
        return all(mine >= theirs for mine, theirs in zip(self, other, strict=True))


class Settings(NamedTuple):
    """State that all contexts of a model share."""

    width: int
    """Values of an output: the vocabulary, or of features the hidden size."""
    features: bool
    """True where outputs are the last layer's features instead of logits."""
    threads: int
    cache_type: CacheType


class Context:
    """A cache, and the memory that a call computes in."""

    def __init__(self, model: Model, size: Capacity, settings: Settings, watch: Watch | None = None) -> None:
        """Reserve the memory. watch: called around each operator.

        Raises:
            ValueError: llama.cpp does not make a context of this size.
        """
        params = llama().llama_context_default_params()
        params.n_ctx, params.n_seq_max = size.sequences * size.length, size.sequences
        # An encoder reads a sequence as a whole: llama.cpp ends the process where that has more tokens.
        whole = max(UBATCH, size.length) if settings.features else UBATCH
        params.n_batch, params.n_ubatch = params.n_ctx, min(params.n_ctx, whole)
        params.n_outputs_max = size.outputs
        params.n_threads = params.n_threads_batch = settings.threads
        params.type_k = params.type_v = CACHE_TYPES[settings.cache_type]
        # Flash attention multiplies in float16, whatever the cache holds.
        params.flash_attn_type = FLASH_ATTENTION_OFF if settings.cache_type == "f32" else FLASH_ATTENTION_AUTO
        params.embeddings, params.pooling_type = settings.features, 0  # none: each position's own
        self.watch = WATCH(lambda tensor, ask, _: watch(tensor, ask)) if watch is not None else None
        if self.watch is not None:
            params.cb_eval = ctypes.cast(self.watch, c_void_p)
        messages.clear()
        self.handle = llama().llama_init_from_model(model.handle, params)
        if not self.handle:
            raise ValueError(f"llama.cpp makes no context of {size}: {'; '.join(messages)}")
        self.size, self.width, self.features = size, settings.width, settings.features

    def clear(self) -> None:
        """Forget all sequences."""
        if memory := llama().llama_get_memory(self.handle):  # an encoder has none
            llama().llama_memory_clear(memory, False)

    def forget(self, place: int) -> None:
        """Forget the first sequence from this position on.

        Raises:
            ValueError: llama.cpp cannot, for a model whose state is not divided by positions.
        """
        if not llama().llama_memory_seq_rm(llama().llama_get_memory(self.handle), 0, place, -1):
            raise ValueError(f"llama.cpp cannot forget the tokens from {place} on")

    def cache_bytes(self) -> int:
        """Return the bytes of keys and values of all sequences, as llama.cpp would write them to a file: with a few
        bytes of position for each token."""
        return sum(llama().llama_state_seq_get_size(self.handle, number) for number in range(self.size.sequences))

    def close(self) -> None:
        llama().llama_free(self.handle)

    def call(
        self,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int64],
        sequences: NDArray[np.int64],
        wanted: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Read tokens, each at its position of its sequence, and return the outputs of those that are wanted.

        Returns:
            (wanted, width), in the tokens' order. The array is the context's own until its next call.

        Raises:
            ValueError: llama.cpp fails.
        """
        positions, sequences = positions.astype(np.int32), sequences.astype(np.int32)
        output = np.ones_like(wanted) if self.features else wanted  # features come of every token, asked for or not
        one, flags = np.ones(len(tokens), dtype=np.int32), output.astype(np.int8)
        places = sequences.ctypes.data + sequences.itemsize * np.arange(len(tokens), dtype=np.uintp)
        fields = (array.ctypes.data for array in (positions, one, places, flags))
        messages.clear()
        if failed := llama().llama_decode(self.handle, Tokens(len(tokens), tokens.ctypes.data, None, *fields)):
            raise ValueError(f"llama_decode returned {failed}: {'; '.join(messages)}")
        outputs = (llama().llama_get_embeddings if self.features else llama().llama_get_logits)(self.handle)
        shape = int(output.sum()), self.width
        found = np.ctypeslib.as_array(ctypes.cast(outputs, ctypes.POINTER(c_float)), shape)
        return found[wanted] if self.features else found
