"""Suggestions for a setting that does not exist."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from effcomp.core.packages import CONF
from effcomp.pipeline.suggest import explain, names_in, suggestion


def test_a_config_has_the_settings_of_the_one_it_is_based_on() -> None:
    assert {"rank", "epochs", "learning_rate"} <= names_in(CONF / "finetune/lora.yaml")
    assert "name" not in names_in(CONF / "finetune/lora.yaml")


def test_a_setting_of_other_choices_is_said_with_them() -> None:
    assert suggestion("quant.activations", CONF) == (
        "only quant=int8_scratch has this setting; choose nothing else with it, or leave it out"
    )
    assert (suggestion("finetune.rank", CONF) or "").startswith("only finetune=int8, lora, qlora have this setting;")


def test_a_slip_is_set_right_within_its_group() -> None:
    assert suggestion("bench.tunrs", CONF) == "there is no such setting; did you mean bench.turns?"
    assert suggestion("seeds", CONF) == "there is no such setting; did you mean seed?"
    assert suggestion("modle", CONF) == "there is no such setting; did you mean model?"


def test_nothing_is_made_up() -> None:
    assert [suggestion(key, CONF) for key in ("nosuch", "nosuch.turns", "quant.nosuch", "prune.recovery.epochs")] == (
        [None] * 4
    )


def test_a_folder_that_cannot_be_made_is_named() -> None:
    assert explain(OSError(30, "Read-only file system", "multirun")).startswith("multirun: Read-only file system; give")
    assert explain(OSError(28, "No space left on device")).startswith("hydra.run.dir: No space left on device; give")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (
            "model.path=/my/models (2)",
            "Hydra reads ( as a sign of its own; quote the value: 'model.path=\"/my/models (2)\"'",
        ),
        ("model.path=/my/a=b", "Hydra reads = as a sign of its own; quote the value: 'model.path=\"/my/a=b\"'"),
        ("model.path=~other/models", "quote the value: 'model.path=\"~other/models\"'"),
        ("model=/my/models", "model=/my/models: a folder is no choice; write model.path=/my/models"),
        ("task=data/mine", "task=data/mine: a folder is no choice; write task.data_dir=data/mine"),
        ("quant=nf4,bf16", "quant=nf4,bf16: for a sweep over these add -m"),
        ("seed=1,2", "seed=1,2: for a sweep over these add -m; for one list write seed=[1,2]"),
    ],
)
def test_what_hydra_cannot_read_is_said_with_the_fix(typed: str, words: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(HydraException) as caught:
        compose("config", overrides=[typed])
    assert explain(caught.value).endswith(words)
