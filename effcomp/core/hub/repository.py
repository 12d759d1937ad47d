"""A repository of the Hugging Face Hub at one commit.

A commit never changes, so whatever is cached of it is right and the Hub is not asked again. The client caches the list
of a commit's files; with it a missing file is known without the network. Files are checked against the checksum that
the Hub gave for them: the client names each blob of its cache after it.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from effcomp.core.errors import UserError
from effcomp.core.hub.refusals import HubUnreachable, refusal
from effcomp.core.hub.waiting import CHUNK_BYTES, Bar, DownloadProgress, wait_for
from effcomp.core.writable import check_writable

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

log = logging.getLogger(__name__)

T = TypeVar("T")
RepositoryType = Literal["model", "dataset"]
NAME = re.compile(r"[\w.-]+/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")


def named(name: str) -> str:
    """Return the name of a repository; raise ValueError where it is not ORG/NAME."""
    if not NAME.fullmatch(name):
        raise ValueError("give a repository of the Hub as ORG/NAME")
    return name


class Address(NamedTuple):
    """A repository, at whatever commit."""

    name: str
    kind: RepositoryType

    def __str__(self) -> str:
        return f"the model {self.name}" if self.kind == "model" else f"the data set {self.name}"

    @property
    def page(self) -> str:
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{'' if self.kind == 'model' else 'datasets/'}{self.name}"


@dataclass(frozen=True)
class Repository:
    """A repository at a commit, and its files in the cache."""

    name: str
    """ORG/NAME."""
    kind: RepositoryType
    commit: str
    ways_on: str
    """Alternatives to the Hub, for messages."""

    @property
    def address(self) -> Address:
        return Address(self.name, self.kind)

    @property
    def folder(self) -> Path:
        """Return the commit's folder in the cache; it may be missing, or hold some of the files."""
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        cached = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=self.name, repo_type=self.kind)
        return cached / "snapshots" / self.commit

    def listing(self) -> "dict[str, RepoFile]":
        """Return the client's description of each file (size, Xet hash) by its path; the cache keeps it.

        Raises:
            UserError: it is not cached, and the Hub refuses it.
            HubUnreachable: it is not cached, and the Hub cannot be asked.
        """
        from huggingface_hub import RepoFile, get_cached_repo_tree, snapshot_download
        from huggingface_hub.errors import CachedRepoTreeNotFoundError

        def cached() -> dict[str, RepoFile]:
            found = get_cached_repo_tree(self.name, repo_type=self.kind, revision=self.commit)
            return {file.path: file for file in found}

        def fetch() -> dict[str, RepoFile]:
            snapshot_download(self.name, repo_type=self.kind, revision=self.commit, allow_patterns=[])
            return cached()

        try:
            return cached()
        except CachedRepoTreeNotFoundError:
            check_cache()
            self.reach()
            return ask(fetch, "the list of files", self.address, self.ways_on)

    def reach(self) -> None:
        """Ask the Hub once for the commit; the client's downloads would retry for 23 s and hide the cause.

        Raises:
            UserError: the Hub refuses it, or cannot be asked.
        """
        ask(partial(describe, self.address, self.commit), "the commit", self.address, self.ways_on)

    def fetch(self, names: Iterable[str]) -> Path:
        """Return the commit's folder, with these files in it; what is missing or damaged is fetched.

        Raises:
            UserError: a file is missing or damaged, and cannot be fetched.
        """
        names = sorted(names)
        for name in names:
            if (self.folder / name).is_file() and (fault := damage(self.folder / name)) is not None:
                check_cache()
                log.warning("%s of %s is damaged in the cache (%s): fetching it again", name, self.address, fault)
                discard(self.folder / name)
        missing = [name for name in names if not (self.folder / name).is_file()]
        if missing:
            self.download(missing)
        for name in missing:
            if (fault := damage(self.folder / name)) is not None:
                discard(self.folder / name)
                reason = f"{name} of {self.address} came with other bytes than the Hub has ({fault})"
                raise UserError(f"{reason}: try again, or {self.ways_on}")
        return self.folder

    def download(self, names: list[str]) -> None:
        from huggingface_hub import constants

        constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
        check_cache()
        self.reach()
        listed = self.listing()
        total_bytes = sum(listed[name].size for name in names if name in listed)
        log.info("fetching %s: %s (%.1f MB)", self.address, ", ".join(names), total_bytes / 1e6)
        progress = DownloadProgress(f"fetching {self.name}", total_bytes)
        with progress.bar:
            for name in names:
                in_xet = name in listed and listed[name].xet_hash is not None and not constants.HF_HUB_DISABLE_XET
                way_round = "set HF_HUB_DISABLE_XET=1 to fetch it without Xet; or " if in_xet else ""
                call = partial(self.download_file, name, progress.counter())
                ask(call, name, self.address, way_round + self.ways_on, progress)

    def download_file(self, name: str, counter: type[Bar]) -> None:
        from huggingface_hub import hf_hub_download

        hf_hub_download(self.name, name, repo_type=self.kind, revision=self.commit, tqdm_class=counter)


