"""The kernel's count of this process's memory."""

import subprocess
import sys

import psutil

from effcomp.core.memory import rss_bytes
from tests.conftest import ROOT

PEAK = """
from effcomp.core.memory import peak_rss_bytes, reset_peak
reset_peak()
before = peak_rss_bytes()
ballast = bytearray(b"\\1" * (64 * 2**20))
del ballast
assert peak_rss_bytes() > before + 60 * 2**20
reset_peak()
assert peak_rss_bytes() < before + 60 * 2**20
"""


def test_the_resident_set_is_the_kernels() -> None:
    assert abs(rss_bytes() - psutil.Process().memory_info().rss) < 2**20


def test_a_peak_is_kept_until_it_is_reset() -> None:
    """In a fresh process: one that has freed gigabytes takes these bytes from what it still holds."""
    subprocess.run([sys.executable, "-c", PEAK], cwd=ROOT, check=True)
