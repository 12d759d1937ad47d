"""The command `effcomp`: one word for each thing that a person does with it.

`effcomp run ...` is `python -m effcomp.run ...`, and so for the others: a subcommand names a module, whose `main`
reads the rest of the command line.
"""

import sys
from difflib import get_close_matches
from importlib import import_module

from effcomp import __version__
from effcomp.command.commands import COMMANDS
from effcomp.core.command_line import interruptible, refuse
from effcomp.core.garbage import collect_seldom


def main() -> None:
    """Run the subcommand that the first argument names."""
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in {"-h", "--help"}:
        print(usage())
    elif word in {"-V", "--version"}:
        print(f"effcomp {__version__}")
    elif word not in COMMANDS:
        meant = [f"did you mean {name}?" for name in get_close_matches(word, COMMANDS, n=1)]
        refuse(" ".join([f"effcomp {word}: there is no such command;", *meant, "effcomp --help lists them"]))
    else:
        command = COMMANDS[word]
        collect_seldom()
        sys.argv = [f"effcomp {word}", *command.adds, *sys.argv[2:]]
        with interruptible():  # from its imports on
            import_module(command.module).main()


def usage() -> str:
    """Return the list of the subcommands."""
    lines = [f"  {word:11} {command.meaning}" for word, command in COMMANDS.items()]
    return "\n".join(
        [
            "effcomp: which compression for this model, this task, this hardware, and what does it cost?",
            "",
            *lines,
            "",
            "effcomp COMMAND --help explains one. effcomp run is python -m effcomp.run.",
        ]
    )


if __name__ == "__main__":
    main()
