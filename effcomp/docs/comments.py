"""Generator of the comments in conf/:  python -m effcomp.docs.comments

A setting's comment is the first sentence of its field's docstring, with the values that it takes where the line has
room. It stands after the value, or above it where the line would be too long. The head of a file is written by hand.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from effcomp.core.packages import CONF
from effcomp.pipeline.compose import GROUPS
from effcomp.pipeline.settings import Setting, describe_choices, own_settings

LINE_WIDTH = 120
ALIGNED_WIDTH = 32
"""Longest value, with its key, that moves the comments of a file to the right."""
KEY = re.compile(r"(?P<text>(?P<indent> *)(?P<key>\w+):.*?)(\s+#.*)?")
SENTENCE = re.compile(r"(.+?)(?<!et al)\.( |$)")


def configs() -> Iterator[tuple[Path, str]]:
    """Yield the files of conf/ that hold settings, each with the text that it should have."""
    settings = {CONF / "config.yaml": {one.key: one for one in own_settings()}}
    for group in GROUPS:
        for name, choice in describe_choices(group).items():
            settings[CONF / group / f"{name}.yaml"] = {
                one.key.removeprefix(f"{group}."): one for one in choice.settings
            }
    for file, of_file in settings.items():
        yield file, commented(file.read_text(), of_file)


def commented(text: str, settings: Mapping[str, Setting]) -> str:
    """Return a config with the comments of its settings.

    Args:
        settings: by their paths in the config, `metrics.encoder`.
    """
    lines = list[tuple[str, Setting | None]]()
    path = list[tuple[int, str]]()
    for line in text.splitlines():
        setting = None
        if found := KEY.fullmatch(line):
            indent = len(found["indent"])
            path = [*(outer for outer in path if outer[0] < indent), (indent, found["key"])]
            setting = settings.get(".".join(key for _, key in path))
        if found and setting:
            line = found["text"]
            while lines[-1][0].lstrip().startswith("#"):  # its comment, which was too long to stand after it
                lines.pop()
        lines.append((line, setting))
    column = max((len(line) for line, setting in lines if setting and len(line) <= ALIGNED_WIDTH), default=0)
    return "".join(f"{explained(line, setting, column) if setting else line}\n" for line, setting in lines)


def explained(line: str, setting: Setting, column: int) -> str:
    """Return the line of a setting with its comment, which begins two columns after this one where it can."""
    found = SENTENCE.match(setting.meaning)
    assert found, f"{setting.key} has no sentence: {setting.meaning}"
    with_values = f"{line:<{column}}  # {found[1]} ({setting.values})"
    if setting.values.startswith("`") and len(with_values) <= LINE_WIDTH:
        return with_values
    after = f"{line:<{column}}  # {found[1]}"
    if len(after) <= LINE_WIDTH:
        return after
    indent = len(line) - len(line.lstrip())
    return f"{' ' * indent}# {found[1]}\n{line}"


if __name__ == "__main__":
    for file, text in configs():
        file.write_text(text)
