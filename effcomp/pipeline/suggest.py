"""What may have been meant by a setting that is not there under the choices of a command."""

from difflib import get_close_matches
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

NOT_SET = {"defaults", "_target_", "name"}


def suggestion(key: str, conf: Path) -> str | None:
    """The way on from `quant.activations` where the choice of quant has no such setting, or from a misspelt name; None
    where nothing like it is in the folder of configs."""
    group, _, name = key.partition(".")
    if not name:
        known = {*settings(conf / "config.yaml"), *(folder.name for folder in conf.iterdir() if folder.is_dir())}
        return nearest("", group, known)
    by_choice = {file.stem: settings(file) for file in sorted((conf / group).glob("*.yaml")) if file.stem != "none"}
    if having := [choice for choice, names in by_choice.items() if name in names]:
        verb = "has" if len(having) == 1 else "have"
        return f"only {group}={', '.join(having)} {verb} this setting; choose nothing else with it, or leave it out"
    return nearest(f"{group}.", name, {one for names in by_choice.values() for one in names})


def nearest(prefix: str, name: str, known: set[str]) -> str | None:
    near = get_close_matches(name, known, n=1)
    return f"there is no such setting; did you mean {prefix}{near[0]}?" if near else None


def settings(file: Path) -> set[str]:
    """The names in a config, with those of the files that it is based on."""
    content = OmegaConf.load(file)
    assert isinstance(content, DictConfig)
    based_on = [base for base in content.get("defaults", []) if isinstance(base, str) and base != "_self_"]
    own = {str(name) for name in content} - NOT_SET
    return own.union(*(settings(file.with_name(f"{base}.yaml")) for base in based_on))
