"""Subcommands of `effcomp`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """Subcommand of `effcomp`."""

    module: str
    meaning: str
    adds: tuple[str, ...] = ()
    """Arguments that the subcommand adds."""


COMMANDS = {
    "run": Command("effcomp.run", "measure one configuration: effcomp run quant=nf4"),
    "sweep": Command("effcomp.run", "measure every combination: effcomp sweep quant=none,bf16,nf4", ("-m",)),
    "find": Command("effcomp.command.find", "search for the best within limits: effcomp find minimize=latency_p50_ms"),
    "doctor": Command("effcomp.command.doctor", "show what this machine can run, and which format on which runtime"),
    "report": Command("effcomp.report.__main__", "compare records: table, figures, one HTML page"),
    "recommend": Command("effcomp.command.recommend", "name the best configuration for a goal, and why others lost"),
    "check": Command("effcomp.command.check", "measure again, and tell whether it keeps limits: a gate for CI"),
    "predict": Command("effcomp.command.predict", "apply an artifact to the texts of a file"),
    "upload": Command("effcomp.command.upload", "send runs that are kept on disk to an MLflow server"),
    "help": Command("effcomp.command.help", "explain a setting: effcomp help quant.block_size"),
    "completion": Command("effcomp.command.completion", 'complete words in a shell: eval "$(effcomp completion)"'),
}
