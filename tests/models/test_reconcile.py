"""Facts that two files of a checkpoint state differently: each is reconciled by its rule."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import longest_sequence
from tests.models.conftest import LABELS, model
from tests.small_artifacts import write_small
from tests.tiny_models import GROUPED, changed, write_decoder

HEAD = "sequence_classification"


def test_two_matrices_that_the_config_ties_stay_two_in_checkpoint_and_artifact(tiny_gpt2: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, LlamaForCausalLM

    from effcomp.artifact.folder import load_artifact

    write_decoder(LlamaForCausalLM, tiny_gpt2, tmp_path / "two", **GROUPED | {"tie_word_embeddings": False})
    wrong = changed(tmp_path / "two", tmp_path / "said_tied", tie_word_embeddings=True)
    ids = torch.tensor([[5, 9, 200, 31]])
    with torch.no_grad():
        right = AutoModelForCausalLM.from_pretrained(wrong).eval()(ids).logits
        ours = load_checkpoint(wrong, "causal_lm")[0]
        ours.save_pretrained(tmp_path / "again")
        again = load_checkpoint(tmp_path / "again", "causal_lm")[0].eval()(ids).logits
        loaded = load_artifact(write_small(wrong, tmp_path / "artifact", "causal_lm"))(ids).logits
    assert "lm_head.weight" in load_file(tmp_path / "artifact" / "model.safetensors")
    assert torch.equal(again, right)
    assert torch.equal(loaded, right)


def test_a_masked_model_whose_matrices_differ_keeps_its_bias(tiny_distilbert: Path, tmp_path: Path) -> None:
    from effcomp.artifact.folder import load_artifact

    built = load_checkpoint(tiny_distilbert, "masked_lm")[0]
    built.config.tie_word_embeddings = False
    built.vocab_projector.weight = torch.nn.Parameter(torch.randn_like(built.vocab_projector.weight))
    built.save_pretrained(tmp_path / "two")
    for file in tiny_distilbert.glob("tokenizer*"):
        shutil.copy(file, tmp_path / "two")
    wrong = changed(tmp_path / "two", tmp_path / "said_tied", tie_word_embeddings=True)
    ids = torch.tensor([[2, 9, 20, 3]])
    with torch.no_grad():
        loaded = load_artifact(write_small(wrong, tmp_path / "artifact", "masked_lm"))(ids).logits
        assert torch.equal(loaded, built.eval()(ids).logits)


@pytest.mark.parametrize("pad", [-1, 0, None])
def test_a_decoder_classifies_by_the_last_token_that_the_tokenizer_did_not_pad(
    pad: int | None, tiny_llama: Path, tmp_path: Path, store: Store
) -> None:
    folder = changed(tiny_llama, tmp_path / "llama", pad_token_id=pad)
    built, tokenizer = model(folder).build(HEAD, LABELS, 0, store, as_it_is=False), model(folder).tokenizer(store)
    assert tokenizer is not None
    assert built.config.pad_token_id == tokenizer.pad_token_id
    texts = ["a film", "a long and winding film about a river"]
    with torch.no_grad():
        together = built.eval()(**tokenizer(texts, padding=True, return_tensors="pt")).logits
        alone = torch.cat([built(**tokenizer(text, return_tensors="pt")).logits for text in texts])
    assert torch.allclose(together, alone, atol=1e-5)


def test_positions_that_follow_the_pad_id_are_counted_and_padded_with_it(tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, RobertaConfig, RobertaForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)  # it pads with 0
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        pad_token_id=1,
    )
    RobertaForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    built, reconciled = load_checkpoint(tmp_path, HEAD)
    assert (built.config.pad_token_id, reconciled.pad_token_id) == (1, 1)
    longest = longest_sequence(built.config.to_dict())
    assert longest == 64
    built(torch.full((1, longest), 7))
    with pytest.raises((IndexError, RuntimeError)):
        built(torch.full((1, longest + 1), 7))
    for number in (None, -1, 10**6):
        other = changed(tmp_path, tmp_path.parent / f"pad {number}", pad_token_id=number)
        with pytest.raises(UserError, match=f"has the pad_token_id {number}, which its tokenizer does not have"):
            model(other).check(HEAD, as_it_is=False)
    published = {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    assert longest_sequence(published) == 512


def test_a_table_of_positions_keeps_its_zeros_where_the_config_has_the_pad_id(
    tiny_llama: Path, tmp_path: Path, store: Store
) -> None:
    from transformers import AutoTokenizer, XGLMConfig, XGLMForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    pad = tokenizer.pad_token_id + 4 if tokenizer.pad_token_id is not None else 4
    fields = {"d_model": 32, "num_layers": 1, "attention_heads": 2, "ffn_dim": 64, "pad_token_id": pad}
    published = XGLMForCausalLM(XGLMConfig(vocab_size=len(tokenizer), **fields)).eval()
    published.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    built = model(tmp_path).build("causal_lm", (), 0, store, as_it_is=True).eval()
    with torch.no_grad():
        assert torch.equal(
            built(torch.tensor([[5, 6, 7, 8, 9]])).logits, published(torch.tensor([[5, 6, 7, 8, 9]])).logits
        )


def test_an_architecture_that_classifies_by_its_last_position_is_padded_on_the_left(
    tiny_bert: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, XLNetConfig, XLNetForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    config = XLNetConfig(vocab_size=len(tokenizer), d_model=32, n_layer=1, n_head=2, d_inner=64)
    XLNetForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load_checkpoint(tmp_path, HEAD)[1].padding_side == "left"


@pytest.mark.parametrize(
    "asked",
    [{"return_dict": False, "chunk_size_feed_forward": 7}, {"output_attentions": True, "output_hidden_states": True}],
)
def test_fields_that_ask_for_other_answers_than_logits_change_nothing(
    asked: dict[str, Any], tiny_bert: Path, tmp_path: Path, store: Store
) -> None:
    folder = changed(tiny_bert, tmp_path / "bert", **asked)
    model(folder).check(HEAD, as_it_is=False)
    built = model(folder).build(HEAD, LABELS, 0, store, as_it_is=False)
    built.save_pretrained(tmp_path / "again")
    assert list(built(torch.tensor([[2, 5, 3]]))) == ["logits"]


def test_padding_is_masked_whatever_the_tokenizer_says(tiny_bert: Path, tmp_path: Path, store: Store) -> None:
    file = changed(tiny_bert, tmp_path / "bert") / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_input_names": ["input_ids"]}))
    tokenizer = model(file.parent).tokenizer(store)
    assert tokenizer is not None
    assert tokenizer.model_input_names == ["input_ids", "attention_mask"]


@pytest.fixture
def classifier(tiny_bert: Path, tmp_path: Path, store: Store) -> Path:
    """A trained classifier of positive and negative, in this order."""
    folder = tmp_path / "classifier"
    model(tiny_bert).build(HEAD, ("Positive", "Negative"), 3, store, as_it_is=False).save_pretrained(folder)
    for file in tiny_bert.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


def test_a_models_own_labels_are_matched_by_name_whatever_their_order(classifier: Path, store: Store) -> None:
    assert model(classifier).labels_order(LABELS, store) == [1, 0]
    with pytest.raises(UserError, match="are Positive, Negative, those of the task bad, good"):
        model(classifier).labels_order(("bad", "good"), store)


def test_labels_that_are_numbers_in_the_config_are_names(classifier: Path, tmp_path: Path, store: Store) -> None:
    numbered = changed(classifier, tmp_path / "numbered", id2label={"0": 1, "1": 0})
    assert model(numbered).labels_order(("0", "1"), store) == [1, 0]


def test_labels_that_differ_in_case_alone_are_told_apart(classifier: Path, tmp_path: Path, store: Store) -> None:
    other = changed(classifier, tmp_path / "other", id2label={"0": "us", "1": "US"}, label2id={"us": 0, "US": 1})
    assert model(other).labels_order(("US", "us"), store) == [1, 0]
    with pytest.raises(UserError, match="are us, US, those of the task Us, us"):
        model(other).labels_order(("Us", "us"), store)


def test_two_numberings_of_the_labels_that_contradict_each_other_are_refused(
    classifier: Path, tmp_path: Path, store: Store
) -> None:
    other = changed(classifier, tmp_path / "other", label2id={"Positive": 1, "Negative": 0})
    with pytest.raises(UserError, match="Positive is class 0 in id2label and 1 in label2id of its config"):
        model(other).labels_order(LABELS, store)
    stale = changed(classifier, tmp_path / "stale", label2id={"LABEL_0": 0, "LABEL_1": 1})
    assert model(stale).labels_order(LABELS, store) == [1, 0], "only one of the two names the labels"


@pytest.mark.parametrize(
    ("fields", "order"),
    [
        ({"id2label": {"0": "Positive", "1": "Negative"}, "label2id": None}, [1, 0]),
        ({"label2id": {"Positive": "0", "Negative": "1"}}, [1, 0]),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"positive": 0, "negative": 1}}, [1, 0]),
    ],
    ids=["without label2id", "numbers as text", "named in label2id alone"],
)
def test_classes_are_named_by_whichever_of_the_two_names_them(
    fields: dict[str, Any], order: list[int], classifier: Path, tmp_path: Path, store: Store
) -> None:
    assert model(changed(classifier, tmp_path / "other", **fields)).labels_order(LABELS, store) == order


def test_classes_that_are_not_numbered_from_0_are_refused(classifier: Path, tmp_path: Path, store: Store) -> None:
    other = changed(classifier, tmp_path / "other", id2label={"1": "Positive", "2": "Negative"}, label2id=None)
    with pytest.raises(UserError, match="have the numbers 1, 2 in id2label of its config; number them from 0"):
        model(other).labels_order(LABELS, store)


def test_default_names_are_taken_by_position_after_saying_so(
    tiny_bert: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    assert model(tiny_bert).labels_order(LABELS, store) == [0, 1]
    assert "are taken for negative, positive by position" in caplog.text


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_a_head_for_another_problem_is_refused_as_it_is_and_trained_for_this_one(
    problem: str, classifier: Path, tmp_path: Path, store: Store
) -> None:
    other = model(changed(classifier, tmp_path / "other", problem_type=problem))
    with pytest.raises(UserError, match=problem.replace("_", " ")):
        other.labels_order(LABELS, store)
    built = other.build(HEAD, LABELS, 0, store, as_it_is=False)
    loss = built(torch.tensor([[2, 9, 3]]), labels=torch.tensor([1])).loss
    assert built.config.problem_type == "single_label_classification"
    assert loss.isfinite()


def test_a_head_of_another_number_of_labels_is_new(classifier: Path, store: Store) -> None:
    built = model(classifier).build(HEAD, ("a", "b", "c"), 0, store, as_it_is=False)
    assert built.classifier.weight.shape[0] == 3
