"""The split: seeded, stratified, duplicates on one side."""

import pytest

from effcomp.errors import UserError
from effcomp.tasks.base import Examples, Splits, stratified_split

TEXTS = [f"sentence number {i}" for i in range(90)] + [f"Sentence, NUMBER {i}!" for i in range(10)]
ALL = Examples(tuple(TEXTS), tuple(i % 3 for i in [*range(90), *range(10)]))


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def test_duplicates_stand_on_one_side() -> None:
    train, test = stratified_split(ALL, test_size=30, seed=0, source="here")
    assert not {letters(text) for text in train.texts} & {letters(text) for text in test.texts}
    assert sorted(train.texts + test.texts) == sorted(TEXTS), "nothing is lost"


def test_the_test_side_has_every_label_in_its_share() -> None:
    _, test = stratified_split(ALL.take(list(range(90))), test_size=30, seed=0, source="here")
    assert [test.labels.count(label) for label in range(3)] == [10, 10, 10]


def test_the_seed_alone_decides() -> None:
    first, again, other = (stratified_split(ALL, 30, seed, "here") for seed in (0, 0, 1))
    assert first == again != other


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(UserError, match="here has 90 distinct texts"):
        stratified_split(ALL, 89, 0, "here")


def test_the_fingerprint_sees_text_label_order_and_side() -> None:
    base = Splits(Examples(("a", "b"), (0, 1)), Examples(("c",), (0,)), ("x", "y"))
    others = [
        Splits(Examples(("a", "d"), (0, 1)), base.test, base.label_names),
        Splits(Examples(("a", "b"), (1, 1)), base.test, base.label_names),
        Splits(Examples(("b", "a"), (1, 0)), base.test, base.label_names),
        Splits(Examples(("a",), (0,)), Examples(("b", "c"), (1, 0)), base.label_names),
        Splits(base.train, base.test, ("y", "x")),
    ]
    assert len({splits.fingerprint() for splits in (base, *others)}) == 6
