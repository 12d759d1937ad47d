"""Imports without the collector, which is on again afterwards and visits nothing of what the block left; and seldom
collection, which still finds cycles."""

import gc
import weakref

import pytest

from effcomp.core.garbage import collect_seldom, no_garbage


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


def test_cycles_are_still_collected_where_that_is_seldom() -> None:
    before = gc.get_threshold()
    try:
        collect_seldom()
        gone = weakref.ref(Node())
        kept = [Node() for _ in range(2_000)]
        assert gone() is not None, "the default would have looked after 700 objects"
        kept += [Node() for _ in range(gc.get_threshold()[0])]
        assert gone() is None
    finally:
        gc.set_threshold(*before)
