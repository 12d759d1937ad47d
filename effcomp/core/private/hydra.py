"""Hydra's own command line."""

from hydra._internal.utils import get_args_parser

__all__ = ["get_args_parser"]