def check_cache() -> None:
    """Raise UserError where the client's cache cannot be written to; the client would report it as a missing file."""
    from huggingface_hub import constants

    check_writable(Path(constants.HF_HUB_CACHE), "HF_HOME or HF_HUB_CACHE")


def describe(at: Address, revision: str | None) -> None:
    """Ask the Hub for a revision, once, within the client's time-out; raise the client's error where it refuses."""
    from huggingface_hub import HfApi, constants

    HfApi().repo_info(at.name, repo_type=at.kind, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)


def ask(call: Callable[[], T], wanted: str, of: Address, ways_on: str, progress: DownloadProgress | None = None) -> T:
    """Return what a call to the Hub returns.

    Raises:
        UserError: the call failed; in one line, with its cause.
    """
    from huggingface_hub import constants

    patience_s = 3.0 * constants.HF_HUB_DOWNLOAD_TIMEOUT
    try:
        return wait_for(call, f"{constants.ENDPOINT}: {wanted} of {of.name}", patience_s, progress)
    except Exception as error:  # the client's, its HTTP library's, Xet's
        raise refusal(error, str(of), of.page, ways_on) from error


@cache
def commit(name: str, kind: RepositoryType, revision: str | None, ways_on: str) -> str:
    """Return the commit that a branch, tag or commit names; None names the default branch.

    Where the Hub cannot be asked, the commit that the cache holds for it is used, and the log says so.

    Raises:
        UserError: there is no such repository or revision, or it is not cached and the Hub cannot be asked.
    """
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionResolutionError

    def fetch() -> str:
        describe(Address(name, kind), revision)
        return HfApi().resolve_revision(name, repo_type=kind, revision=revision).resolved

    try:
        return ask(fetch, "the commit", Address(name, kind), ways_on)
    except HubUnreachable:
        with suppress(RevisionResolutionError):
            found = HfApi().resolve_revision(name, repo_type=kind, revision=revision, local_files_only=True).resolved
            log.warning("%s: the Hub cannot be asked; using the cached commit %s", Address(name, kind), found)
            return found
        raise


def damage(file: Path) -> str | None:
    """Return what is wrong with a file of the cache, in words; None where it is as the Hub has it.

    A cache without symbolic links does not keep the checksums, and nothing is found there.
    """
    if not file.is_symlink():
        return None
    state = file.stat()
    return compare(file, file.readlink().name, state.st_size, state.st_mtime_ns)


@cache
def compare(file: Path, wanted: str, size: int, changed_ns: int) -> str | None:
    """Compare with the checksum: sha256 of large files, git's sha1 of small ones; once for each state of a file."""
    if len(wanted) not in {40, 64}:
        return None
    kind, start = ("sha256", b"") if len(wanted) == 64 else ("sha1", b"blob %d\0" % size)
    digest = hashlib.new(kind, start)
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    found = digest.hexdigest()
    return None if found == wanted else f"{kind} {found[:12]}..., published {wanted[:12]}..."


def discard(file: Path) -> None:
    """Delete a damaged file and its blob from the cache."""
    blob = file.resolve()
    file.unlink()
    blob.unlink(missing_ok=True)
