"""llama.cpp, on the CPU, from a GGUF file (effcomp.artifact.gguf)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from effcomp.artifact.file_format import FileFormat
from effcomp.artifact.gguf import HEAD_FILE, WEIGHTS_FILE, GgufFile
from effcomp.core.device import Device
from effcomp.core.errors import Skipped, UserError
from effcomp.models.heads import Head
from effcomp.models.reconcile import reads_token_types
from effcomp.quant.ggml import check_version
from effcomp.runtimes.base import Loaded
from effcomp.runtimes.drafts import Drafts, check_writes, longest_draft
from effcomp.runtimes.llama_classifier import Classifier
from effcomp.runtimes.llama_library import CacheType, Model, Settings, llama
from effcomp.runtimes.llama_model import Decoder
from effcomp.runtimes.llama_reader import LlamaReader
from effcomp.runtimes.speculative import DraftModel, Speculation

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

USUAL_CACHE: CacheType = "f16"
BLOCK = 32
"""Values that share a scale in ggml's q8_0 and q4_0."""
BLOCK_CACHES: tuple[CacheType, ...] = ("q8_0", "q4_0")


class LlamaCpp(Drafts):
    """llama.cpp by the package xllamacpp, on the CPU."""

    id: ClassVar[str] = "runtime/llama_cpp"
    file_format: ClassVar[FileFormat] = GgufFile()
    packages: ClassVar[tuple[str, ...]] = ("xllamacpp",)
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    generates: ClassVar[bool] = True
    kv_cache: CacheType = USUAL_CACHE
    """Type of the cached keys and values; f32 computes attention in float32 too."""

    def check(self) -> None:
        super().check()
        check_version()
        if isinstance(self.draft, Path) and not (self.draft / WEIGHTS_FILE).is_file():
            raise UserError(
                f"runtime.draft={self.draft} has no {WEIGHTS_FILE}; give an artifact of runtime=llama_cpp, or prompt"
            )

    def check_model(self, config: "PretrainedConfig", pairs: bool) -> None:
        if pairs and reads_token_types(config):
            raise Skipped(
                f"runtime=llama_cpp gives all tokens of a {config.model_type} the embedding of a first text, and this "
                "task has pairs; choose another runtime"
            )
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        if self.kv_cache in BLOCK_CACHES and size % BLOCK:
            raise Skipped(
                f"runtime.kv_cache={self.kv_cache} stores blocks of {BLOCK} values, and a head of this model has "
                f"{size}; use runtime.kv_cache=f16"
            )

    def check_writing(
        self, head: Head, config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase | None"
    ) -> None:
        if self.kv_cache != USUAL_CACHE:
            check_writes(f"runtime.kv_cache={self.kv_cache}", head)
        super().check_writing(head, config, tokenizer)

    def start(self, artifact: Path, device: Device) -> str:
        said: bytes = llama().llama_print_system_info()
        return said.decode().strip(" |")

    def load(self, artifact: Path, device: Device) -> Loaded:
        assert device.threads is not None, "a resolved device has its threads counted"
        model = Model(artifact / WEIGHTS_FILE)
        config = json.loads((artifact / "config.json").read_text())
        if not (artifact / HEAD_FILE).exists():
            decoder = Decoder(model, Settings(config["vocab_size"], False, device.threads, self.kv_cache))
            if self.draft is not None:
                draft = self.draft_model(device.threads)
                decoder.speculation = Speculation(LlamaReader(model, decoder.settings), draft)
            return decoder
        features = next(config[name] for name in ("hidden_size", "n_embd", "dim") if name in config)
        settings = Settings(features, True, device.threads, self.kv_cache)
        return Classifier(model, artifact / HEAD_FILE, config["model_type"], settings)

    def draft_model(self, threads: int) -> DraftModel | None:
        """Load the draft of another folder; None where there is none."""
        if not isinstance(self.draft, Path):
            return None
        vocabulary = json.loads((self.draft / "config.json").read_text())["vocab_size"]
        settings = Settings(vocabulary, False, threads, self.kv_cache)
        return DraftModel(LlamaReader(Model(self.draft / WEIGHTS_FILE), settings), longest_draft(self.draft))
