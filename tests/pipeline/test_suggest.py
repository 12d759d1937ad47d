"""What a setting that is not there was meant to be."""

from effcomp.core.packages import CONF
from effcomp.pipeline.suggest import settings, suggestion


def test_a_config_has_the_settings_of_the_one_it_is_based_on() -> None:
    assert {"rank", "epochs", "learning_rate"} <= settings(CONF / "finetune/lora.yaml")
    assert "name" not in settings(CONF / "finetune/lora.yaml")


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
