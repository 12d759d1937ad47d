"""Settings in lines that a terminal shows: `quant.block_size=64  Weights that share a scale; ... (`64` or `128`)`."""

from textwrap import fill
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from effcomp.core.text import TEXT_WIDTH
from effcomp.pipeline.compose import GROUPS
from effcomp.pipeline.settings import Setting, own_settings_of, settings_of

if TYPE_CHECKING:
    from omegaconf import DictConfig


def explain_config(config: "DictConfig") -> str:
    """Return each group's choice in a composed config, with a line for each of its settings, and those outside."""
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    groups = [
        "\n".join([f"{group}={plain[group]['name']}", *map(line, settings_of(group, plain[group]))]) for group in GROUPS
    ]
    return "\n\n".join([*groups, "\n".join(["outside the groups", *map(line, own_settings_of(plain))])])


def line(setting: Setting) -> str:
    """Return a setting with its value, its meaning and the values that it takes."""
    values = f" ({setting.values})" if setting.values else ""
    return entry(f"{setting.key}={shown(setting.default)}", f"{setting.meaning}{values}")


def entry(name: str, meaning: str) -> str:
    """Return a name and its meaning, with the lines after the first indented."""
    return fill(f"  {name}  {meaning}", TEXT_WIDTH, subsequent_indent=" " * 6)


def shown(value: object) -> str:
    """Return a value as it is typed."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
