"""Tiny models of every known architecture: each runtime answers as transformers does, padded and alone, or refuses it.

The torch export of an ONNX graph takes seconds even for a tiny model: for ONNX Runtime one architecture of each family
of code stands for its kin.
"""

import logging
from pathlib import Path

import numpy as np
import pytest

from effcomp.artifact.agreement import reference_answers
from effcomp.artifact.architectures import REFUSED, TRIED
from effcomp.artifact.folder import Compression, Trained, write_artifact
from effcomp.core.device import Device
from effcomp.core.errors import UserError
from effcomp.measure.pair import can_generate
from effcomp.models.base import load_checkpoint
from effcomp.prune.base import NoPrune
from effcomp.tasks.base import Examples
from effcomp.tasks.encoding import encode
from tests.architectures import ARCHITECTURES, DECODERS, write_model
from tests.conftest import compose_parts

HEAD = "sequence_classification"
CPU = Device(name="cpu", kind="cpu", threads=1)
TEXTS = ("a film about a long and winding river that is not for everyone", "a film", "a very warm portrait of")
FAMILIES = {"bert", "deberta-v2", "modernbert", "gpt2", "llama", "opt", "xlm"}
"""Those that are exported to ONNX here."""


def cases() -> list[tuple[str, str]]:
    tried = [
        (runtime, model_type)
        for runtime, form in (("torch", "safetensors"), ("openvino", "openvino"), ("onnxruntime", "onnx"))
        for model_type in sorted(TRIED[form] & (FAMILIES if form == "onnx" else set(ARCHITECTURES)))
    ]
    return [*tried, ("torch", "mamba")]


def write(runtime: str, model_type: str, head: str, folders: dict[str, Path], target: Path) -> None:
    """Write a tiny model and its artifact, whose logits are compared with its own, three texts padded and each alone;
    then load it with the runtime and compare these too."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    write_model(model_type, head, folders["gpt2" if model_type in DECODERS else "bert"], target / "model")
    model, tokenizer = load_checkpoint(target / "model", head)
    assert tokenizer is not None
    tokens = encode(Examples(TEXTS), tokenizer, 64)
    together, alone = tokens.batch(range(3)), [tokens.batch([i]) for i in range(3)]
    parts = compose_parts(f"runtime={runtime}")
    (target / "artifact").mkdir()
    examples, prune = [together, *alone], NoPrune(name="none")
    write_artifact(
        Trained(model, tokenizer, head),
        Compression(prune, parts.quant, parts.runtime.file_format),
        [],
        examples,
        target / "artifact",
    )
    if head != HEAD or model_type == "bitnet":  # transformers has no classifier of BitNet
        return
    parts.runtime.start(target / "artifact", CPU)
    loaded = parts.runtime.load(target / "artifact", CPU)
    theirs = AutoModelForSequenceClassification.from_pretrained(target / "model").eval()
    theirs.config.pad_token_id = tokenizer.pad_token_id
    side = tokenizer.padding_side
    words = AutoTokenizer.from_pretrained(target / "model")
    words.pad_token, words.padding_side = tokenizer.pad_token, side
    for texts, batch in [(TEXTS, together), *zip([(text,) for text in TEXTS], alone, strict=True)]:
        inputs = words(list(texts), padding=True, return_tensors="pt")
        given = {name: inputs[name] for name in tokenizer.model_input_names}
        expected = theirs(**given).logits.detach().numpy()
        assert np.allclose(loaded(batch), expected, atol=1e-3 * max(1.0, np.abs(expected).max()))


@pytest.fixture
def folders(tiny_bert: Path, tiny_gpt2: Path) -> dict[str, Path]:
    return {"bert": tiny_bert, "gpt2": tiny_gpt2}


@pytest.mark.parametrize(("runtime", "model_type"), cases())
def test_a_runtime_answers_as_transformers_does(
    runtime: str, model_type: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    write(runtime, model_type, "causal_lm" if model_type == "mamba" else HEAD, folders, tmp_path)


@pytest.mark.parametrize(
    ("runtime", "model_type"),
    [("openvino", name) for name in sorted(REFUSED["openvino"] - {"mamba"})] + [("onnxruntime", "longformer")],
)
def test_an_architecture_that_a_runtime_cannot_execute_is_refused_in_one_line(
    runtime: str, model_type: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    level = logging.getLogger().level
    with pytest.raises(UserError, match=r"(OpenVINO|ONNX Runtime) .*; choose another runtime"):
        write(runtime, model_type, HEAD, folders, tmp_path)
    assert logging.getLogger().level == level, "what others log afterwards is still seen"


@pytest.mark.parametrize("model_type", ["mistral", "gemma3_text"])
def test_a_window_that_padding_exceeds_is_refused_on_openvino(
    model_type: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="OpenVINO computes NaN or infinity where this checkpoint does not"):
        write("openvino", model_type, HEAD, folders, tmp_path)


@pytest.mark.parametrize(("runtime", "model_type"), [("openvino", "bloom"), ("onnxruntime", "openai-gpt")])
def test_a_decoder_without_a_cache_scores_texts(
    runtime: str, model_type: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    write(runtime, model_type, "causal_lm", folders, tmp_path)
    assert not can_generate(tmp_path / "artifact", compose_parts(f"runtime={runtime}").runtime)


@pytest.mark.parametrize("model_type", ["fnet", "mobilebert"])
def test_an_architecture_whose_answer_depends_on_padding_is_refused(
    model_type: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"{model_type} answers otherwise to a padded text than to the same text alone"):
        write("torch", model_type, HEAD, folders, tmp_path)


def test_a_checkpoint_that_fails_in_transformers_is_refused_and_a_defect_of_our_own_is_not(
    tiny_bert: Path,
) -> None:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert, chunk_size_feed_forward=7).eval()
    ids = np.full((1, 10), 5)
    texts = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    with pytest.raises(UserError, match=r"this checkpoint of bert fails in transformers .* the chunk size 7"):
        reference_answers(model, [texts])
    with pytest.raises(AttributeError):
        reference_answers(model, [None])  # type: ignore[list-item]


def test_there_are_so_many_architectures() -> None:
    assert len(TRIED["safetensors"] & set(ARCHITECTURES)) >= 25
