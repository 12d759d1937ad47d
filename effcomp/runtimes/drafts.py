"""Choice of a draft for speculative decoding, and its checks against the model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from effcomp.artifact.architectures import SLIDING
from effcomp.artifact.description import ARTIFACT_FILE, read_description
from effcomp.core.checksum import contents_sha256
from effcomp.core.errors import Skipped, UserError
from effcomp.models.heads import Head, longest_sequence
from effcomp.runtimes.base import Runtime

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase


class Drafts(Runtime):
    """Base class of runtimes that can write with a draft."""

    draft: Literal["prompt"] | Path | None = None
    """Draft of speculative decoding: `prompt`, or a folder with a smaller model of the same tokens. `prompt` looks the
    end of the text up in the text itself; llama_cpp reads an artifact of its own."""

    @property
    def most_texts(self) -> int | None:
        return None if self.draft is None else 1

    def key(self) -> dict[str, Any]:
        """Identify a draft model by its contents, not its path."""
        key = super().key()
        if not isinstance(self.draft, Path):
            return key
        files = sorted(file for file in self.draft.iterdir() if file.is_file())
        return {**key, "fields": {**key["fields"], "draft": {file.name: contents_sha256(file) for file in files}}}

    def check_writing(
        self, head: Head, config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase | None"
    ) -> None:
        if self.draft is None:
            return
        setting = f"runtime.draft={self.draft}"
        check_writes(setting, head)
        refuse_windows(setting, config)
        if isinstance(self.draft, Path):
            check_same_tokens(self.draft, setting, config, tokenizer)


def check_writes(setting: str, head: Head) -> None:
    """Raise Skipped where a setting for writing is given for a model with another head."""
    if head != "causal_lm":
        raise Skipped(f"{setting} is for models that write, and this one has the head {head}; leave it out")


def refuse_windows(setting: str, config: "PretrainedConfig") -> None:
    """Raise Skipped for a model whose layers forget the tokens before a window."""
    from effcomp.artifact.cached_graph import layer_kinds

    if SLIDING in layer_kinds(config):
        reason = f"{setting} takes tokens back, which the windows of a {config.model_type} cannot"
        raise Skipped(f"{reason}; leave it out")


def check_same_tokens(
    folder: Path, setting: str, config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase | None"
) -> None:
    """Raise UserError unless a draft is a decoder with the tokens of the model with this config and tokenizer."""
    from transformers import AutoConfig, AutoTokenizer

    if (folder / ARTIFACT_FILE).is_file() and (head := read_description(folder).head) != "causal_lm":
        raise UserError(f"{setting} has the head {head}; give a smaller model that writes")
    draft = AutoConfig.from_pretrained(folder)
    refuse_windows(setting, draft)
    theirs = AutoTokenizer.from_pretrained(folder)
    if tokenizer is None or theirs.get_vocab() != tokenizer.get_vocab():
        raise UserError(f"{setting} has another tokenizer than the model; give a smaller model with the same tokens")
    if draft.vocab_size > config.vocab_size:
        reason = f"{setting} has logits of {draft.vocab_size} tokens, the model of {config.vocab_size}"
        raise UserError(f"{reason}; give a smaller model with the same tokens")


def longest_draft(folder: Path) -> int | None:
    """Return the number of tokens that a draft reads; None where its config sets no limit."""
    from transformers import AutoConfig

    return longest_sequence(AutoConfig.from_pretrained(folder).to_dict())
