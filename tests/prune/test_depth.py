"""Depth pruning: the layer that changes nothing goes, and what is left is a model that transformers loads."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from effcomp.core.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.depth import keep_layers, layers_of
from effcomp.models.heads import Head
from effcomp.models.linear import matrix
from effcomp.prune.depth import Depth
from effcomp.prune.layer_importance import ready
from tests.conftest import compose_parts
from tests.prune.test_structured import CASES, CLASSIFIER, setup_for

LAST = {"bert": "output.dense", "distilbert": "ffn.lin2", "gpt2": "mlp.c_proj", "gpt_neo": "mlp.c_proj"}
OUTPUT = {"bert": "attention.output.dense", "distilbert": "attention.out_lin", "gpt2": "attn.c_proj"}
OUTPUT |= {"gpt_neo": "attn.attention.out_proj"}


def depth(*settings: str) -> Depth:
    prune = compose_parts("prune=depth", *settings).prune
    assert isinstance(prune, Depth)
    return prune


@pytest.mark.parametrize(("fixture", "head"), CASES)
def test_the_layer_that_changes_nothing_goes(
    fixture: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for(fixture, head, request, tmp_path)
    kind = setup.model.config.model_type
    useless, useful = layers_of(setup.model)
    with torch.no_grad():  # what it adds to its input is nothing
        for path in (LAST.get(kind, "mlp.down_proj"), OUTPUT.get(kind, "self_attn.o_proj")):
            layer = useless.get_submodule(path)
            matrix(layer)[:] = 0
            if layer.bias is not None:
                layer.bias[:] = 0
    ids = {"input_ids": torch.arange(6, 14)[None], "attention_mask": torch.ones(1, 8, dtype=torch.int64)}
    with torch.no_grad():
        before = setup.model.eval()(**ids).logits
    depth("prune.importance=block_influence", "prune.samples=20").apply(setup, 1.0)
    assert list(layers_of(setup.model)) == [useful]
    assert setup.model.config.num_hidden_layers == 1
    with torch.no_grad():
        after = setup.model(**ids).logits
    if "bert" not in kind:  # a layer of these ends in a normalization, which changes what it reads
        assert torch.allclose(before, after, atol=1e-4)


@pytest.mark.parametrize(("fixture", "head"), [CASES[0], CASES[2]])
def test_by_loss_the_layer_stays_that_predicts_better_alone(
    fixture: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for(fixture, head, request, tmp_path)
    layers, losses = list(layers_of(setup.model)), []
    for index in (0, 1):
        alone = replace(setup, model=deepcopy(setup.model))
        keep_layers(alone.model, [index])
        model, batches = ready(alone, 20)
        with torch.no_grad():
            losses.append(sum(float(model(**batch).loss) * len(batch["input_ids"]) for batch in batches))
    depth("prune.importance=loss", "prune.samples=20").apply(setup, 1.0)
    assert list(layers_of(setup.model)) == [layers[losses.index(min(losses))]]


@pytest.mark.parametrize(("fixture", "head"), CASES[:4])
def test_what_is_left_loads_as_any_other_folder(
    fixture: str, head: Head, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    setup = setup_for(fixture, head, request, tmp_path)
    depth("prune.samples=20").apply(setup, 1.0)
    setup.model.eval().save_pretrained(tmp_path / "shorter")
    published = AutoModelForSequenceClassification if head == CLASSIFIER else AutoModelForCausalLM
    ids = {"input_ids": torch.arange(6, 14)[None], "attention_mask": torch.ones(1, 8, dtype=torch.int64)}
    with torch.no_grad():
        expected = setup.model(**ids).logits
        ours, theirs = load_checkpoint(tmp_path / "shorter", head)[0], published.from_pretrained(tmp_path / "shorter")
        assert torch.equal(ours.eval()(**ids).logits, expected)
        assert torch.allclose(theirs.eval()(**ids).logits, expected, atol=1e-5)
        if head != CLASSIFIER:  # its layers find their own places in a cache
            written = ours.generate(**ids, max_new_tokens=4, do_sample=False, pad_token_id=0, eos_token_id=None)
            assert written.shape == (1, 12)


@pytest.mark.parametrize("ratio", [0.1, 0.9])
def test_no_layer_or_all_of_them_are_refused(ratio: float, tiny_bert: Path) -> None:
    config = load_checkpoint(tiny_bert, CLASSIFIER)[0].config
    with pytest.raises(UserError, match=f"prune.ratio={ratio} removes . of 2 layers; give 0.50"):
        depth(f"prune.ratio={ratio}").check_config(config)
