"""Time of `make install` by pip and by uv, each from an empty cache and from the one that this left.

    python benchmarks/install_time.py            (10 to 20 minutes, 4 GB of disk; uv on the PATH)

Writes benchmarks/install_time.json: seconds of each, and the size of the environment. The registry is that of the
machine, and so is a build of torch on its disk (PIP_FIND_LINKS, UV_FIND_LINKS).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from effcomp.core import machine
from effcomp.core.device import Device

ROOT = Path(__file__).resolve().parent.parent
RESULT = Path(__file__).with_suffix(".json")


def install(clone: Path, uv: str, cache: Path) -> float:
    """Return the seconds of `make install` in a bare clone.

    Args:
        uv: the program; "" for pip.
        cache: folder of pip's or uv's cache.
    """
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--local", str(ROOT), str(clone)], check=True)
    environment = os.environ | {"PIP_CACHE_DIR": str(cache / "pip"), "UV_CACHE_DIR": str(cache / "uv")}
    environment.pop("PYTHONPATH", None)
    start = time.perf_counter()
    subprocess.run(["make", "--silent", "install", f"UV={uv}"], cwd=clone, env=environment, check=True)
    return time.perf_counter() - start


def size(folder: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> None:
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("error: uv is not on the PATH: pip install uv")
    seconds, bytes_ = {}, 0
    with tempfile.TemporaryDirectory(prefix="effcomp-install-") as folder:
        for name, program in (("pip", ""), ("uv", uv)):
            for state in ("cold", "warm"):
                seconds[f"{name}_{state}_s"] = round(install(Path(folder) / "clone", program, Path(folder)), 1)
                bytes_ = size(Path(folder) / "clone/.venv")
                print(name, state, seconds[f"{name}_{state}_s"], "s", flush=True)
    entry = {
        "command": "python benchmarks/install_time.py",
        "device": machine.device_name(Device(name="cpu", kind="cpu", threads=None)),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": machine.git_commit(),
        **seconds,
        "environment_bytes": bytes_,
    }
    RESULT.write_text(json.dumps(entry, indent=1) + "\n")


if __name__ == "__main__":
    main()
