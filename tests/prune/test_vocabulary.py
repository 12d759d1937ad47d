"""Vocabulary pruning: the tokens of the training texts stay, both sides of a run read the same texts in their own."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from effcomp.core.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.heads import Head
from effcomp.pipeline.again import overrides
from effcomp.pipeline.prepare import prepare
from effcomp.pipeline.tokens import tokens
from effcomp.prune.vocabulary import Vocabulary, count_tokens
from effcomp.record import GenerationQuality, Quality, label
from effcomp.report.rows import name
from effcomp.runtimes.predictor import Predictor
from effcomp.tasks.base import Examples
from tests.conftest import DATA, MOVIES, SMALL, compose_parts, run_parts
from tests.training import new_setup

HEAD: Head = "sequence_classification"


def vocabulary(*settings: str) -> Vocabulary:
    prune = compose_parts("prune=vocabulary", *settings).prune
    assert isinstance(prune, Vocabulary)
    return prune


def movies(folder: Path) -> list[str]:
    """Overrides of a tiny run over the movie reviews."""
    small = ["tracking=none", "finetune.epochs=1", "device=cpu", *SMALL]
    return [*small, f"model.path={folder}", f"task.data_dir={MOVIES}", "task.test_size=20"]


def test_the_tokens_of_the_training_texts_stay_from_a_count_on(pieces_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(pieces_bert)
    train = Examples(("wooden acting", "the acting"), pairs=("from start", "to finish"))
    counts = count_tokens(train, tokenizer)
    assert counts["acting"] == 2
    often = vocabulary("prune.general=0", "prune.min_count=2").kept(tokenizer, train)
    every = vocabulary("prune.general=0").kept(tokenizer, train)
    assert set(counts) <= every
    assert {token for token, count in counts.items() if count > 1} <= often
    assert {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "w", "##w"} <= often
    assert len(often) % 64 == len(every) % 64 == 0


def test_the_general_list_begins_with_the_first_ids(pieces_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(pieces_bert)
    kept = vocabulary("prune.general=0.7").kept(tokenizer, Examples(("good",)))
    first = tokenizer.convert_ids_to_tokens(list(range(round(0.7 * len(tokenizer)))))
    assert set(first) <= kept
    assert vocabulary("prune.general=1").kept(tokenizer, Examples(("good",))) == tokenizer.get_vocab().keys()


def test_both_sides_read_the_same_texts_in_tokens_of_their_own(pieces_bert: Path, tmp_path: Path) -> None:
    parts = compose_parts(*movies(pieces_bert), "prune=vocabulary", "prune.general=0", f"store={tmp_path}/store")
    prepared = prepare(parts)
    own, fewer = prepared.baseline().tokenizer, prepared.tokenizer
    assert own is not None and fewer is not None
    assert own.get_vocab() == AutoTokenizer.from_pretrained(pieces_bert).get_vocab()
    assert len(fewer) < len(own)
    assert tokens(prepared).path != tokens(prepared.baseline()).path
    other = prepare(compose_parts(*movies(pieces_bert), "prune=structured", f"store={tmp_path}/store"))
    assert tokens(other).path == tokens(prepared.baseline()).path, "whoever has the model's own tokens shares them"


@pytest.mark.parametrize(
    "settings",
    [
        ["quant=int8_dynamic", "runtime=onnxruntime"],
        ["quant=int8_dynamic", "prune@prune.then=structured", "finetune@prune.then.recovery=distill"],
        ["quant=int4", "finetune@prune.recovery=full", "bench.fixed_length=16"],
    ],
    ids=["onnxruntime", "then structured", "int4"],
)
def test_a_pruned_vocabulary_is_quantized_measured_and_recorded(
    settings: list[str], pieces_bert: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    pruned = ["prune=vocabulary", "prune.general=0", "prune.min_count=9"]
    parts = compose_parts(*movies(pieces_bert), *pruned, f"store={store}", *settings)
    record = run_parts(parts).record
    row, size = record.truth.data.vocabulary, record.cost.size
    assert row is not None
    assert row.tokens < row.baseline_tokens
    assert 0 < row.respelled_tokens_share < row.respelled_texts_share <= 1
    assert isinstance(record.quality, Quality)
    assert record.quality.examples == 20
    assert size.parameters <= (size.baseline_parameters or 0) - 64 * (row.baseline_tokens - row.tokens)
    artifact = store / "artifact" / record.truth.artifact
    assert len(AutoTokenizer.from_pretrained(artifact)) == row.tokens
    answer = Predictor(artifact)(["a waste of good acting"])[0]
    assert answer["label"] in record.quality.per_class
    assert "vocabulary" in label(record.config)
    assert "prune=vocabulary" in overrides(record.config)
    if "prune@prune.then=structured" in settings:
        assert settings[1:] == [word for word in overrides(record.config) if "@" in word]
        assert name(record) == "int8_dynamic + vocabulary + structured 0.5 + distill"
        assert (record.cost.training.recovery_s or 0) > 0


def test_a_decoder_writes_in_tokens_that_are_compared_with_the_baseline_s(tiny_gpt2: Path, tmp_path: Path) -> None:
    settings = ["model=gpt2", f"model.path={tiny_gpt2}", "task=gsm8k_generation", f"task.data_dir={DATA}/gsm8k"]
    settings += ["task.shots=0", "task.max_length=100", "task.new_tokens=20", "finetune.epochs=30"]
    settings += ["finetune.batch_size=4", "finetune.learning_rate=3e-3", "prune=vocabulary", "prune.general=0"]
    parts = compose_parts("tracking=none", "device=cpu", *SMALL, *settings, f"store={tmp_path}/store")
    result = run_parts(parts)
    assert isinstance(result.record.quality, GenerationQuality)
    assert result.record.versus_baseline.identical_tokens.value > 0.5
    assert any(row["variant"] == row["baseline"] for row in result.texts)


def test_what_cannot_be_pruned_is_refused(pieces_bert: Path, tmp_path: Path) -> None:
    prune = vocabulary()
    with pytest.raises(UserError, match="prune=vocabulary needs a tokenizer, which the architecture alone has not"):
        prune.remapped(None, Examples(("good",)))
    nested = compose_parts("prune=vocabulary", "prune@prune.then=structured", "prune.then.ratio=0.99", "model=minilm")
    config = load_checkpoint(pieces_bert, HEAD)[0].config
    with pytest.raises(UserError, match=r"^prune\.then\.ratio=0\.99 leaves a layer with no head"):
        nested.prune.check_config(config)
    distilled = vocabulary("finetune@prune.recovery=distill")
    with pytest.raises(UserError, match=r"^finetune@prune\.recovery=distill: a teacher of a language model must have"):
        distilled.check_vocabulary(None)


def test_a_target_is_checked_with_the_tokens_that_are_left(pieces_bert: Path, tmp_path: Path) -> None:
    def smallest(general: int) -> tuple[float, int]:
        target = ["prune=vocabulary", f"prune.general={general}", "prune@prune.then=budget"]
        parts = compose_parts(*movies(pieces_bert), *target, "prune.then.target=parameters:40", f"store={tmp_path}")
        with pytest.raises(UserError, match=r"^prune\.then\.target=parameters:40 is not reached") as refused:
            prepare(parts)
        tokenizer = parts.prune.remapped(AutoTokenizer.from_pretrained(pieces_bert), parts.task.load().train)
        assert tokenizer is not None
        return float(str(refused.value).rpartition(" ")[2]), len(tokenizer)

    (some, few), (most, many) = smallest(0), smallest(1)
    assert most - some == 64 * (many - few) > 0


def test_the_recovery_trains_on_the_new_tokens(pieces_bert: Path, tmp_path: Path) -> None:
    parts = compose_parts(*movies(pieces_bert), "prune=vocabulary", "finetune@prune.recovery=full", "prune.general=0")
    setup, folder = new_setup(parts, HEAD, tmp_path / "pruned"), tmp_path / "pruned"
    folder.mkdir()
    assert isinstance(parts.prune, Vocabulary)
    assert parts.prune.write(setup, pieces_bert, folder) > 0
    model, tokenizer = load_checkpoint(folder, HEAD)
    assert tokenizer is not None
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer) == model.config.vocab_size
