"""Print the script with which a shell completes the words of `effcomp`.

eval "$(effcomp completion)"        in ~/.bashrc, or in ~/.zshrc after `autoload -U bashcompinit && bashcompinit`

Groups, choices and settings come from Hydra, as it completes any of its programs; of a list of choices
(quant=none,bf) the last one is completed. Options are those that the command's --help names.
"""

import argparse

from effcomp.command.commands import COMMANDS
from effcomp.core.command_line import Parser

SCRIPT = r"""_effcomp() {
    local word="${COMP_WORDS[COMP_CWORD]}" verb="${COMP_WORDS[1]}" choices line="effcomp" other before=""
    case "$COMP_CWORD $verb $word" in
        "1 "*) choices="COMMANDS" ;;
        *" "*" -"*) choices=$(effcomp "$verb" --help | grep -oE -e '--[a-z]+[a-z-]*' | sort -u) ;;
        *" run "* | *" sweep "* | *" find "* | *" help "*)
            for other in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
                if [[ $other == *=* ]]; then line+=" $other"; fi
            done
            if [[ $word == *=*,* ]]; then
                before="${word%,*},"
                word="${word%%=*}=${word##*,}"
            fi
            choices=$(COMP_LINE="$line $word" effcomp run -sc query=bash)
            if [[ $verb == help ]]; then choices=$(sed -E 's/=( |$)/\1/g' <<<"$choices"); fi ;;
        *) return ;;
    esac
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
    if [[ $before ]]; then COMPREPLY=("${COMPREPLY[@]/#*=/$before}"); fi
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _effcomp effcomp"""


def main() -> None:
    """Print the script for bash and zsh."""
    description, raw = __doc__, argparse.RawDescriptionHelpFormatter
    Parser(prog="effcomp completion", description=description, formatter_class=raw).parse_args()
    print(SCRIPT.replace("COMMANDS", " ".join(COMMANDS)))
