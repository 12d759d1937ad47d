"""Splits of data sets of the Hugging Face Hub; only the files of the wanted split are fetched.

`datasets.load_dataset` fetches every split of a subset, and without a network takes the newest commit of its cache
instead of the one asked for. Here it reads a folder of empty files with the repository's names and so lists the files
of each split; those alone are fetched, at the commit.
"""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from effcomp.core.errors import UserError
from effcomp.core.hub.refusals import hub_reason
from effcomp.core.hub.repository import Repository
from effcomp.core.packages import require

CARD = ("README.md", ".huggingface.yaml", "dataset_infos.json")
"""Files that list the subsets and splits, and their columns."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Splits of one subset."""

    repository: Repository
    files: dict[str, list[str]]
    """The paths of each split's files in the repository."""
    builder: Any
    """The datasets.DatasetBuilder that reads such files."""

    def check(self, split: str, setting: str) -> None:
        """Raise UserError when there is no such split.

        Args:
            setting: the setting that names it, for the message.
        """
        if split not in self.files:
            there = ", ".join(self.files)
            raise UserError(f"{setting}={split}: {self.repository.address} has no such split; there are: {there}")


def read_split(layout: Layout, split: str) -> Any:
    """Return a split as a datasets.Dataset in memory.

    Raises:
        UserError: its files cannot be fetched or read.
    """
    import pyarrow
    from datasets import Dataset, DatasetInfo

    folder = layout.repository.fetch(layout.files[split])
    layout.builder.config.data_files = {split: [str(folder / name) for name in layout.files[split]]}
    try:
        stream = layout.builder.as_streaming_dataset(split=split)
        tables = list(stream.with_format("arrow").iter(batch_size=10_000))
        if not tables:
            raise UserError(f"split {split} of {layout.repository.address} has no rows; give another one")
        return Dataset(pyarrow.concat_tables(tables), info=DatasetInfo(features=stream.features))
    except UserError:
        raise
    except Exception as error:  # whatever a damaged or unusual file makes its reader raise
        reason = f"split {split} of {layout.repository.address} cannot be read ({hub_reason(error)})"
        raise UserError(f"{reason}: {layout.repository.ways_on}") from error


@cache
def find_layout(repository: Repository, subset: str | None, setting: str) -> Layout:
    """Return the splits of a subset; None is the only one, or the one that the repository names as its default.

    Args:
        setting: the setting that names the subset, for the message.

    Raises:
        UserError: the repository cannot be reached, has no data, or no such subset.
    """
    require("datasets", str(repository.address))
    unlisted: UserError | None = None
    try:
        names = set(repository.listing())
    except UserError as error:  # what the cache holds may be enough
        names, unlisted = cached_names(repository), error
        if not names:
            raise
    card = repository.fetch(name for name in CARD if name in names)
    with tempfile.TemporaryDirectory(prefix="effcomp-") as temporary:
        empty = Path(temporary) / repository.name.rpartition("/")[2]
        write_empty(empty, names)
        for name in CARD:
            if name in names:
                shutil.copyfile(card / name, empty / name)
        try:
            return read_layout(repository, empty, subset, setting)
        except UserError as error:
            raise unlisted or error from None


def read_layout(repository: Repository, empty: Path, subset: str | None, setting: str) -> Layout:
    """Return the splits of a subset of a folder with empty files."""
    from datasets import get_dataset_config_names, get_dataset_default_config_name, load_dataset_builder

    place = str(empty)
    try:
        subsets = get_dataset_config_names(place)
        default = get_dataset_default_config_name(place) or (subsets[0] if len(subsets) == 1 else None)
        if subset is None and default is None:
            raise UserError(f"{setting}=null: {repository.address} has several subsets: {', '.join(subsets)}; give one")
        if subset is not None and subset not in subsets:
            there = ", ".join(subsets)
            raise UserError(f"{setting}={subset}: {repository.address} has no such subset; there are: {there}")
        builder = load_dataset_builder(place, subset or default, cache_dir=f"{place}-cache")
    except UserError:
        raise
    except Exception as error:  # of a card or names that datasets does not understand
        reason = f"{repository.address} holds no data that datasets reads ({hub_reason(error)})"
        script = "; one that needs a script is often converted: task.revision=refs/convert/parquet"
        raise UserError(f"{reason}: {repository.ways_on}{script}") from error
    root = empty.resolve()
    files = {
        str(split): [Path(file).relative_to(root).as_posix() for file in paths]
        for split, paths in builder.config.data_files.items()
    }
    return Layout(repository, files, builder)


def cached_names(repository: Repository) -> set[str]:
    """Return the paths of the files that the cache holds of the commit."""
    folder = repository.folder
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def write_empty(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
