"""A model from a package, a folder, or its architecture with random weights."""

from pathlib import Path

import pytest
import torch

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.models.base import Model, load_checkpoint
from tests.conftest import compose_parts

HEAD = "sequence_classification"


def model(*overrides: str) -> Model:
    return compose_parts(*overrides).model


def test_the_package_gives_a_classifier_with_named_labels(store: Store) -> None:
    built = model().build(HEAD, ("bad", "good"), 0, store, as_it_is=False)
    assert sum(parameter.numel() for parameter in built.parameters()) == 22_713_986
    assert built.config.id2label == {0: "bad", 1: "good"}


def test_the_new_head_depends_on_the_seed_alone(tiny_bert: Path, store: Store) -> None:
    tiny = model(f"model.path={tiny_bert}")
    heads = [tiny.build(HEAD, ("a", "b"), seed, store, as_it_is=False).classifier.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_random_weights_are_not_those_of_the_folder(tiny_bert: Path, store: Store) -> None:
    random, saved = model(f"model.path={tiny_bert}", "model.weights=random"), model(f"model.path={tiny_bert}")
    words = [
        each.build(HEAD, ("a", "b"), 5, store, as_it_is=False).bert.embeddings.word_embeddings.weight
        for each in (random, saved)
    ]
    assert not torch.equal(*words)
    assert random.identity(store) != saved.identity(store)


def test_the_identity_follows_the_weights_and_the_tokenizer(tiny_bert: Path, tmp_path: Path, store: Store) -> None:
    built, tokenizer = load_checkpoint(tiny_bert, HEAD)
    built.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    copy, random = model(f"model.path={tmp_path}"), model(f"model.path={tmp_path}", "model.weights=random")
    first = copy.identity(store), random.identity(store)
    with torch.no_grad():
        built.classifier.bias.add_(1)
    built.save_pretrained(tmp_path)
    second = copy.identity(store), random.identity(store)
    assert first[0] != second[0]
    assert first[1] == second[1], "random weights do not depend on the saved ones"
    (tmp_path / "tokenizer.json").write_text((tmp_path / "tokenizer.json").read_text() + " ")
    assert second[1] != random.identity(store)


def test_a_folder_without_weights_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    with pytest.raises(UserError, match=r"has no \.safetensors"):
        model(f"model.path={tmp_path}").check(HEAD, as_it_is=False)


def test_a_model_that_is_not_trained_must_have_its_head_and_its_labels(
    tiny_bert: Path, tmp_path: Path, store: Store
) -> None:
    with pytest.raises(UserError, match=r"no weights for classifier\.bias, classifier\.weight"):
        model(f"model.path={tiny_bert}").build(HEAD, ("LABEL_0", "LABEL_1"), 0, store, as_it_is=True)
    model(f"model.path={tiny_bert}").build(HEAD, ("bad", "good"), 0, store, as_it_is=False).save_pretrained(tmp_path)
    ready = model(f"model.path={tmp_path}")
    assert ready.config(store).id2label == {0: "bad", 1: "good"}
    with pytest.raises(UserError, match="those of the task dull, good"):
        ready.labels_order(("dull", "good"), store)
    with pytest.raises(UserError, match=r"model=minilm has no weights for cls.*finetune=full"):
        model("model=minilm").check_trained("masked_lm", store)


@pytest.mark.parametrize("name", ["distilbert", "distilbert_multilingual", "gpt2", "gptneo", "bitnet", "bitnet_packed"])
def test_an_architecture_is_the_published_one(name: str, store: Store) -> None:
    """The parameters of the published models, counted without making a weight."""
    from accelerate import init_empty_weights

    from effcomp.models.heads import HEADS, model_class

    random = model(f"model={name}", "model.weights=random")
    head = HEADS["language_modelling", random.kind]
    random.check(head, as_it_is=False)
    with init_empty_weights():
        config = random.config(store)
        built = model_class(head, config)(config)
    built.tie_weights()
    assert (
        sum(parameter.numel() for parameter in built.parameters())
        == {
            "distilbert": 66_985_530,
            "distilbert_multilingual": 135_445_755,
            "gpt2": 124_439_808,
            "gptneo": 2_651_307_520,
            "bitnet": 2_412_820_480,
            "bitnet_packed": 2_412_820_480,
        }[name]
    )


def test_a_gguf_is_converted_once_and_predicts_the_next_word(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    smollm2 = model("model=smollm2")
    smollm2.check_trained("causal_lm", store)
    built = smollm2.build("causal_lm", (), 0, store, as_it_is=True).eval()
    assert sum(parameter.numel() for parameter in built.parameters()) == 134_515_008
    tokenizer = smollm2.tokenizer(store)
    with torch.inference_mode():
        logits = built(**tokenizer("The capital of France is", return_tensors="pt")).logits[0, -1]
    assert tokenizer.decode(logits.argmax()) == " Paris"
    (folder,) = [entry for entry in (tmp_path / "store/converted").iterdir() if entry.is_dir()]
    assert smollm2.source(store) == folder


def test_a_model_of_the_hub_that_is_not_cached_is_refused_with_the_ways_on() -> None:
    with pytest.raises(UserError, match=r"bitnet.*HF_HUB_OFFLINE is set.*model\.path=FOLDER.*model\.weights=random"):
        model("model=bitnet").check("causal_lm", as_it_is=False)
