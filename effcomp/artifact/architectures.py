"""Architectures by file format: which are known to be written and executed rightly, and which are refused.

tests/artifact/test_architectures.py writes a tiny model of each and compares its answers with transformers' own. An
architecture that stands in neither table is tried before it is trained (effcomp.pipeline.rehearsal).
"""

from typing import TYPE_CHECKING

from effcomp.core.errors import Skipped

if TYPE_CHECKING:
    from transformers import PretrainedConfig

EVERYWHERE = {
    *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet"),
    *("roberta", "xlm-roberta"),
    *("bloom", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "openai-gpt", "opt", "qwen2"),
}
TRIED: dict[str, set[str]] = {
    "safetensors": EVERYWHERE
    | {"bitnet", "falcon", "flaubert", "funnel", "gemma", "gemma2", "gemma3_text", "longformer", "mistral", "mixtral"}
    | {"phi", "phi3", "qwen3", "stablelm", "xlm", "xlnet"},
    "onnx": EVERYWHERE | {"flaubert", "xlm"},
    "openvino": EVERYWHERE | {"bitnet", "falcon", "gemma", "gemma2", "phi", "phi3", "qwen3", "stablelm", "xlnet"},
}
"""By the name of a file format. A sliding window (Mistral, Gemma 3) is executed wrongly by some engines where padding
exceeds it: such models are tried with the texts of the task."""
REFUSED: dict[str, set[str]] = {
    "onnx": {"funnel", "longformer", "mixtral", "xlnet"},
    "openvino": {"flaubert", "funnel", "longformer", "mamba", "mixtral", "xlm"},
}
"""Architectures that cannot be exported, or that the engine computes wrongly."""
NO_CACHE = {"falcon_mamba", "mamba", "mamba2", "openai-gpt", "rwkv"}
"""Decoders that transformers calls without keys and values of earlier calls."""
FULL, SLIDING = "full_attention", "sliding_attention"
"""Kinds of attention whose masks a graph with a cache computes, by transformers' names."""


def takes_cache(config: "PretrainedConfig", form: str) -> bool:
    """Tell whether a decoder in this file format can be called with the keys and values of earlier calls, which writing
    needs. A graph scores texts without."""
    if config.model_type in NO_CACHE:
        return False
    alibi = config.model_type == "bloom" or getattr(config, "alibi", False)  # made from the mask of the padding
    kinds = set(getattr(config, "layer_types", None) or ())
    return form not in {"onnx", "openvino"} or not (alibi or kinds - {FULL, SLIDING})


def check_architecture(model_type: str, form: str, runtime: str) -> None:
    """Raise Skipped for an architecture that a runtime is known not to execute."""
    if model_type in REFUSED.get(form, ()):
        reason = f"runtime={runtime} does not execute the architecture {model_type} as transformers does"
        raise Skipped(f"{reason}; use runtime=torch")
