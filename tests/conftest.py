"""Real small things that the tests share: a tiny BERT saved as transformers saves it, and ways to run effcomp."""

import contextlib
import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import unwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.forked import forks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from effcomp.pipeline.compose import Components
    from effcomp.record import Record
    from tests.hub_server import HubServer

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).resolve().parent / "data"
MOVIES = DATA / "movie_reviews"

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # files of tests run side by side (pyproject.toml)

settings.register_profile("effcomp", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("effcomp")


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """A runtime that a test has loaded sets the threads and the log level of this process; the next test begins as it
    would alone."""
    logging.getLogger().setLevel(logging.WARNING)
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[HubServer]":
    """A Hub of our own, which the clients of this process ask; its cache is empty, its patience two seconds."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session
    from huggingface_hub.utils._http import http_backoff, http_stream_backoff

    from effcomp.core.hub.repository import commit
    from effcomp.models.hub import file_names
    from effcomp.tasks.hub_data import find_layout
    from tests.hub_server import HubServer

    with HubServer() as server:
        settings = {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_ETAG_TIMEOUT": 1,
            "HF_HUB_DOWNLOAD_TIMEOUT": 0.6,
        }
        for name, value in settings.items():
            monkeypatch.setattr(constants, name, value)
        for call in (http_backoff, unwrap(http_stream_backoff)):  # whose retries wait for 23 s in all
            monkeypatch.setitem(call.__kwdefaults__, "base_wait_time", 0.02)
            monkeypatch.setitem(call.__kwdefaults__, "max_wait_time", 0.02)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "HF_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        close_session()
        for remembered in (commit, file_names, find_layout):
            remembered.cache_clear()
        yield server
        constants.HF_HUB_OFFLINE = True  # ends the downloads that were given up
    for thread in threading.enumerate():
        if thread.name.startswith("waiting for"):
            thread.join(10)
    close_session()


TEMPORARY = tempfile.TemporaryDirectory(prefix="effcomp-tests-")
if "PYTEST_XDIST_WORKER" in os.environ and shutil.which("nvidia-smi") is None:
    # The processor's lock lies there: files of tests do not wait for each other's measurements. (A GPU's memory and
    # energy are measured alone.)
    os.environ["TMPDIR"] = tempfile.tempdir = TEMPORARY.name
RATES = Path(TEMPORARY.name) / "rates"
RATES.mkdir()

PATIENCE_S = 300

SMALL = [
    *("bench.pairs=1", "bench.turns=6", "bench.seconds=0", "bench.turn_ms=5", "bench.warmup_turns=1"),
    "bench.quiet_wait_s=0",
    *("bench.batch_sizes=[1,4]", "bench.prompt_tokens=16", "bench.new_tokens=4"),
]
"""A measurement of a second: real, and too short to say anything about speed."""


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers, 64 wide, with a word vocabulary of the test data, in a save_pretrained folder."""
    from transformers import BertConfig, BertModel, BertTokenizer, set_seed

    folder = tmp_path_factory.mktemp("tiny_bert")
    with (MOVIES / "combined_movie_reviews.csv").open(newline="") as stream:
        words = sorted({word for row in csv.DictReader(stream) for word in row["text"].lower().split()})
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    set_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizer(vocabulary, model_max_length=128).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pieces_bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny_bert's shape with word pieces of the test data, down to single characters."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizer, set_seed

    folder = tmp_path_factory.mktemp("pieces_bert")
    pieces = BertWordPieceTokenizer()
    texts = (MOVIES / "combined_movie_reviews.csv").read_text().splitlines()
    pieces.train_from_iterator(texts, vocab_size=500, min_frequency=1, show_progress=False)
    vocabulary = pieces.get_vocab()
    set_seed(0)
    BertModel(BertConfig.from_pretrained(tiny_bert, vocab_size=len(vocabulary))).save_pretrained(folder)
    BertTokenizer(vocabulary, model_max_length=128).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of two layers, 64 wide, with a byte-level BPE of the test data, in a save_pretrained folder."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, set_seed

    folder = tmp_path_factory.mktemp("tiny_gpt2")
    bpe = ByteLevelBPETokenizer()
    texts = [
        file.read_text() for file in sorted(DATA.glob("*/*")) if file.suffix in {".csv", ".tsv", ".tokens", ".raw"}
    ]
    bpe.train_from_iterator(texts, vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", model_max_length=128
    )
    set_seed(0)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=64, n_layer=2, n_head=2, **ends)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_decoder(kind: "type[PreTrainedModel]", vocabulary: Path, folder: Path, **shape: Any) -> "PreTrainedModel":
    """A decoder 64 wide with random weights, in a save_pretrained folder with the tokenizer of another one."""
    from transformers import AutoTokenizer, set_seed

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = kind.config_class(vocab_size=len(tokenizer), hidden_size=64, max_position_embeddings=64, **ends, **shape)
    set_seed(0)
    model = kind(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


GROUPED = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "tie_word_embeddings": True,
}
"""The shape of a Llama: two layers, four query heads on two of key and value."""
BITNET = {"quant_method": "bitnet", "linear_class": "autobitlinear", "modules_to_not_convert": ["lm_head"]}
"""What Microsoft's config.json says of its weights, but for the mode: masters (online) or packed (offline)."""


