"""Errors of the Hub's clients as one line each: the cause in its own words, and the fix."""

import errno
import re

from effcomp.core.errors import UserError, lacks_room

TOO_MANY = 429
LATER = "try again in some minutes, set HF_TOKEN, which may ask more often"


class HubUnreachable(UserError):
    """The Hub cannot be asked now: no connection, no answer, an error of the server, or HF_HUB_OFFLINE."""


def refusal(error: Exception, what: str, page: str, ways_on: str) -> UserError:
    """Return the UserError for an error of huggingface_hub, its HTTP client, or Xet.

    Args:
        what: the repository, for the message: `the model ORG/NAME`.
        page: the address of the repository's page.
        ways_on: how to go on without the Hub.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    error = root(error)
    reason = hub_reason(error)
    if isinstance(error, GatedRepoError):
        return UserError(f"{what} is gated ({reason}): ask for access at {page}, and set HF_TOKEN to your token")
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"{what} has no such revision ({reason}): give a commit, branch or tag of {page}")
    if isinstance(error, RepositoryNotFoundError):
        return UserError(f"{what} is not there, or private ({reason}): check its name, or set HF_TOKEN to your token")
    if isinstance(error, HfHubHTTPError) and error.response.status_code in {401, 403}:
        return UserError(f"{what} cannot be fetched ({reason}): set HF_TOKEN to a valid token, or unset it")
    if isinstance(error, HfHubHTTPError) and error.response.status_code == TOO_MANY:
        return HubUnreachable(f"{what} is not cached, and the Hub is asked too often ({reason}): {LATER}, or {ways_on}")
    if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
        return UserError(f"{what} cannot be fetched ({reason}): {ways_on}")
    if isinstance(error, OfflineModeIsEnabled):
        return HubUnreachable(f"{what} is not cached, and HF_HUB_OFFLINE is set (unset it to download): {ways_on}")
    if lacks_room(error):
        return UserError(f"{what} does not fit on the disk ({reason}): free some, or set HF_HOME to a larger one")
    if isinstance(error, OSError) and error.errno in {errno.EACCES, errno.EROFS, errno.ENOTDIR}:
        return UserError(f"{what} cannot be cached ({reason}): set HF_HOME to a folder that can be written to")
    state = "answers with an error" if isinstance(error, HfHubHTTPError) else "cannot be reached"
    return HubUnreachable(f"{what} is not cached, and the Hugging Face Hub {state} ({reason}): {ways_on}")


def root(error: Exception) -> Exception:
    """Return the cause of the client's `not found in the cache`, or the error itself."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    while isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def hub_reason(error: Exception) -> str:
    """Return the status and the server's own words, or the first line of the message; signatures are left out."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        response = error.response
        said = response.headers.get("X-Error-Message") or response.reason_phrase
        return f"{response.status_code} {said}".strip().rstrip(".")
    lines = str(error).strip().splitlines() or [""]
    line = re.sub(r"\?\S+", "", lines[0]).rstrip(".: ")
    return line if line and isinstance(error, OSError) else f"{type(error).__name__}: {line}".rstrip(": ")
