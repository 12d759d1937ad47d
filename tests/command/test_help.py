"""`effcomp help`: a setting, a choice, a group, and a word that is none of them."""

import pytest

from effcomp.command.help import meaning_of
from effcomp.core.errors import UserError
from effcomp.pipeline.settings import choice_names


def test_a_setting_has_its_meaning_its_values_and_its_defaults() -> None:
    text = meaning_of("quant.block_size")
    assert text.startswith("quant.block_size: Weights that share a scale")
    assert "`64` or `128`" in text
    assert "Default: 64 (quant=fp4, nf4)" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_choice_has_its_settings() -> None:
    text = meaning_of("quant=nf4")
    assert text.startswith("bitsandbytes 4-bit NormalFloat.")
    assert "quant.double_quant=true" in text


def test_a_group_has_its_choices() -> None:
    assert all(f"runtime={name}  " in meaning_of("runtime") for name in choice_names("runtime"))


def test_a_setting_outside_the_groups_is_explained() -> None:
    assert meaning_of("seed").startswith("seed: Seed of the training order")
    assert meaning_of("seed").endswith("Default: 0")


def test_a_sweeper_and_its_settings_are_explained() -> None:
    assert meaning_of("hydra.sweeper.trials") == (
        "hydra.sweeper.trials: number of configurations to measure.\nDefault: 20 (hydra/sweeper=optuna)"
    )
    assert "hydra.sweeper.budget_minutes=null  no look begins after that" in meaning_of("hydra/sweeper=find")


def test_a_misspelt_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean quant\.block_size\?"):
        meaning_of("quant.blok_size")
