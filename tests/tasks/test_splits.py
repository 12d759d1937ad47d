"""The split: seeded, stratified, duplicates on one side."""

import pytest

from effcomp.core.errors import UserError
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.splits import fold_split, slice_of_test, stratified_split

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


def test_every_example_is_tested_in_exactly_one_fold_and_duplicates_stay_together() -> None:
    folds = [fold_split(ALL, 5, fold) for fold in range(5)]
    assert sorted(text for _, test in folds for text in test.texts) == sorted(TEXTS)
    for train, test in folds:
        assert sorted(train.texts + test.texts) == sorted(TEXTS)
        assert not {letters(text) for text in train.texts} & {letters(text) for text in test.texts}
        assert [test.labels.count(label) for label in range(3)] == pytest.approx([20 / 3] * 3, abs=2)


def test_more_folds_than_a_label_has_texts_are_refused() -> None:
    with pytest.raises(UserError, match="folds=5: the rarest label has 2"):
        fold_split(Examples(tuple("abcdefg"), (0, 0, 0, 0, 0, 1, 1)), 5, 0)


def test_slices_of_a_test_share_no_example_nor_a_duplicate_and_lose_none() -> None:
    halves = [slice_of_test(ALL, ends) for ends in ((0.0, 0.5), (0.5, 1.0))]
    assert sorted(halves[0].texts + halves[1].texts) == sorted(TEXTS)
    assert not set(map(letters, halves[0].texts)) & set(map(letters, halves[1].texts))
    assert [len(half) for half in halves] == pytest.approx([50, 50], abs=8), "duplicates stay together"
    assert set(slice_of_test(ALL, (0.0, 0.2)).texts) < set(halves[0].texts), "a larger slice has the smaller one"


def test_the_training_does_not_depend_on_the_slice_of_the_test() -> None:
    whole = Splits(ALL, ALL, ("x", "y", "z"))
    part = Splits(ALL, slice_of_test(ALL, (0.0, 0.5)), ("x", "y", "z"))
    assert whole.training_fingerprint() == part.training_fingerprint()
    assert whole.fingerprint() != part.fingerprint()


def test_pairs_with_the_same_first_sentence_are_no_duplicates() -> None:
    pairs = Examples(("one text",) * 10, (0, 1) * 5, tuple(f"other {i}" for i in range(10)))
    train, test = fold_split(pairs, 5, 0)
    assert (len(train), len(test)) == (8, 2)


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
