"""Imports without the collector: it is on again afterwards, and visits nothing of what the block left."""

import gc

import pytest

from effcomp.core.garbage import no_garbage


class Node:
    """Object that holds itself, as the classes of a library do."""

    def __init__(self) -> None:
        self.itself = self


def test_a_block_is_not_collected_and_what_it_leaves_is_never_visited_again() -> None:
    before = gc.get_freeze_count()
    try:
        with no_garbage():
            assert not gc.isenabled()
            node = Node()
        assert gc.isenabled() and gc.get_freeze_count() > before
        assert all(one is not node for one in gc.get_objects())
    finally:
        gc.unfreeze()


def test_the_collector_works_again_after_an_import_that_fails() -> None:
    with pytest.raises(ModuleNotFoundError), no_garbage():
        raise ModuleNotFoundError("no such library")
    gc.unfreeze()
    assert gc.isenabled()
