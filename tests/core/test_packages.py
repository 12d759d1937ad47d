"""A library that is not installed is named before any work, with the extra that brings it."""

import re
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from effcomp.core.errors import UserError
from effcomp.core.packages import EXTRAS, distribution_of, require, versions
from effcomp.pipeline.checks import check
from tests.conftest import ROOT, compose_parts

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    """Return the import names of requirements, which for these packages are the names with underscores."""
    return {requirement.partition(">")[0].partition("=")[0].replace("-", "_") for requirement in requirements}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_its_libraries_and_the_base_does_not(extra: str) -> None:
    assert set(EXTRAS[extra]) <= names(PROJECT["optional-dependencies"][extra])
    assert not set(EXTRAS[extra]) & names(PROJECT["dependencies"])


@pytest.mark.parametrize(
    ("choice", "library", "extra"),
    [
        ("quant=nf4", "bitsandbytes", ""),
        ("runtime=onnxruntime", "onnxscript", ""),
        ("runtime=openvino", "nncf", ""),
        ("tracking=local", "mlflow", ""),
        ("finetune=lora", "peft", "[lora]"),
        ("finetune=qlora", "peft", "[lora]"),
        ("finetune=int8", "peft", "[lora]"),
        ("prune=structured finetune@prune.recovery=lora", "peft", "[lora]"),
        ("model=smollm2 task=bbc_news_lm", "gguf", "[gguf]"),
        ("runtime=llama_cpp model=smollm2 task=bbc_news_lm quant=gguf", "xllamacpp", "[llama_cpp]"),
        ("task=sst2", "datasets", "[hub]"),
        (
            "task=hub_table task.text=[a] task.label=b task.repository=a/b task.revision=" + "0" * 40,
            "datasets",
            "[hub]",
        ),
    ],
)
def test_a_choice_without_its_library_is_refused_with_its_extra(
    choice: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = "effcomp.core.packages.find_spec"
    monkeypatch.setattr(left, lambda name: None if name == library else find_spec(name))
    with pytest.raises(UserError, match=re.escape(f"needs the package {library}: pip install 'effcomp{extra}'")):
        check(compose_parts(*choice.split()), in_sweep=False)


def test_a_library_that_is_there_is_not_asked_for() -> None:
    require("numpy", "a test")


def test_a_library_that_effcomp_does_not_bring_is_not_promised_by_installing_effcomp() -> None:
    with pytest.raises(UserError, match=r"quant=mine needs the package not_installed: install it$"):
        require("not_installed", "quant=mine")


def test_versions_are_found_by_import_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "without_a_version.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    found = versions("numpy", "sklearn", "without_a_version", "not_installed")
    assert found == {"numpy": version("numpy"), "sklearn": version("scikit-learn")}


def test_the_key_of_a_component_has_the_versions_of_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = compose_parts("finetune=lora").finetune
    installed = lora.key()
    newer = tmp_path / "peft-99.dist-info"
    newer.mkdir()
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: peft\nVersion: 99\n")
    monkeypatch.syspath_prepend(tmp_path)
    distribution_of.cache_clear()
    assert lora.key() == installed | {"libraries": {"peft": "99"}} != installed
    distribution_of.cache_clear()
