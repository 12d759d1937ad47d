"""Quantization-aware training: it learns, and the codes that are stored are those that were trained."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from effcomp.artifact.folder import load_artifact
from effcomp.core.errors import Skipped, UserError
from effcomp.finetune.base import read_curve
from effcomp.finetune.full import FullFinetune
from effcomp.models.base import load_checkpoint
from effcomp.pipeline.checks import check_trained_format
from effcomp.quant.tensors import body_layers
from tests.architectures import write_model
from tests.conftest import DATA, MOVIES, compose_parts
from tests.small_artifacts import write_small
from tests.training import new_setup, train

HEAD = "sequence_classification"
IDS = torch.arange(6, 22).reshape(2, 8)
FORMATS = [
    (["quant=int4", "quant.group_size=32"], 0.02),
    (["quant=int4", "quant.group_size=32", "quant.zero_point=true", "quant.embeddings=int4"], 0.02),
    (["quant=int3", "quant.group_size=64", "quant.embeddings=int8"], 0.02),
    (["quant=int2", "quant.group_size=16", "quant.zero_point=true"], 0.02),
    (["quant=int8_scratch"], 1e-4),
    (["quant=int8_scratch", "quant.granularity=per_tensor", "quant.activations=int8"], 0.01),
    (["quant=int8_dynamic"], 0.02),
    (["quant=ternary"], 0.01),
]
"""Settings of a format, and the largest difference of a logit that its kernels make, as a share of the logits' range:
bfloat16, or ties of rounded activations."""


def learning(parts_finetune: FullFinetune, source: Path, head: str, folder: Path) -> torch.Tensor:
    """Train all weights for three large steps with the format's roundings, and write the checkpoint; return the logits
    that the model in training had at the end."""
    torch.manual_seed(0)
    model, tokenizer = load_checkpoint(source, head)
    model = parts_finetune.adapt(model, head, "cpu").eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(3):
        logits = model(input_ids=IDS).logits
        logits.flatten(0, -2)[:, 0].sum().backward()
        optimizer.step()
    with torch.no_grad():
        logits = model(input_ids=IDS).logits
    parts_finetune.merge(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return logits


@pytest.mark.parametrize(("settings", "tolerance"), FORMATS)
@pytest.mark.parametrize("model", ["tiny_bert", "tiny_gpt2"])
def test_the_format_stores_what_was_trained(
    settings: Sequence[str], tolerance: float, model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    head = HEAD if model == "tiny_bert" else "causal_lm"
    check_stored(settings, tolerance, request.getfixturevalue(model), head, tmp_path)


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("gemma", ["quant=int8_scratch", "quant.granularity=per_tensor"]),
        ("gemma", ["quant=ternary", "quant.embeddings=int8"]),
        ("opt", ["quant=ternary", "quant.embeddings=int8"]),
    ],
)
def test_a_table_that_scales_its_rows_or_shifts_positions_is_rounded_as_it_is_stored(
    model_type: str, settings: Sequence[str], tiny_gpt2: Path, tmp_path: Path
) -> None:
    write_model(model_type, "causal_lm", tiny_gpt2, tmp_path / "model")
    check_stored(settings, 0.01, tmp_path / "model", "causal_lm", tmp_path)


def check_stored(settings: Sequence[str], tolerance: float, source: Path, head: str, tmp_path: Path) -> None:
    """The artifact answers as the model did that was trained with the roundings of its format."""
    quant = settings[0].removeprefix("quant=")
    finetune = compose_parts("finetune=qat", *settings).finetune
    assert isinstance(finetune, FullFinetune)
    trained = learning(finetune, source, head, tmp_path / "checkpoint")
    before, _ = load_checkpoint(source, head)
    after, _ = load_checkpoint(tmp_path / "checkpoint", head)
    moved = [(one - other).abs().max() for one, other in zip(before.parameters(), after.parameters(), strict=True)]
    assert max(moved) > 0.01
    folder = write_small(tmp_path / "checkpoint", tmp_path / "artifact", head, quant, settings=settings[1:])
    with torch.inference_mode():
        stored = load_artifact(folder)(input_ids=IDS).logits.float()
    assert (stored - trained).abs().max() <= tolerance * float(trained.max() - trained.min())


@pytest.mark.parametrize("model", ["tiny_bert", "tiny_gpt2"])
def test_it_learns_and_two_bits_hold_what_it_learned(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    parts = compose_parts(
        f"model={'gpt2' if model == 'tiny_gpt2' else 'minilm'}",
        f"model.path={request.getfixturevalue(model)}",
        f"task.data_dir={MOVIES}",
        "task.test_size=20",
        "finetune=ternary",
        "finetune.epochs=30",
        "finetune.learning_rate=2e-3",
        "finetune.batch_size=16",
    )
    train(parts, HEAD, tmp_path / "checkpoint")
    curve = read_curve(tmp_path / "checkpoint")
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]
    trained, tokenizer = load_checkpoint(tmp_path / "checkpoint", HEAD)
    folder = write_small(tmp_path / "checkpoint", tmp_path / "artifact", HEAD, "ternary")
    assert tokenizer is not None
    inputs = tokenizer(["a warm and funny film", "dull"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected, stored = trained.eval()(**inputs).logits, load_artifact(folder)(**inputs).logits
    assert (stored - expected).abs().max() < 0.05 * float(expected.abs().max()), "activations alone are rounded"
    for name, layer in body_layers(trained).items():
        assert layer.weight.unique().numel() <= 3, name


def test_a_model_that_is_ternary_already_is_refused(tiny_bitnet: Path) -> None:
    parts = compose_parts("finetune=ternary", "model=bitnet", f"model.path={tiny_bitnet}")
    with pytest.raises(UserError, match="ternary already; use finetune=full"):
        parts.finetune.check_model(parts.model)


def test_two_bits_learn_with_a_teacher(tiny_bert: Path, tmp_path: Path) -> None:
    small = [f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20", "finetune.epochs=20"]
    small += ["finetune.learning_rate=2e-3", "finetune.batch_size=16"]
    train(compose_parts(*small), HEAD, tmp_path / "teacher")
    two_bits = ["finetune=qat", "quant=int2", "quant.zero_point=true", f"finetune.teacher={tmp_path / 'teacher'}"]
    train(compose_parts(*small, *two_bits), HEAD, tmp_path / "student")
    curve = read_curve(tmp_path / "student")
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    student, _ = load_checkpoint(tmp_path / "student", HEAD)
    for name, layer in body_layers(student).items():
        groups = layer.weight.unflatten(1, (-1, 32)).flatten(0, 1)
        assert max(group.unique().numel() for group in groups) <= 4, name


def test_hidden_states_need_a_teacher() -> None:
    with pytest.raises(UserError, match=r"^finetune\.hidden_loss=1\.0 needs finetune\.teacher: give the folder"):
        compose_parts("finetune=qat", "quant=int4", "finetune.hidden_loss=1").finetune.check()
    recovery = ["prune=structured", "finetune@prune.recovery=ternary", "prune.recovery.hidden_loss=1"]
    parts = compose_parts(*recovery)
    with pytest.raises(UserError, match=r"^prune\.recovery\.hidden_loss=1\.0 needs prune\.recovery\.teacher: "):
        parts.prune.check(parts.model)


@pytest.mark.parametrize("method", ["qat", "ternary"])
def test_pruned_weights_stay_zero(method: str, tiny_gpt2: Path, tmp_path: Path) -> None:
    parts = compose_parts(
        *("model=gpt2", f"model.path={tiny_gpt2}", "task=wikitext2", f"task.data_dir={DATA / 'wikitext2'}"),
        *("quant=int4", "prune=l1_unstructured", "prune.ratio=0.5", f"finetune@prune.recovery={method}"),
        *("prune.recovery.epochs=1", "prune.recovery.learning_rate=1e-3"),
    )
    setup = new_setup(parts, "causal_lm", tmp_path / "dense")
    parts.prune.write(setup, tiny_gpt2, tmp_path / "pruned")
    before, after = load_checkpoint(tiny_gpt2, "causal_lm")[0], load_checkpoint(tmp_path / "pruned", "causal_lm")[0]
    parts.prune.apply(replace(setup, model=before), 0.5)
    for name, one in before.named_parameters():
        other = after.get_parameter(name)
        assert not other[one == 0].any(), name
        if one.ndim == 2 and (one == 0).any():
            assert not torch.equal(one, other), f"{name} was trained"


def test_the_checkpoint_of_one_format_is_not_that_of_another() -> None:
    settings = (["quant=int4"], ["quant=int4", "quant.group_size=64"], ["quant=int8_scratch"], ["quant=int2"])
    keys = [str(compose_parts("finetune=qat", *one).finetune.key()) for one in settings]
    assert len(set(keys)) == len(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["quant=none"],
            "does not train for quant=none; choose quant=int8_dynamic, ",
        ),
        (["quant=mixed"], "does not train for quant=mixed"),
        (["quant=int4", "quant.rounding=gptq"], r"quant\.rounding=gptq would choose other codes .*; use .*=nearest"),
        (["quant=int4", "runtime=openvino"], "runtime=openvino rounds quant=int4 on a grid of its own"),
        (["quant=int8_dynamic", "runtime=openvino"], "runtime=openvino rounds quant=int8_dynamic on a grid of its own"),
        (
            ["quant=nf4", "prune=structured", "finetune@prune.recovery=qat", "finetune=full"],
            "does not train for quant=nf4",
        ),
    ],
)
def test_a_format_that_cannot_be_trained_for_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(Skipped, match=message):
        check_trained_format(compose_parts("finetune=qat", *settings))
