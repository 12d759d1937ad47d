"""The arithmetic of a call by hand, the bytes by the file, and rates that a machine can have."""

from pathlib import Path

import pytest
import torch

from effcomp.compress.artifact import write_artifact
from effcomp.compress.prune.base import NoPrune
from effcomp.device import Device
from effcomp.measure.floor import bytes_read, machine_rates, operations
from effcomp.models.base import load_checkpoint
from tests.conftest import compose_parts


def artifact(source: Path, folder: Path, head: str, quant: str) -> Path:
    folder.mkdir()
    model, tokenizer = load_checkpoint(source, head)
    write_artifact(model, tokenizer, head, NoPrune(name="none"), compose_parts(f"quant={quant}").quant, folder)
    return folder


def test_the_operations_of_a_bert_are_those_counted_by_hand(tiny_bert: Path, tmp_path: Path) -> None:
    folder = artifact(tiny_bert, tmp_path / "none", "sequence_classification", "none")
    rows, tokens, width, inner = 3, 20, 64, 128
    linear = rows * tokens * (4 * width * width + 2 * width * inner)
    attention = 2 * rows * tokens * tokens * width
    head = rows * (width * width + width * 2)
    assert operations(folder, (rows, tokens)) == 2 * (2 * (linear + attention) + head)


def test_a_number_format_does_not_change_the_arithmetic(tiny_bert: Path, tmp_path: Path) -> None:
    counts = {
        quant: operations(artifact(tiny_bert, tmp_path / quant, "sequence_classification", quant), (1, 10))
        for quant in ("none", "nf4", "int8_dynamic")
    }
    assert len(set(counts.values())) == 1


def test_embedding_tables_are_not_read_whole_but_a_head_that_is_one_is(
    tiny_bert: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    encoder = artifact(tiny_bert, tmp_path / "encoder", "sequence_classification", "none")
    model, _ = load_checkpoint(tiny_bert, "sequence_classification")
    tables = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Embedding))
    assert bytes_read(encoder) == 4 * (sum(p.numel() for p in model.parameters()) - tables)
    decoder = artifact(tiny_gpt2, tmp_path / "decoder", "causal_lm", "none")
    model, _ = load_checkpoint(tiny_gpt2, "causal_lm")
    positions = model.transformer.wpe.weight.numel()
    assert bytes_read(decoder) == 4 * (sum(p.numel() for p in model.parameters()) - positions)


@pytest.mark.parametrize("model", ["tiny_distilbert", "tiny_gpt2", "tiny_gptneo", "tiny_bitnet"])
def test_the_operations_of_every_family_grow_with_the_batch(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    head = "masked_lm" if model == "tiny_distilbert" else "causal_lm"
    folder = artifact(request.getfixturevalue(model), tmp_path / model, head, "none")
    assert 0 < 4 * operations(folder, (1, 8)) == operations(folder, (4, 8))


def test_fewer_bits_mean_fewer_bytes(tiny_bert: Path, tmp_path: Path) -> None:
    sizes = [
        bytes_read(artifact(tiny_bert, tmp_path / quant, "sequence_classification", quant))
        for quant in ("none", "bf16", "int8_dynamic")
    ]
    assert sizes[0] == 2 * sizes[1] > 2 * sizes[2]


def test_the_rates_of_this_machine_are_measured() -> None:
    rates = machine_rates(Device(name="cpu", kind="cpu", threads=1))
    assert set(rates) == {"float32", "bfloat16", "int8", "bytes_per_s"}
    assert all(1e9 < rate < 1e15 for rate in rates.values()), rates
