"""Users' mistakes in commands, configs, models, data files and records: each is refused in one line.

Every command runs in a process of its own, forked from one that has imported effcomp (tests/forked.py): the real `main`
with its own working folder, standard output and exit code, without the seconds that Python needs to start. Those are
counted all the same: the time of the command and that of the imports together have to stay under 10 s.
(tests/test_run.py has others, and some commands that Python starts.)

In a command BROKEN, DATA, BERT and GPT2 stand for folders: tests/broken.py makes the first.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broken import break_data, break_models, break_records, break_tokenizers
from tests.conftest import DATA
from tests.forks import forks
from tests.wrong_commands import REPORTS, RUNS, UPLOADS, Words

PATIENCE_S = 30


@pytest.fixture(scope="module")
def folders(tiny_bert: Path, tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    broken = tmp_path_factory.mktemp("broken")
    break_models(tiny_bert, broken)
    break_tokenizers(tiny_bert, tiny_gpt2, broken)
    break_data(broken)
    break_records(broken)
    return {"BROKEN": broken, "DATA": DATA, "BERT": tiny_bert, "GPT2": tiny_gpt2}


def cases() -> Iterator[tuple[str, str, Words]]:
    tables = {"effcomp.run": RUNS, "effcomp.report.__main__": REPORTS, "effcomp.command.upload": UPLOADS}
    for module, table in tables.items():
        yield from ((module, command, words) for command, words in table.items())


def test_there_are_so_many_of_them() -> None:
    assert len(list(cases())) >= 80


@pytest.mark.parametrize(("module", "command", "words"), cases())
def test_a_wrong_command_is_one_line_that_names_the_value_and_the_fix(
    module: str, command: str, words: Words, folders: dict[str, Path], tmp_path: Path
) -> None:
    def real(text: str) -> str:
        for name, folder in folders.items():
            text = text.replace(name, str(folder))
        return text

    value, fix = (command.split()[-1], words) if isinstance(words, str) else words
    there = {folder: contents(folder) for folder in folders.values()}
    answer = forks().run(module, real(command).split(), tmp_path, None, PATIENCE_S)
    assert answer["code"] == 2, answer["stderr"]
    lines = [line for line in answer["stderr"].splitlines() if line.strip()]
    assert len(lines) == 1, answer["stderr"]
    assert lines[0].startswith("error: ")
    assert real(value) in lines[0]
    assert real(fix) in lines[0]
    assert answer["stdout"] == ""
    assert list(tmp_path.iterdir()) == []
    assert {folder: contents(folder) for folder in folders.values()} == there
    assert answer["seconds"] < answer["imported_s"], "it is refused before any heavy work"


def contents(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))
