"""Explain a setting, a choice or a group.

effcomp help quant.block_size         values, defaults and meaning
effcomp help quant=nf4                the choice, with its settings
effcomp help quant                    the choices of the group
"""

import argparse
from difflib import get_close_matches
from textwrap import fill

from effcomp.core.command_line import Parser, refusing
from effcomp.core.errors import UserError
from effcomp.core.packages import CONF
from effcomp.core.text import TEXT_WIDTH
from effcomp.pipeline.compose import GROUPS
from effcomp.pipeline.explanation import entry, line, shown
from effcomp.pipeline.settings import (
    SWEEPER,
    Setting,
    choice_names,
    comment,
    describe_choices,
    find_settings,
    of_sweeper,
    own_settings,
)


def main() -> None:
    """Print the explanation of the word."""
    parser = Parser(prog="effcomp help", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word", metavar="KEY | GROUP=CHOICE | GROUP")
    word = parser.parse_args().word
    with refusing():
        print(meaning_of(word))


def meaning_of(word: str) -> str:
    """Return the explanation of a setting, a choice or a group.

    Raises:
        UserError: the word is none of them.
    """
    group, _, choice = word.partition("=")
    if word in GROUPS:
        return "\n".join(entry(f"{word}={name}", choice.meaning) for name, choice in describe_choices(word).items())
    if group in GROUPS and (found := describe_choices(group).get(choice)):
        return "\n".join([found.meaning, *map(line, found.settings)])
    if group == SWEEPER and choice in choice_names(SWEEPER):
        return "\n".join([comment(CONF / SWEEPER / f"{choice}.yaml"), *map(line, of_sweeper(choice))])
    if settings_found := find_settings(word):
        by_text: dict[str, dict[str, list[str]]] = {}
        for where, setting in settings_found:
            places = by_text.setdefault(described(setting), {}).setdefault(shown(setting.default), [])
            places += [where] if where else []
        return "\n\n".join(f"{text}\n{defaults(places)}" for text, places in by_text.items())
    near = [name for name in GROUPS if name == word.partition(".")[0]]
    keys = [one.key for name in near for each in describe_choices(name).values() for one in each.settings]
    known = [*GROUPS, *(one.key for one in own_settings()), *keys]
    meant = [f"did you mean {name}?" for name in get_close_matches(word, known, n=1)]
    raise UserError(" ".join([f"effcomp help {word}: there is no such setting, choice or group;", *meant]).rstrip(";"))


def described(setting: Setting) -> str:
    values = f" Values: {setting.values}." if setting.values else ""
    return fill(f"{setting.key}: {setting.meaning}{values}", TEXT_WIDTH)


def defaults(places: dict[str, list[str]]) -> str:
    """Return each default, with the choices of the group that have it: `64 (quant=fp4, nf4)`."""
    each = []
    for value, choices in places.items():
        names = [*choices[:1], *(one.partition("=")[2] for one in choices[1:])]
        each.append(f"{value} ({', '.join(names)})" if names else value)
    return fill(f"Default: {'; '.join(each)}", TEXT_WIDTH)
