"""The comments of conf/ are the first sentences of the fields' docstrings."""

from effcomp.docs.comments import commented, configs
from effcomp.pipeline.settings import Setting


def test_the_comments_are_current() -> None:
    assert [file.name for file, text in configs() if file.read_text() != text] == [], "run `make docs`"


def test_a_comment_stands_after_its_value_or_above_it() -> None:
    long = f"{'Long ' * 20}sentence. Another"
    settings = {
        "size": Setting("quant.size", "`1` or `2`", 1, "Size, as in Shaji et al. 2023. It is read at load."),
        "inner.path": Setting("quant.inner.path", "path", None, long),
    }
    text = "# Head.\nname: own\nsize: 1  # old\ninner:\n  # old\n  name: x  # kept\n  path: null\nsizes: [1]  # kept\n"
    wanted = (
        "# Head.\nname: own\nsize: 1       # Size, as in Shaji et al. 2023 (`1` or `2`)\n"
        f"inner:\n  # old\n  name: x  # kept\n  # {'Long ' * 20}sentence\n  path: null\nsizes: [1]  # kept\n"
    )
    assert commented(text, settings) == wanted
    assert commented(wanted, settings) == wanted