@pytest.fixture(scope="session")
def tiny_bitnet(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BitNet of two layers with float masters, in a folder as Microsoft publishes them: with its quantization."""
    import torch
    from transformers import BitNetForCausalLM

    folder = tmp_path_factory.mktemp("tiny_bitnet")
    model = write_decoder(BitNetForCausalLM, tiny_gpt2, folder, **GROUPED)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.2)
    model.config.quantization_config = {**BITNET, "quantization_mode": "online"}
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with tiny_gpt2's tokenizer, in a save_pretrained folder."""
    from transformers import LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny_llama")
    write_decoder(LlamaForCausalLM, tiny_gpt2, folder, **GROUPED)
    return folder


@pytest.fixture(scope="session")
def tiny_gptneo(tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-Neo of two layers (one global, one local) with tiny_gpt2's tokenizer, in a save_pretrained folder."""
    from transformers import GPTNeoForCausalLM

    folder = tmp_path_factory.mktemp("tiny_gptneo")
    layers = {"num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]], "window_size": 16}
    write_decoder(GPTNeoForCausalLM, tiny_gpt2, folder, **layers)
    return folder


@pytest.fixture(scope="session")
def tiny_distilbert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DistilBERT of two layers with tiny_bert's tokenizer, in a save_pretrained folder."""
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertForMaskedLM, set_seed

    folder = tmp_path_factory.mktemp("tiny_distilbert")
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    set_seed(0)
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=64, hidden_dim=128, n_layers=2, n_heads=2, max_position_embeddings=64
    )
    DistilBertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Ran:
    code: int
    stdout: str
    stderr: str

    @property
    def record(self) -> dict[str, Any]:
        """The last line of standard output."""
        record: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return record


def compose_parts(*overrides: str, in_product: bool = False) -> "Components":
    """Return the components of a configuration, as the command line builds them; not yet checked against each other."""
    from hydra import compose, initialize_config_dir

    from effcomp.pipeline.compose import build

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return build(compose("config", overrides=list(overrides)), in_product)


@contextlib.contextmanager
def machine_rates_in(store: Path) -> Iterator[None]:
    """The machine's rates, which take some 15 seconds, are measured by the first run that needs them, and found in the
    stores of the others, as a user's second run finds them."""
    put_machine_rates_in(store)
    yield
    shutil.copytree(store / "machine", RATES, dirs_exist_ok=True)


def put_machine_rates_in(store: Path) -> None:
    """Those that were measured so far."""
    if not (store / "machine").exists():
        shutil.copytree(RATES, store / "machine")


def run_effcomp(
    *arguments: str, cwd: Path, module: str = "effcomp.run", root: Path | None = None, own: Path | None = None
) -> Ran:
    """`python -m effcomp.run ...` in a folder of its own.

    Args:
        root: the checkout whose command Python starts, with all its imports; without one it is this checkout's, in a
            forked process that has imported them (tests/forked.py).
        own: a folder with modules of the user's.
    """
    with machine_rates_in(cwd / "multirun/store"):
        if root is None:
            answer = forks().run(module, list(arguments), cwd, own, PATIENCE_S)
            return Ran(answer["code"], answer["stdout"], answer["stderr"])
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    return Ran(done.returncode, done.stdout, done.stderr)


def start_effcomp(*arguments: str, cwd: Path, own_group: bool = False) -> subprocess.Popen[bytes]:
    """The same command, left running: for tests that end it.

    Args:
        own_group: in a process group of its own, which a signal can end as a whole.
    """
    put_machine_rates_in(cwd / "multirun/store")
    return subprocess.Popen(
        [sys.executable, "-m", "effcomp.run", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=own_group,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell has background commands ignore it
    )


@pytest.fixture(scope="session")
def tiny(tiny_bert: Path) -> list[str]:
    """Overrides that make any run tiny, through the real code."""
    return [f"model.path={tiny_bert}", f"task.data_dir={MOVIES}", "task.test_size=20", "finetune.epochs=1", *SMALL]


def altered(row: Any, changes: dict[str, Any]) -> Any:
    """Return a copy of a record with other values at dotted paths: {"truth.machine.threads": 16}."""
    for path, value in changes.items():
        name, _, below = path.partition(".")
        row = row.model_copy(update={name: altered(getattr(row, name), {below: value}) if below else value})
    return row


def records(*names: str) -> list["Record"]:
    """Records of real runs (`make demo`), kept under tests/data/records."""
    from effcomp.record import Record

    return [Record.read(DATA / "records" / f"{name}.json") for name in names]


def write_small(
    source: Path, folder: Path, head: str, quant: str = "none", runtime: str = "torch", settings: Sequence[str] = ()
) -> Path:
    """The artifact of a small model, as a run writes it."""
    import numpy as np
    import torch

    from effcomp.artifact.folder import Compression, Trained, write_artifact
    from effcomp.models.base import load_checkpoint
    from effcomp.prune.base import NoPrune

    folder.mkdir()
    torch.manual_seed(0)  # of a head that the model does not have
    parts = compose_parts(f"quant={quant}", f"runtime={runtime}", *settings)
    model, tokenizer = load_checkpoint(source, head)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = 0
    prune = NoPrune(name="none")
    ids = np.arange(6, 22, dtype=np.int64).reshape(2, 8)
    columns = [
        "attention_mask",
        *(tokenizer.model_input_names if tokenizer and head == "sequence_classification" else []),
    ]
    values = {"token_type_ids": np.zeros_like(ids), "attention_mask": np.ones_like(ids)}
    examples = [{"input_ids": ids, **{name: values[name] for name in columns if name in values}}]
    write_artifact(
        Trained(model, tokenizer, head), Compression(prune, parts.quant, parts.runtime.format), [], examples, folder
    )
    return folder
