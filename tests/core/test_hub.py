"""Repositories of the Hub against a small server of our own: caches, faults, and the one line that each ends in."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from effcomp.core.errors import UserError
from effcomp.core.hub.refusals import HubUnreachable
from effcomp.core.hub.repository import Repository, commit
from tests.conftest import ROOT
from tests.faults.ground import mounted, read_only
from tests.hub_server import Fault, HubServer

NAME = "some/model"
FILES = {"config.json": b'{"model_type": "bert"}', "model.safetensors": bytes(200_000)}


@pytest.fixture
def repository(hub: HubServer) -> Repository:
    return Repository(NAME, "model", hub.add("models", NAME, FILES), "use another")


def test_what_is_missing_is_fetched_and_what_is_cached_is_not_asked_for(hub: HubServer, repository: Repository) -> None:
    repository.fetch(["config.json"])
    hub.asked.clear()
    folder = repository.fetch(FILES)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert not [path for path in hub.asked if "config.json" in path]
    hub.asked.clear()
    repository.fetch(FILES)
    assert repository.listing().keys() == FILES.keys()
    assert hub.asked == []


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_the_cache_is_found_and_fetched_again(
    repository: Repository, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = repository.fetch(FILES) / name
    blob = file.resolve()
    blob.write_bytes(b"{" + FILES[name][1:-1] + b"!")
    repository.fetch(FILES)
    assert file.read_bytes() == FILES[name]
    assert f"{name} of the model {NAME} is damaged in the cache" in caplog.text


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault("gated"),
            r"is gated \(401 Access to model some/model is.*ask for access at .*some/model.*HF_TOKEN",
        ),
        (Fault("status", code=401), r"\(401 Unauthorized\): set HF_TOKEN to a valid token"),
        (Fault("status", code=403), r"\(403 Forbidden\): set HF_TOKEN to a valid token"),
        (Fault("status", code=404), r"\(404 Not Found\): use another"),
        (
            Fault("status", code=429),
            r"asked too often \(429 Too Many Requests\): try again in some minutes, set HF_TOKEN",
        ),
        (Fault("status", code=502), r"the Hugging Face Hub answers with an error \(502 Bad Gateway\): use another"),
        (Fault("silent"), r"cannot be reached \(ReadTimeout: timed out\): use another"),
        (Fault("silent", "resolve"), r"cannot be reached \(no answer for 2 s\): use another"),
        (Fault("cut", "resolve.*config"), r"(peer closed connection|no answer for 2 s).*use another"),
        (Fault("reset", "resolve"), r"Connection reset by peer\): use another"),
        (Fault("wrong", "resolve"), r"config.json of .* came with other bytes than the Hub has \(sha1 .*use another"),
        (Fault("wrong", "safetensors"), r"model.safetensors of .* came with other bytes.*\(sha256 .*use another"),
        (Fault("xet"), r"cannot be reached.*: set HF_HUB_DISABLE_XET=1 to fetch it without Xet; or use another"),
    ],
    ids=lambda value: f"{value.name} {value.match}" if isinstance(value, Fault) else "",
)
def test_a_fault_of_the_hub_is_one_line_with_its_cause(
    hub: HubServer, repository: Repository, fault: Fault, said: str
) -> None:
    hub.fault = fault
    with pytest.raises(UserError) as raised:
        repository.fetch(FILES if fault.match != "." or fault.name != "silent" else repository.listing())
    assert "\n" not in str(raised.value)
    assert re.search(said, str(raised.value)), str(raised.value)


@pytest.mark.parametrize("name", ["cut", "reset", "slow"])
def test_a_connection_that_breaks_once_is_taken_up_again(hub: HubServer, repository: Repository, name: str) -> None:
    hub.fault = Fault(name, "resolve.*safetensors", seconds=0.1, times=2 if name == "slow" else 1)  # type: ignore[arg-type]
    if name == "reset":
        with pytest.raises(HubUnreachable, match="reset by peer"):
            repository.fetch(FILES)
    assert (repository.fetch(FILES) / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_what_is_waited_for_is_said(
    hub: HubServer, repository: Repository, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("effcomp.core.hub.waiting.FIRST_WORD_S", 0.1)
    caplog.set_level("INFO")
    hub.fault = Fault("slow", "resolve", seconds=0.5, times=1)
    repository.fetch(["config.json"])
    assert f"waiting for {hub.url}: config.json of {NAME} (2 s at most)" in caplog.text
    assert f"fetching the model {NAME}: config.json (0.0 MB)" in caplog.text


def test_a_revision_is_resolved_and_its_commit_is_kept_for_when_the_hub_is_down(
    hub: HubServer, repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    assert commit(NAME, "model", None, "use another") == repository.commit
    commit.cache_clear()
    hub.fault = Fault("status", code=503)
    assert commit(NAME, "model", None, "use another") == repository.commit
    assert f"the Hub cannot be asked; using the cached commit {repository.commit}" in caplog.text


def test_a_proxy_of_the_environment_is_used(
    hub: HubServer, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(hub.url, "http://hub.invalid")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    close_session()
    assert repository.fetch(["config.json"]).joinpath("config.json").read_bytes() == FILES["config.json"]
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    close_session()
    with pytest.raises(HubUnreachable, match="Connection refused"):
        repository.fetch(FILES)


def test_a_cache_that_cannot_be_written_to_is_one_line(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    with read_only(cache), pytest.raises(UserError, match=f"^HF_HOME or HF_HUB_CACHE={cache}: this folder cannot be"):
        repository.fetch(FILES)
    (repository.fetch(FILES) / "config.json").resolve().write_bytes(b"other")
    with read_only(cache), pytest.raises(UserError, match="this folder cannot be written to; give another one"):
        repository.fetch(FILES)
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file/hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "file/token"))
    with pytest.raises(UserError, match=r"HF_HUB_CACHE=.*/file/hub: Not a directory; give another folder"):
        repository.fetch(FILES)
    with pytest.raises(UserError, match=r"Not a directory: .*/file/token'\): set HF_HOME to a folder that can be"):
        commit(NAME, "model", None, "use another")


def test_a_full_disk_is_one_line_and_the_rest_is_fetched_later(repository: Repository, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    with mounted(cache, "-t", "tmpfs", "-o", "size=100k", "tmpfs"):
        with pytest.raises(UserError, match=r"some/model does not fit on the disk \(.*No space left.*set HF_HOME to a"):
            repository.fetch(FILES)
        subprocess.run(["mount", "-o", "remount,size=1m", str(cache)], check=True)
        assert (repository.fetch(FILES) / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_command_that_waits_for_the_hub_heeds_a_signal(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}.items():
        monkeypatch.setenv(name, value)
    hub.fault = Fault("silent")
    chosen = ["model=hub", f"model.repository={NAME}", "task=sst2", "device=cpu"]
    # huggingface_hub reads these variables when it is imported: not in a forked command.
    command = subprocess.Popen(
        [sys.executable, "-m", "effcomp.run", *chosen], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    end = time.monotonic() + 120
    while not any(NAME in path for path in hub.asked):
        assert command.poll() is None, "it ended before it asked the Hub"
        assert time.monotonic() < end, "it did not ask the Hub"
        time.sleep(0.05)
    command.send_signal(signal.SIGTERM)
    assert command.wait(10) == 130


def test_an_invalid_token_is_named(hub: HubServer, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_invalid")
    with pytest.raises(UserError, match=r"401 Invalid credentials.*set HF_TOKEN to a valid token, or unset it"):
        repository.fetch(FILES)
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    hub.fault = Fault("gated")
    with pytest.raises(UserError, match=r"403 Access to model some/model is restricted"):
        repository.fetch(FILES)


def test_what_is_not_there_is_named(hub: HubServer, repository: Repository) -> None:
    with pytest.raises(UserError, match=r"the model some/other is not there, or private \(401 Repository not found\)"):
        Repository("some/other", "model", "0" * 40, "").listing()
    with pytest.raises(UserError, match=r"has no such revision \(404 Invalid rev id: 0{40}\)"):
        Repository(NAME, "model", "0" * 40, "").listing()
