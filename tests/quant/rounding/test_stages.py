"""Stages: layers that read the same input, with what they read in the rounded and in the float model."""

from pathlib import Path

import pytest
import torch

from effcomp.models.heads import Head
from effcomp.quant.rounding.stages import by_stage
from effcomp.quant.tensors import body_layers
from tests.quant.rounding.inputs import hidden_states, loaded, written

MODELS: list[tuple[str, Head, list[int]]] = [
    ("bert", "sequence_classification", [3, 1, 1, 1] * 2 + [1]),  # two transformer layers, and the pooler
    ("distilbert", "sequence_classification", [3, 1, 1, 1] * 2),
    ("albert", "sequence_classification", [1] * 8),  # of an architecture that is not known
    ("gpt2", "causal_lm", [1, 1, 1, 1] * 2),
    ("gpt_neo", "causal_lm", [3, 1, 1, 1] * 2),
    ("llama", "causal_lm", [3, 1, 2, 1] * 2),
]


@pytest.mark.parametrize(("model_type", "head", "sizes"), MODELS)
def test_stages_have_what_layers_read_in_both_models(
    model_type: str, head: Head, sizes: list[int], tiny_bert: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    batches = written(model_type, head, tiny_gpt2 if head == "causal_lm" else tiny_bert, tmp_path)[:5]
    model, float_model = loaded(tmp_path, head), loaded(tmp_path, head)
    layers, float_layers = body_layers(model), body_layers(float_model)
    found, before = [], hidden_states(model, batches)
    for names, moments, drift in by_stage(model, batches, layers):
        read, exact = {}, {}
        for inputs, of in ((read, layers[names[-1]]), (exact, float_layers[names[-1]])):
            of.register_forward_pre_hook(
                lambda _, x, inputs=inputs: inputs.setdefault("all", []).append(x[0].flatten(0, -2))
            )
        hidden_states(model, batches), hidden_states(float_model, batches)
        x, e = (torch.cat(one["all"]).double() for one in (read, exact))
        tolerance = {"rtol": 1e-3, "atol": 1e-3 * float(moments.abs().max())}
        if model_type == "albert" and found:
            assert not drift.any(), "all were summed before the first was changed"
        else:
            torch.testing.assert_close(moments, x.T @ x, **tolerance)
        if model_type != "albert" and "pooler" not in names[0]:
            torch.testing.assert_close(drift, (e - x).T @ x, **tolerance)
            assert bool(drift.any()) == bool(found), "only the first stage reads what it reads in the float model"
        for name in names:
            layers[name].weight.data *= 0.5
        found.append(names)
    assert [len(names) for names in found] == sizes
    assert sorted(name for names in found for name in names) == sorted(layers)
    assert not torch.allclose(hidden_states(model, batches), before)
