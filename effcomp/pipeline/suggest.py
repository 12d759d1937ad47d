"""Suggestions for a command that Hydra cannot compose."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import OmegaConf

from effcomp.core.packages import CONF

HELP = "(--help shows the groups, --cfg job every setting)"
FOLDERS = {"model": "model.path", "task": "task.data_dir"}
"""Settings that take a folder, by the group that a folder may be given to by mistake."""
SIGN = re.compile(r"mismatched input '(.+?)'")
"""Pattern of Hydra's message about a character of its grammar."""
OPTION = re.compile(r"--[a-z]+[a-z-]*")
NOT_SET = {"defaults", "_target_", "name"}


def explain(error: Exception) -> str:
    """Return Hydra's fault of the command, and the fix."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, choice = asked(error.missing_cfg_file)
        if group in FOLDERS and ("/" in choice or Path(choice).is_dir()):
            return f"{group}={choice}: a folder is no choice; write {FOLDERS[group]}={choice}"
        more = "; joblib, ray and submitit_slurm: pip install 'effcomp[cluster]'" if group == "hydra/launcher" else ""
        return f"{group}={choice}: there is no such choice; choose one of: {', '.join(sorted(error.options))}{more}"
    if isinstance(error, OSError) and error.errno is not None:  # that of Hydra, about a missing config, has none
        return f"{error.filename or 'hydra.run.dir'}: {error.strerror}; give another folder, or make room in this one"
    if "INTERVAL_SWEEP" in str(error):
        return "interval(...) is drawn from by a search: add hydra/sweeper=optuna, or give choices, a,b,c"
    if ambiguous := re.match(r"Ambiguous value for argument '([^=]+)=(.*)'\n", str(error)):
        key, value = ambiguous.groups()
        listed = "" if (CONF / key).is_dir() else f"; for one list write {key}=[{value}]"
        return f"{key}={value}: for a sweep over these add -m{listed}"
    if missing := re.match(r"Could not override '([\w.]+)'", str(error)):
        key = missing.group(1)
        return f"{key}: {suggestion(key, CONF) or f'there is no such setting {HELP}'}"
    if isinstance(error, OverrideParseException) and "=" in error.override:
        key, _, value = error.override.partition("=")
        return f"{key}={value}: {unfinished(value) or of_its_own(key, value, str(error))}"
    reason = str(error).partition("To append to your config")[0].partition("See https")[0].strip()
    return f"{reason} {HELP}"


def unfinished(value: str) -> str | None:
    """Return the message for a value that ends with a comma or in an open bracket; None for any other."""
    if value.endswith(","):
        return "it ends with a comma; remove the comma, or write another value after it"
    if unclosed := [opening for opening, closing in ("[]", "{}", "()") if value.count(opening) > value.count(closing)]:
        return f"its {unclosed[0]} is never closed; close it, or quote the value where the bracket belongs to it"
    return None


def of_its_own(key: str, value: str, reason: str) -> str:
    """Return the message for a character that has a meaning in Hydra's grammar, which `reason` may quote."""
    sign = found.group(1).strip() if (found := SIGN.search(reason)) else "a character of it"
    return f"Hydra reads {sign} as a sign of its own; quote the value: '{key}=\"{value}\"'"


def asked(missing: str) -> tuple[str, str]:
    """Return the group and the choice of a config that is not there: `model//a/b`, `hydra/launcher/x`."""
    if missing.startswith("hydra/"):
        group, _, choice = missing.rpartition("/")
    else:
        group, _, choice = missing.partition("/")
    return group, choice


def suggestion(key: str, conf: Path) -> str | None:
    """Return the fix for `quant.activations` where the choice of quant has no such setting, or for a misspelt name;
    None where the folder of configs has nothing similar."""
    group, _, name = key.partition(".")
    if not name:
        if (conf / key).is_dir():
            return f"no choice of it is made yet, so add one with a plus: +{key}=NAME"
        if places := places_of(key, conf):
            return f"there is no such setting; did you mean {' or '.join(places)}?"
        known = {*names_in(conf / "config.yaml"), *(folder.name for folder in conf.iterdir() if folder.is_dir())}
        return nearest("", group, known)
    setting = name.partition(".")[0]
    if any(read(file).get(setting) == {} for file in (conf / group).glob("*.yaml")):
        return f"the names in it are your own; add each with a plus: +{group}.{setting}.NAME=VALUE"
    by_choice = {file.stem: names_in(file) for file in sorted((conf / group).glob("*.yaml")) if file.stem != "none"}
    if having := [choice for choice, names in by_choice.items() if name in names]:
        verb = "has" if len(having) == 1 else "have"
        return f"only {group}={', '.join(having)} {verb} this setting; choose nothing else with it, or leave it out"
    return nearest(f"{group}.", name, {one for names in by_choice.values() for one in names})


def places_of(name: str, conf: Path) -> list[str]:
    """Return the settings of this name within the groups: `finetune.epochs` for `epochs`."""
    groups = sorted(
        folder for folder in conf.iterdir() if folder.is_dir() and folder.name not in {"hydra", "experiment"}
    )
    return [f"{group.name}.{name}" for group in groups if any(name in names_in(file) for file in group.glob("*.yaml"))]


def wrong_option(message: str, options: str) -> str:
    """Return argparse's fault of the options, and the fix.

    Args:
        options: text that names those that there are.
    """
    from effcomp.report.__main__ import parser as report_parser

    unknown = message.removeprefix("unrecognized arguments: ")
    if unknown == message:
        return f"{message}; --help lists the options"
    word = unknown.split()[0]
    option = word.partition("=")[0]
    if option in OPTION.findall(report_parser().format_usage()):
        return f"{word}: an option of effcomp report, which compares finished runs: run it after this command"
    meant = [f"did you mean {near}?" for near in get_close_matches(option, OPTION.findall(options), n=1, cutoff=0.8)]
    return " ".join([f"{word}: there is no such option;", *meant, "--help lists the options"])


def not_utf8(word: str) -> str | None:
    """Return the message for an override with bytes that are not UTF-8, as old file systems have in their names; None
    for any other word."""
    try:
        word.encode()
    except UnicodeEncodeError as error:
        return f"{word}: {word[error.start]!a} is a byte that is not UTF-8; give the file or folder another name"
    return None


def several_choices(word: str) -> str | None:
    """Return the message for a list where a group takes one choice, `quant=[none,nf4]`; None for any other word."""
    listed = re.fullmatch(r"(\w+)=\[(.*,.*)\]", word)
    if listed is None or not (CONF / listed[1]).is_dir():
        return None
    return f"{word}: {listed[1]} takes one choice; for a sweep write -m {listed[1]}={listed[2]}"


def nearest(prefix: str, name: str, known: set[str]) -> str | None:
    near = get_close_matches(name, known, n=1)
    return f"there is no such setting; did you mean {prefix}{near[0]}?" if near else None


def names_in(file: Path) -> set[str]:
    """Return the names in a config, with those of the files that it is based on."""
    content = read(file)
    based_on = [
        base for base in content.get("defaults", []) if isinstance(base, str) and not {"@", "_self_"} & {base, *base}
    ]
    own = {str(name) for name in content} - NOT_SET
    return own.union(*(names_in(file.with_name(f"{base}.yaml")) for base in based_on))


def read(file: Path) -> dict[Any, Any]:
    """Return a config as plain values; interpolations stay text."""
    content = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(content, dict)
    return content
