"""Parts of a run: a GPU that is too old is refused before anything runs, and the config stays plain."""

import json

import pytest

from effcomp.core.errors import Skipped
from effcomp.pipeline.checks import check_capability
from effcomp.pipeline.compose import pin
from tests.conftest import compose_parts

T4, A100, L4 = (7, 5), (8, 0), (8, 9)


@pytest.mark.parametrize(
    ("there", "choice", "reason"),
    [
        (
            T4,
            "quant=bf16 runtime=cuda_graphs",
            "runtime=cuda_graphs needs .* capability 8.0, and X has 7.5",
        ),
        (A100, "quant=fp8 runtime=cuda_graphs", "quant=fp8 needs a GPU of compute capability 8.9, and X has 8.0"),
        ((5, 2), "quant=nf4", "quant=nf4 needs a GPU of compute capability 6.0, and X has 5.2"),
        ((7, 0), "quant=int8_bnb", "quant=int8_bnb needs a GPU of compute capability 7.5, and X has 7.0"),
    ],
)
def test_an_older_gpu_is_refused(there: tuple[int, int], choice: str, reason: str) -> None:
    parts = compose_parts(*choice.split())
    with pytest.raises(Skipped, match=reason):
        check_capability(there, "X", parts.quant, parts.runtime)


@pytest.mark.parametrize(
    ("there", "choice"),
    [(T4, "quant=nf4"), (A100, "quant=ternary runtime=cuda_graphs"), (L4, "quant=fp8 runtime=cuda_graphs")],
)
def test_one_that_can_is_not(there: tuple[int, int], choice: str) -> None:
    parts = compose_parts(*choice.split())
    check_capability(there, "X", parts.quant, parts.runtime)


def test_a_task_of_two_tasks_stays_plain_in_the_config() -> None:
    parts = compose_parts("task=wikitext2_to_gsm8k")
    assert json.dumps(pin(parts).config) == json.dumps(parts.config)
