"""The Hugging Face Hub: what is cached is used, what is not is fetched, and a Hub out of reach is said in seconds."""

import os
import socket
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from effcomp.core.errors import UserError

CONNECT_TIMEOUT_S = 3.0


@cache
def reachable() -> bool:
    """Whether the Hub answers; False where HF_HUB_OFFLINE is set."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    address = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        with socket.create_connection((address.hostname, address.port or 443), timeout=CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


def model_folder(repository: str, revision: str, ways_on: str) -> Path:
    """The files of a model repository at a commit, from the cache or fetched: config, tokenizer, safetensors.

    Raises:
        UserError: it is not cached and the Hub cannot be reached; the message ends with `ways_on`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns, local_files_only=True))
    except LocalEntryNotFoundError:
        if not reachable():
            raise UserError(
                f"{repository} is not cached and the Hugging Face Hub cannot be reached: {ways_on}"
            ) from None
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, OSError) as error:
        raise UserError(f"{repository} cannot be fetched ({type(error).__name__}): {ways_on}") from error


def dataset_split(repository: str, revision: str, subset: str | None, split: str, ways_on: str) -> Any:
    """One split of a data set at a commit (a datasets.Dataset), from the cache or fetched.

    Raises:
        UserError: it is not cached and the Hub cannot be reached; the message ends with `ways_on`.
    """
    if not reachable():
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported: no retries against a closed network
    from datasets import load_dataset

    try:
        return load_dataset(repository, subset, split=split, revision=revision)
    except (OSError, ValueError) as error:
        if reachable():
            raise UserError(f"{repository} cannot be fetched ({type(error).__name__}): {ways_on}") from error
        message = f"the data set {repository} is not cached and the Hugging Face Hub cannot be reached: {ways_on}"
        raise UserError(message) from None
