"""Bytes of the base install, of each package that it names, and of each extra.

    python benchmarks/install_size.py [REVISION]            (a second, in the environment of `make install`)

Writes benchmarks/install_size.json: the files of the installed packages, without bytecode. `saved_without_it_bytes`
counts a package with those that it alone brings. REVISION: also the base of an earlier commit, whose demo needed the
two extras of then, for ONNX Runtime and OpenVINO.
"""

import json
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from effcomp.core import machine

ROOT = Path(__file__).resolve().parent.parent
RESULT = Path(__file__).with_suffix(".json")
NOT_MEASURED = {"cluster", "dev"}
"""Extras that are for clusters and for those who change effcomp."""
ENGINES = ("onnx", "openvino")
"""Extras that the demo needed before they were in the base."""


@cache
def installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        sys.exit(f"error: {name} is not installed: make install")


@cache
def size(name: str) -> int:
    """Return the bytes of the files of an installed package, without bytecode."""
    package = installed(name)
    files = [Path(str(package.locate_file(file))) for file in package.files or () if file.suffix != ".pyc"]
    return sum(file.lstat().st_size for file in files if file.is_file())


def needed(requirements: list[str]) -> set[str]:
    """Return the names of the packages that requirements bring, with those that these need in turn."""
    found, left = set[str](), [Requirement(text) for text in requirements]
    while left:
        requirement = left.pop()
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name = canonicalize_name(requirement.name)
            if name not in found:
                found.add(name)
                left += [Requirement(text) for text in installed(name).requires or ()]
    return found


def total(packages: set[str]) -> int:
    return sum(map(size, packages))


def project(revision: str | None) -> dict[str, Any]:
    """Return the project's table of pyproject.toml, at a commit or as it is here."""
    text = (ROOT / "pyproject.toml").read_text()
    if revision is not None:
        shown = ["git", "show", f"{revision}:pyproject.toml"]
        text = subprocess.run(shown, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    table: dict[str, Any] = tomllib.loads(text)["project"]
    return table


def main() -> None:
    here = project(None)
    named, extras = here["dependencies"], here["optional-dependencies"]
    base = needed(named)
    alone = {Requirement(one).name: total(base - needed([other for other in named if other != one])) for one in named}
    entry = {
        "command": " ".join(["python benchmarks/install_size.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": machine.git_commit(),
        "torch": installed("torch").version,
        "base_bytes": total(base),
        "base_packages": len(base),
        "package_bytes": {name: size(canonicalize_name(name)) for name in alone},
        "saved_without_it_bytes": alone,
        "extra_bytes": {
            extra: total(needed(packages) - base) for extra, packages in extras.items() if extra not in NOT_MEASURED
        },
    }
    for revision in sys.argv[1:]:
        there = project(revision)
        earlier = needed(there["dependencies"])
        engines = [one for extra in ENGINES for one in there["optional-dependencies"][extra]]
        entry["earlier"] = {
            "commit": revision,
            "base_bytes": total(earlier),
            "base_packages": len(earlier),
            "base_and_extras_of_the_demo_bytes": total(needed(there["dependencies"] + engines)),
        }
    RESULT.write_text(json.dumps(entry, indent=1) + "\n")
    print(json.dumps(entry, indent=1))


if __name__ == "__main__":
    main()
