"""docs/formats.md is what the classes say."""

from effcomp.docs.formats import INTRODUCTION, descriptions, instruction_sets, table
from effcomp.pipeline.compose import choices
from effcomp.quant.base import Quant
from tests.conftest import ROOT


def test_the_page_is_that_of_the_classes() -> None:
    page = "\n\n".join([INTRODUCTION, table(), instruction_sets(), descriptions()]) + "\n"
    assert page == (ROOT / "docs/formats.md").read_text(), "make docs"


def test_every_choice_is_in_it() -> None:
    assert {quant.name for quant in choices("quant", Quant)} == {
        file.stem for file in (ROOT / "conf/quant").glob("*.yaml")
    }
