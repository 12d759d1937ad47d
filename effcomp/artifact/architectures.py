"""Architectures by file format: which are known to be written and executed rightly, and which are refused.

tests/artifact/test_architectures.py writes a tiny model of each and compares its answers with transformers' own. An
architecture that stands in neither table is tried before it is trained (effcomp.pipeline.rehearsal).
"""

from effcomp.core.errors import Skipped

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


def check_architecture(model_type: str, form: str, runtime: str) -> None:
    """Raise Skipped for an architecture that a runtime is known not to execute."""
    if model_type in REFUSED.get(form, ()):
        reason = f"runtime={runtime} does not execute the architecture {model_type} as transformers does"
        raise Skipped(f"{reason}; use runtime=torch")
