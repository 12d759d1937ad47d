"""A folder that does not hold the model that its config.json describes is refused, with the fault and the fix."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from effcomp.core.errors import UserError
from effcomp.core.store import Store
from effcomp.models.heads import empty_model
from tests.models.conftest import LABELS, model
from tests.tiny_models import changed

HEAD = "sequence_classification"


def test_fewer_layers_in_the_config_than_in_the_weights_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    folder = changed(tiny_bert, tmp_path / "bert", num_hidden_layers=1)
    with pytest.raises(UserError, match=r"encoder\.layer\.1\..*, a layer more than its config\.json has"):
        model(folder).check(HEAD, as_it_is=False)


def test_a_decoder_without_its_output_matrix_is_refused_where_it_is_not_tied(tiny_llama: Path, tmp_path: Path) -> None:
    folder = changed(tiny_llama, tmp_path / "llama", tie_word_embeddings=False)
    with pytest.raises(UserError, match=r"no weights for lm_head\.weight, and its config\.json does not tie"):
        model(folder).check("causal_lm", as_it_is=False)
    model(folder).check(HEAD, as_it_is=False)  # a classifier does not need it


def test_an_adapter_beside_the_weights_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    folder = changed(tiny_bert, tmp_path / "bert")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"an adapter beside its weights .*merge_and_unload"):
        model(folder).check(HEAD, as_it_is=False)


def test_a_folder_without_a_model_of_its_own_is_refused_with_what_it_holds(tiny_bert: Path, tmp_path: Path) -> None:
    changed(tiny_bert, tmp_path / "sentences" / "0_Transformer")
    with pytest.raises(UserError, match=r"no config\.json: give the folder of one model, say .*0_Transformer"):
        model(tmp_path / "sentences").check(HEAD, as_it_is=False)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"no config\.json: it holds an adapter alone; .*merge_and_unload"):
        model(tmp_path / "adapter").check(HEAD, as_it_is=False)


LEFT_OVER = [
    "encoder.layer.0.attention.self.query.lora_A.weight",
    "encoder.layer.0.attention.self.distance_embedding.weight",
    "encoder.rel_embeddings.weight",
    "embeddings.word_embeddings.bias",
]


@pytest.mark.parametrize("name", LEFT_OVER)
def test_a_weight_or_bias_of_the_body_that_transformers_does_not_read_is_refused(
    name: str, tiny_bert: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = changed(tiny_bert, tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    others = ("rotary.0.inv_freq", "encoder.layer.0.mask", "encoder.layer.0.attention.bias", "cls.predictions.bias")
    weights |= {other: torch.ones(2) for other in others}  # buffers, and another head
    save_file(weights, folder / "model.safetensors")
    model(folder).check(HEAD, as_it_is=False)
    save_file(weights | {name: torch.ones(2)}, folder / "model.safetensors")
    with pytest.raises(UserError, match=f"{re.escape(name)}, which transformers does not read"):
        model(folder).check(HEAD, as_it_is=False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"initializer_range": float("nan")}, r"its model cannot be built \(normal expects std"),
        ({"hidden_act": "nosuch"}, r"its model cannot be built \(no such name: 'nosuch'\)"),
    ],
)
def test_a_field_with_which_nothing_is_built_is_refused(
    fields: dict[str, Any], words: str, tiny_bert: Path, tmp_path: Path, store: Store
) -> None:
    broken = model(changed(tiny_bert, tmp_path / "bert", **fields))
    with pytest.raises(UserError, match=words):
        broken.check(HEAD, as_it_is=False)
        broken.build(HEAD, LABELS, 0, store, as_it_is=False)
    if "initializer_range" in fields:
        with pytest.raises(UserError, match=r"no model of bert can be built of its config\.json \(normal expects std"):
            empty_model(HEAD, broken.config(store))


def test_a_config_that_no_json_reader_takes_is_refused_with_the_reason(tiny_bert: Path, tmp_path: Path) -> None:
    file = changed(tiny_bert, tmp_path / "bert") / "config.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    with pytest.raises(UserError, match=r"its config\.json is no JSON \(Unexpected UTF-8 BOM"):
        model(file.parent).check(HEAD, as_it_is=False)


def test_a_token_without_an_embedding_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    file = changed(tiny_bert, tmp_path / "bert") / "tokenizer.json"
    fields = json.loads(file.read_text())
    words = fields["model"]["vocab"]
    words[list(words)[-1]] = 999
    file.write_text(json.dumps(fields))
    with pytest.raises(UserError, match="its tokenizer has the id 999, the model 68 tokens; give the model its own"):
        model(file.parent).check(HEAD, as_it_is=False)


def test_code_that_comes_with_a_model_is_said_not_to_run(
    tiny_bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = changed(tiny_bert, tmp_path / "own", auto_map={"AutoModel": "modeling_own.Own"})
    for _ in range(2):
        model(folder).check(HEAD, as_it_is=False)
    assert caplog.text.count("code of its own (auto_map), which is not run; what is measured is the bert") == 1


def test_weights_in_a_pickle_are_named(tiny_bert: Path, tmp_path: Path) -> None:
    folder = changed(tiny_bert, tmp_path / "bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"has its weights as pickles alone \(pytorch_model\.bin\), which can run code"):
        model(folder).check(HEAD, as_it_is=False)


def test_an_attention_that_is_not_there_is_refused_with_those_that_are(tiny_bert: Path, tmp_path: Path) -> None:
    folder = changed(tiny_bert, tmp_path / "bert", _attn_implementation="nosuch")
    with pytest.raises(UserError, match=r"its config\.json asks for the attention nosuch: write sdpa or eager there"):
        model(folder).check(HEAD, as_it_is=False)


def test_an_encoder_decoder_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    T5ForConditionalGeneration(
        T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    ).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"is an encoder-decoder \(t5\)"):
        model(tmp_path).check(HEAD, as_it_is=False)
