"""Sequences of different lengths: saved, loaded, padded."""

from pathlib import Path

import numpy as np

from effcomp.core.batches import Ragged, batches_by_length, pack

SEQUENCES = {"input_ids": [[5, 6, 7], [8], [9, 10]], "attention_mask": [[1, 1, 1], [1], [1, 1]]}
RAGGED = pack(SEQUENCES, {"input_ids": 3, "attention_mask": 0, "token_type_ids": 0})


def test_a_batch_is_padded_to_its_own_longest() -> None:
    batch = RAGGED.batch([1, 2])
    assert batch["input_ids"].tolist() == [[8, 3], [9, 10]]
    assert batch["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert batch["input_ids"].dtype == np.int64


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    RAGGED.save(tmp_path / "tokens")
    loaded = Ragged.load(tmp_path / "tokens")
    assert loaded.padding == {"input_ids": 3, "attention_mask": 0}
    assert loaded.batch([0, 1])["input_ids"].tolist() == RAGGED.batch([0, 1])["input_ids"].tolist()


def test_batches_by_length_hold_every_index_once_and_the_longest_first() -> None:
    batches = batches_by_length(RAGGED.lengths, 2)
    assert [batch.tolist() for batch in batches] == [[0, 2], [1]]
