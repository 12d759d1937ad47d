"""A page of tables from the Records beside it."""

from pathlib import Path
from textwrap import fill

from effcomp.report.page.render import circumstances
from effcomp.report.sources import find_records
from effcomp.report.table.comparison import compare, to_markdown
from effcomp.report.table.drift import drifts
from effcomp.report.table.terminal import LINE

RUNTIMES = ("torch", "compile", "onnxruntime", "openvino", "cuda_graphs", "llama_cpp")


def page(introduction: str, tables: dict[str, str], folder: Path) -> str:
    """Markdown: for each of folder/NAME.jsonl its text, the comparison, and under what circumstances."""
    parts = [introduction]
    for name, text in tables.items():
        records = sorted(find_records(folder / f"{name}.jsonl"), key=lambda one: RUNTIMES.index(one.choices["runtime"]))
        comparison = compare(records)
        parts += [text, to_markdown(comparison.texts())]
        parts += [f"{fill(sentence, LINE)}\n" for sentence in drifts(records)]
        parts.append(f"{circumstances(records)}\n")
    return "\n".join(parts) + "\n"
