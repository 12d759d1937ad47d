"""Print the script with which a shell completes the words of `effcomp`.

eval "$(effcomp completion)"        in ~/.bashrc, or in ~/.zshrc after `autoload -U bashcompinit && bashcompinit`

Groups, choices and settings come from Hydra, as it completes any of its programs; of a list of choices
(quant=none,bf) the last one is completed.
"""

from effcomp.command.commands import COMMANDS
from effcomp.core.command_line import Parser

SCRIPT = """_effcomp() {
    local word="${COMP_WORDS[COMP_CWORD]}" verb="${COMP_WORDS[1]}" choices line before=""
    case "$COMP_CWORD $verb" in
        "1 "*) choices="COMMANDS" ;;
        *" run" | *" sweep" | *" find")
            line="effcomp ${COMP_LINE#*" $verb "}"
            if [[ $word == *=*,* ]]; then
                before="${word%,*},"
                line="${line%"$word"}${word%%=*}=${word##*,}"
                word="${word%%=*}=${word##*,}"
            fi
            choices=$(COMP_LINE="$line" effcomp run -sc query=bash) ;;
        *) return ;;
    esac
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
    if [[ $before ]]; then COMPREPLY=("${COMPREPLY[@]/#*=/$before}"); fi
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _effcomp effcomp"""


def main() -> None:
    """Print the script for bash and zsh."""
    Parser(prog="effcomp completion", description=__doc__).parse_args()
    print(SCRIPT.replace("COMMANDS", " ".join(COMMANDS)))
