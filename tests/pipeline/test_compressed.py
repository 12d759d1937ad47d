"""Compression of one checkpoint into several number formats: what they share."""

from pathlib import Path

import pytest

from effcomp.pipeline.prepare import prepare
from effcomp.pipeline.run import compress
from tests.conftest import compose_parts


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_formats_of_a_checkpoint_begin_with_one_exported_graph(
    tiny: list[str], runtime: str, tmp_path: Path
) -> None:
    formats = ("none", "int8_dynamic", "int8_static")
    made = []
    for name in formats:
        quant = [f"quant={name}", *(["quant.samples=16"] if name == "int8_static" else [])]
        made.append(compress(prepare(compose_parts(*tiny, *quant, f"runtime={runtime}", f"store={tmp_path}"))))
    assert len({one.variant.hash for one in made}) == len(formats)
    assert {kind: len(list((tmp_path / kind).glob("*/"))) for kind in ("checkpoint", "exported", "artifact")} == {
        "checkpoint": 1,
        "exported": 1,
        "artifact": 1 + len(formats),
    }
    sizes = [sum(file.stat().st_size for file in one.variant.path.iterdir()) for one in made]
    assert sizes[1] < sizes[0], "the graph that was copied was quantized"
