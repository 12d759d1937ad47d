"""Models of the Hub against a small server of our own: half-filled caches, shards, and what is no model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import hf_hub_download

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.models.base import Model
from effcomp.models.hub import file_names
from effcomp.pipeline.compose import pin
from effcomp.tasks.generation import GenerationTask
from tests.architectures import ENCODERS
from tests.conftest import compose_parts
from tests.hub_server import Fault, HubServer

NAME = "some/bert"
HEAD = "sequence_classification"


def on_hub(name: str) -> Model:
    file_names.cache_clear()
    parts = compose_parts("model=hub", f"model.repository={name}", "task=sst2")
    return parts.model.pinned()


def load_config_and_weights() -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(NAME)


def load_tokenizer() -> None:
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(NAME)


@pytest.mark.parametrize("other_program", [load_config_and_weights, load_tokenizer])
def test_what_another_program_left_out_is_fetched(
    other_program: Callable[[], None], hub: HubServer, tiny_bert: Path, tmp_path: Path
) -> None:
    hub.add("models", NAME, tiny_bert)
    other_program()
    had = {file.name for file in tmp_path.glob("cache/models--some--bert/snapshots/*/*")}
    assert had
    assert not {"config.json", "model.safetensors", "tokenizer.json"} <= had
    hub.asked.clear()
    bert = on_hub(NAME)
    bert.check(HEAD, as_it_is=False)
    tokenizer = bert.tokenizer(Store(tmp_path / "store"))
    assert tokenizer is not None
    assert len(tokenizer) > 60
    assert not [path for path in hub.asked for name in had if path.endswith(f"/{name}") and "/resolve/" in path]


@pytest.mark.parametrize("other_program", [load_config_and_weights, load_tokenizer])
def test_half_a_model_is_refused_when_the_hub_is_down(
    other_program: Callable[[], None], hub: HubServer, tiny_bert: Path
) -> None:
    hub.add("models", NAME, tiny_bert)
    other_program()
    hub.fault = Fault("status", code=503)
    with pytest.raises(UserError, match="the model some/bert is not cached, and the Hugging Face Hub answers with an"):
        on_hub(NAME)


def test_a_whole_cache_is_enough_when_the_hub_is_down(hub: HubServer, tiny_bert: Path) -> None:
    hub.add("models", NAME, tiny_bert)
    bert = on_hub(NAME)
    bert.check(HEAD, as_it_is=False)
    file_names.cache_clear()
    hub.asked.clear()
    hub.fault = Fault("status", code=503)
    bert.check(HEAD, as_it_is=False)
    assert hub.asked == []


def test_a_model_without_tokenizer_is_refused_before_its_weights_arrive(
    hub: HubServer, tiny_bert: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bert, tmp_path / "model", ignore=shutil.ignore_patterns("tokenizer*", "vocab*"))
    hub.add("models", NAME, tmp_path / "model")
    with pytest.raises(UserError, match="has no tokenizer"):
        on_hub(NAME).check(HEAD, as_it_is=False)
    assert not [path for path in hub.asked if path.endswith(".safetensors")]


def test_shards_are_fetched_and_are_the_model(hub: HubServer, tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    whole = AutoModel.from_pretrained(tiny_bert)
    shutil.copytree(tiny_bert, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    whole.save_pretrained(tmp_path / "model", max_shard_size="100KB")
    assert len(list((tmp_path / "model").glob("model-*.safetensors"))) > 2
    hub.add("models", NAME, tmp_path / "model")
    model = on_hub(NAME)
    model.check(HEAD, as_it_is=False)
    built = model.build(HEAD, ("bad", "good"), 0, Store(tmp_path / "store"), as_it_is=False)
    expected = whole.state_dict()["embeddings.word_embeddings.weight"]
    assert torch.equal(built.state_dict()["bert.embeddings.word_embeddings.weight"], expected)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"model.gguf": b"GGUF"}, r"holds GGUF \(model\.gguf\), which is quantized already"),
        ({"pytorch_model.bin": b""}, r"has its weights as pickles alone \(pytorch_model\.bin\)"),
        ({}, r"has no \.safetensors file: give a model that has"),
    ],
    ids=["gguf", "pickle", "none"],
)
def test_weights_of_another_kind_are_named(
    files: dict[str, bytes], words: str, hub: HubServer, tiny_bert: Path, tmp_path: Path
) -> None:
    texts = {file.name: file.read_bytes() for file in tiny_bert.iterdir() if file.suffix != ".safetensors"}
    hub.add("models", NAME, texts | files)
    with pytest.raises(UserError, match=words):
        on_hub(NAME).check(HEAD, as_it_is=False)


def test_weights_that_are_not_finite_are_refused_before_any_training(
    hub: HubServer, tiny_bert: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_bert, tmp_path / "model")
    tensors = load_file(tmp_path / "model/model.safetensors")
    tensors["encoder.layer.0.output.dense.weight"][0, 0] = float("nan")
    save_file(tensors, tmp_path / "model/model.safetensors", metadata={"format": "pt"})
    hub.add("models", NAME, tmp_path / "model")
    with pytest.raises(UserError, match=r"some/bert.*encoder\.layer\.0\.output\.dense\.weight holds NaN or infinity"):
        on_hub(NAME).check(HEAD, as_it_is=False)


def test_another_repository_has_its_own_architecture(hub: HubServer, tiny_bert: Path, tmp_path: Path) -> None:
    hub.add("models", NAME, tiny_bert)
    bert = compose_parts(
        "model=distilbert", f"model.repository={NAME}", "model.revision=null", "task=sst2"
    ).model.pinned()
    bert.check(HEAD, as_it_is=False)
    assert bert.model_type == bert.config(Store(tmp_path / "store")).model_type == "bert"


def test_a_judge_of_the_hub_is_pinned_and_its_kind_found(hub: HubServer, tiny_gpt2: Path) -> None:
    hub.add("models", NAME, tiny_gpt2)
    overrides = ["model@task.metrics.judge=hub", f"task.metrics.judge.repository={NAME}"]
    overrides += ["task.metrics.scores=[rougeL,perplexity_judge]", "model=smollm2", "task=continuation"]
    parts = pin(compose_parts(*overrides))
    assert isinstance(parts.task, GenerationTask)
    parts.task.metrics.check()
    named = parts.config["task"]["metrics"]["judge"]
    assert (named["kind"], named["revision"]) == ("decoder", hub.commit("models", NAME))
    assert parts.config["task"]["source"]["name"] == "bbc_news_lm"


def test_what_another_program_has_cached_beside_it_is_no_part_of_a_model(
    hub: HubServer, tiny_bert: Path, tmp_path: Path
) -> None:
    files = {file.name: file.read_bytes() for file in tiny_bert.iterdir()}
    hub.add("models", NAME, {**files, "README.md": b"a model", "pytorch_model.bin": b"weights"})
    bert, store = on_hub(NAME), Store(tmp_path / "store")
    before = bert.identity(store)
    assert before["files"].keys() == files.keys()
    hf_hub_download(NAME, "README.md")
    hf_hub_download(NAME, "pytorch_model.bin")
    assert bert.identity(store) == before


def test_a_tokenizer_of_more_files_is_fetched_whole(hub: HubServer, tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaModel
    from transformers.models.bertweet.tokenization_bertweet import BertweetTokenizer

    (tmp_path / "vocab").write_text("fi@@ 9\nlm 9\nfilm 9\n")
    (tmp_path / "codes").write_text("l m</w> 9\nf i 9\nfi lm</w> 9\n")
    tokenizer = BertweetTokenizer(str(tmp_path / "vocab"), str(tmp_path / "codes"))
    tokenizer.save_pretrained(tmp_path / "tweets")
    shutil.copyfile(tmp_path / "codes", tmp_path / "tweets/bpe.codes")  # it saves them without their counts
    shape = ENCODERS["roberta"] | {"vocab_size": len(tokenizer), "tokenizer_class": "BertweetTokenizer"}
    RobertaModel(RobertaConfig(**shape)).save_pretrained(tmp_path / "tweets")
    hub.add("models", NAME, tmp_path / "tweets")
    tweets = on_hub(NAME)
    tweets.check(HEAD, as_it_is=False)
    found = tweets.tokenizer(Store(tmp_path / "store"))
    assert found is not None
    assert found("film fi")["input_ids"] == tokenizer("film fi")["input_ids"]


def test_an_adapter_alone_is_named(hub: HubServer) -> None:
    hub.add("models", NAME, {"adapter_config.json": json.dumps({"peft_type": "LORA"}).encode()})
    with pytest.raises(
        UserError, match=r"has no config\.json, so it is an adapter alone; add it to its model's weights"
    ):
        on_hub(NAME)


def test_an_adapter_beside_weights_is_not_left_out(hub: HubServer, tiny_bert: Path) -> None:
    files = {file.name: file.read_bytes() for file in tiny_bert.iterdir()}
    hub.add("models", NAME, {**files, "adapter_config.json": json.dumps({"peft_type": "LORA"}).encode()})
    with pytest.raises(UserError, match=r"some/bert holds an adapter beside its weights .*; add it to its model's"):
        on_hub(NAME)


def test_a_classifier_used_as_it_is_keeps_its_head_and_its_labels_by_name(
    hub: HubServer, tiny_bert: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    shutil.copytree(tiny_bert, tmp_path / "model")
    theirs = AutoModelForSequenceClassification.from_pretrained(
        tiny_bert, id2label={0: "Positive", 1: "Negative"}, label2id={"Positive": 0, "Negative": 1}
    )
    theirs.save_pretrained(tmp_path / "model")
    hub.add("models", NAME, tmp_path / "model")
    model, store = on_hub(NAME), Store(tmp_path / "store")
    model.check(HEAD, as_it_is=True)
    model.check_trained(HEAD, store)
    assert model.labels_order(("negative", "positive"), store) == [1, 0]
    built = model.build(HEAD, ("positive", "negative"), 0, store, as_it_is=True)
    assert torch.equal(built.classifier.weight, theirs.classifier.weight)
