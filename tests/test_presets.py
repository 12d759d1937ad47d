"""conf/experiment: the settings of each seed, and that they run, with tiny models and tiny data of the same formats."""

from pathlib import Path

import pytest
import yaml

from effcomp.finetune.full import FullFinetune
from effcomp.pipeline.compose import GROUPS
from effcomp.record import LanguageQuality, Quality, Record, settings
from effcomp.report.table.study import MEASURES, STUDIES, study_tables
from tests.conftest import DATA, ROOT, SMALL, compose_parts, run_effcomp, run_parts

TRAINING = {
    "resource_efficient=bitnet_sst2": ("bitnet", "sst2", 1000, 3, 8),
    "resource_efficient=bitnet_xnli": ("bitnet", "xnli", 1000, 3, 8),
    "resource_efficient=distilbert_sst2": ("distilbert", "sst2", None, 3, 16),
    "resource_efficient=distilbert_xnli": ("distilbert_multilingual", "xnli", None, 3, 16),
    "resource_efficient=gptneo_sst2": ("gptneo", "sst2", 10000, 2, 4),
    "resource_efficient=gptneo_xnli": ("gptneo", "xnli", 10000, 2, 4),
    "gpt2_agnews=int8_scratch": ("gpt2", "ag_news", None, 3, 16),
    "distilbert_lm=finetuned": ("distilbert", "wikitext2", None, 1, 16),
    "distilbert_compression=fp32": ("distilbert", "sst2", None, 3, 16),
    "limited_compute=fp32": ("distilbert", "sst2", None, 3, 16),
}


@pytest.mark.parametrize("preset", TRAINING)
def test_the_training_is_that_of_the_study_or_said_to_be_ours(preset: str) -> None:
    parts = compose_parts(f"+experiment/{preset}")
    finetune = parts.finetune
    assert isinstance(finetune, FullFinetune)
    found = (parts.model.name, parts.task.name, finetune.train_samples, finetune.epochs, finetune.batch_size)
    assert found == TRAINING[preset]
    assert finetune.name == ("int8" if parts.model.name == "gptneo" else "full")


FILES = sorted(file for file in (ROOT / "conf/experiment").glob("*/*.yaml") if file.parent.name != "demo")
ROWS = [f"{file.parent.name}={file.stem}" for file in FILES]
WITHOUT_NUMBERS = {"resource_efficient=gptneo_xnli", "limited_compute=pruned40_int8"}


@pytest.mark.parametrize("preset", ROWS)
def test_a_preset_has_what_its_study_printed_for_it_under_that_study_s_headings(preset: str) -> None:
    study = compose_parts(f"+experiment/{preset}").config["study"]
    assert study["name"].startswith(preset.partition("=")[0])
    assert study["row"]
    assert (study["published"] == {}) == (preset in WITHOUT_NUMBERS)
    for numbers in study["published"].values():
        assert numbers
        assert numbers.keys() <= STUDIES[study["name"]].columns.keys() <= MEASURES.keys()


def test_no_two_presets_are_the_same_line_of_a_study() -> None:
    entries = [yaml.safe_load(file.read_text())["study"] for file in FILES]
    lines = [(study["name"], *study["row"].values()) for study in entries]
    assert len(set(lines)) == len(lines)


def test_the_study_of_a_preset_changes_nothing_that_is_run() -> None:
    """The artifact's key is made of parts, and none of them has it; neither have the settings that are logged."""
    row, own = "+experiment/distilbert_lm=base", ["model=distilbert", "task=wikitext2", "finetune=none", "quant=none"]
    preset, plain = compose_parts(row), compose_parts(*own)
    assert all(getattr(preset, group).key() == getattr(plain, group).key() for group in GROUPS)
    assert settings(preset.config) == settings(plain.config)


RUNS = {
    "resource_efficient=bitnet_xnli": "tiny_bitnet",
    "resource_efficient=distilbert_xnli": "tiny_distilbert",
    "resource_efficient=gptneo_sst2": "tiny_gptneo",
    "distilbert_lm=quantised": "tiny_distilbert",
    "distilbert_lm=finetuned": "tiny_distilbert",
    "distilbert_compression=pruned30_int8": "tiny_distilbert",
    "limited_compute=int8_bnb": "tiny_distilbert",
}


@pytest.mark.parametrize("preset", RUNS)
def test_it_runs(preset: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    small = [f"+experiment/{preset}", f"model.path={request.getfixturevalue(RUNS[preset])}", f"store={tmp_path}"]
    small += ["tracking=none", "device=cpu", "task.max_length=32", *SMALL]
    if preset.startswith("distilbert_lm"):
        data = {
            name: f"task.{side}.data_dir={DATA / name}" for side, name in (("train", "wikitext2"), ("test", "gsm8k"))
        }
        small += ["task=wikitext2_to_gsm8k", *data.values()]
    else:
        small.append(f"task.data_dir={DATA / preset.rpartition('_')[2] if 'resource' in preset else DATA / 'sst2'}")
    if "resource" in preset:
        small += ["finetune.train_samples=10", "finetune.epochs=1"]
    record = run_parts(compose_parts(*small)).record
    assert isinstance(record.quality, LanguageQuality if "lm" in preset else Quality)
    if "xnli" in preset:
        assert isinstance(record.quality, Quality)
        assert list(record.quality.per_group) == ["en", "es"]


def test_the_gpt2_sweep_gives_a_row_for_each_number_format(tiny_gpt2: Path, tmp_path: Path) -> None:
    ran = run_effcomp(
        "-m",
        "+experiment=gpt2_agnews",
        f"model.path={tiny_gpt2}",
        f"task.data_dir={DATA / 'ag_news'}",
        "tracking=none",
        "device=cpu",
        *SMALL,
        cwd=tmp_path,
    )
    assert ran.code == 0, ran.stderr
    records = [Record.from_json(line) for line in ran.stdout.splitlines()]
    quants = [record.choices["quant"] for record in records]
    assert records[1].config["quant"]["granularity"] == "per_tensor"
    assert quants == ["none", "int8_scratch", "int8_bnb", "nf4"]
    ((_, frame),) = study_tables(records)
    assert frame["Accuracy"].tolist()[::2] == ["0.9459", "0.9459", "0.9459", "0.9458"]
