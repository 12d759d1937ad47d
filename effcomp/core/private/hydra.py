"""Hydra's own command line."""

from argparse import Namespace

from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser

__all__ = ["compose_once", "get_args_parser"]


def compose_once(arguments: Namespace) -> None:
    """Spare a command Hydra's first composition, which only looks for `hydra.mode`. No config of effcomp sets it.

    Args:
        arguments: of the command. An override, or a config of the user's, may set the mode: Hydra then composes twice.
    """
    own_configs = (arguments.config_dir, arguments.config_path, arguments.config_name)
    if own_configs == (None, None, None) and not any("hydra.mode" in word for word in arguments.overrides):
        Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
