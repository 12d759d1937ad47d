"""An artifact that answers texts: what `effcomp.load`, `effcomp predict` and a served MLflow model call."""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.artifact.description import ARTIFACT_FILE, read_description
from effcomp.artifact.gguf import WEIGHTS_FILE as GGUF_FILE
from effcomp.artifact.onnx import GRAPH_FILE as ONNX_FILE
from effcomp.artifact.openvino import GRAPH_FILE as OPENVINO_FILE
from effcomp.core.batches import IGNORED, LABELS, Ragged, batches_by_length, pack
from effcomp.core.component import from_spec
from effcomp.core.device import Device
from effcomp.core.errors import UserError
from effcomp.core.packages import require
from effcomp.core.store import MANIFEST, find_fault
from effcomp.models.heads import Problem, longest_sequence
from effcomp.models.reconcile import load_tokenizer
from effcomp.runtimes.base import Runtime
from effcomp.runtimes.decoding import Ending, up_to_stop
from effcomp.tasks.base import Examples
from effcomp.tasks.encoding import encode, encode_prompts, first_token
from effcomp.tasks.signature import Signature, read_signature

if TYPE_CHECKING:
    import pandas as pd

Answer = dict[str, Any]
Text = str | Sequence[str] | Mapping[Any, Any]
ENGINES = {ONNX_FILE: "onnxruntime", OPENVINO_FILE: "openvino", GGUF_FILE: "llama_cpp"}
"""The runtime that reads a file; PyTorch reads the others."""
BATCH = 32
NEW_TOKENS = 64
"""Written after a prompt where the model was not measured on a task that says how many."""


LABEL, ROW = "label", "row"
"""Columns of a classifier's answer, and of the number of its row (`effcomp predict`)."""


def chance_names(labels: Sequence[str]) -> list[str]:
    """Return the names of the labels' probabilities: their own, unless a label is named as another column is."""
    return [name if name not in {LABEL, ROW} else f"probability of {name}" for name in labels]


class Predictor:
    """An artifact folder, loaded by a runtime. Call it with texts; it returns a dictionary for each:

    - classifiers: `label`, and the probability of each label under its name (`chance_names`);
    - decoders measured by their loss: `loss` (nats a token; NaN for an empty text) and `tokens`, the predicted tokens;
    - decoders measured by what they write: `text`, and `tokens`, the number of written tokens.
    """

    def __init__(self, artifact: Path, runtime: Runtime | None = None, device: str = "cpu") -> None:
        """Load the artifact.

        Args:
            artifact: a folder of the store (multirun/store/artifact/HASH), or a copy of one.
            runtime: None: the one whose file format the folder holds (`torch`, `onnxruntime`, `openvino`, `llama_cpp`).
            device: `cpu`, `cuda`, or `auto` for CUDA where there is a GPU.

        Raises:
            UserError: the folder holds no artifact, was changed since it was stored, or fills masks; or the runtime
                does not run on the device.
        """
        from transformers import AutoConfig

        check_artifact(artifact)
        self.runtime = runtime or runtime_of(artifact)
        for package in self.runtime.packages:
            require(package, f"{artifact}, an artifact for {self.runtime.name},")
        place = self.placed(device)
        description, self.config = read_description(artifact), AutoConfig.from_pretrained(artifact)
        if description.head == "masked_lm":
            raise UserError(f"{artifact} predicts masked tokens: give it to the fill-mask pipeline of transformers")
        self.head = description.head
        self.tokenizer = load_tokenizer(artifact, self.config)
        self.signature = read_signature(artifact) or self.assumed_signature()
        self.runtime.start(artifact, place)
        self.model = self.runtime.load(artifact, place)

    def placed(self, device: str) -> Device:
        """Return the device; for `auto` the CPU where the runtime has no other.

        Raises:
            UserError: the runtime does not run there, or there is none.
        """
        kind = device if device != "auto" or "cuda" in self.runtime.devices else "cpu"
        asked = Device(name=kind, kind=kind, threads=None)
        asked.check()
        place = asked.resolved()
        if place.kind not in self.runtime.devices:
            reason = f"runtime={self.runtime.name} does not run on {place.kind}"
            raise UserError(f"{reason}; it runs on: {', '.join(self.runtime.devices)}")
        return place

    def assumed_signature(self) -> Signature:
        """Return the signature of an artifact that has none: one text, as long as the model reads."""
        problem: Problem = "classification" if self.head == "sequence_classification" else "language_modelling"
        longest = longest_sequence(self.config.to_dict()) or self.tokenizer.model_max_length
        return Signature(problem, min(self.tokenizer.model_max_length, longest))

    @property
    def labels(self) -> list[str]:
        """Return the names of a classifier's labels, in the order of its logits."""
        return [self.config.id2label[index] for index in sorted(self.config.id2label)]

    def __call__(self, texts: "Iterable[Text] | pd.DataFrame") -> list[Answer]:
        """Answer each text, in their order.

        Args:
            texts: texts, pairs of texts, or rows of a table by column name (`signature.columns`); a pandas.DataFrame
                is its rows.

        Raises:
            UserError: a text is missing; a pair is given where texts stand alone, or the other way round; a prompt is
                too long.
        """
        import pandas as pd

        if isinstance(texts, str):
            raise UserError(f"{texts!r} is a single text: give a list of texts")
        given = texts.to_dict("records") if isinstance(texts, pd.DataFrame) else texts
        rows = [self.inputs(text, place) for place, text in enumerate(given, start=1)]
        if not rows:
            return []
        firsts, *seconds = zip(*rows, strict=True)
        examples = Examples(firsts, pairs=seconds[0] if seconds else ())
        answer = {"classification": self.classify, "language_modelling": self.weigh, "generation": self.write}
        return answer[self.signature.problem](examples)

    def inputs(self, text: Text, place: int) -> tuple[str, ...]:
        """Return a text, with its pair where the task has pairs.

        Args:
            place: number of the text, from 1, for the message of an error.
        """
        if isinstance(text, Mapping):
            if missing := [column for column in self.signature.columns if column not in text]:
                raise UserError(
                    f"the column {missing[0]} is missing; the model reads {', '.join(self.signature.columns)}"
                )
            columns = self.signature.columns
            return self.signature.inputs({name: as_text(text[name], f"row {place}, column {name}") for name in columns})
        several = text if isinstance(text, Iterable) and not isinstance(text, str) else (text,)
        given = tuple(as_text(one, f"text {place}") for one in several)
        if len(given) != (2 if self.signature.pair else 1):
            wanted = "pairs of texts" if self.signature.pair else "single texts"
            raise UserError(f"{text!r}: this model reads {wanted}")
        return given

    def classify(self, examples: Examples) -> list[Answer]:
        """Return the label of each text, and every label's probability."""
        from scipy.special import softmax

        encoded, labels = encode(examples, self.tokenizer, self.signature.max_length), self.labels

        def answers(indices: Any) -> list[Answer]:
            chances = softmax(self.model(encoded.batch(indices)), axis=1)
            return [
                {LABEL: labels[int(row.argmax())], **dict(zip(chance_names(labels), row.tolist(), strict=True))}
                for row in chances
            ]

        return self.in_batches(encoded, answers)

    def weigh(self, examples: Examples) -> list[Answer]:
        """Return the mean cross-entropy of each text's tokens."""
        cut = self.tokenizer(
            list(examples.texts), add_special_tokens=False, truncation=True, max_length=self.signature.max_length - 1
        )
        ids = [[first_token(self.tokenizer), *tokens] for tokens in cut["input_ids"]]
        columns = {"input_ids": ids, "attention_mask": [[1] * len(row) for row in ids]}
        labels = [[IGNORED, *row[1:]] for row in ids]
        padding = {"input_ids": self.tokenizer.pad_token_id or 0, "attention_mask": 0, LABELS: IGNORED}
        encoded = pack({**columns, LABELS: labels}, padding)

        def answers(indices: Any) -> list[Answer]:
            losses = self.model.token_losses(encoded.batch(indices, labels=True)).tolist()
            return [{"loss": total / tokens if tokens else math.nan, "tokens": int(tokens)} for total, tokens in losses]

        return self.in_batches(encoded, answers)

    def write(self, examples: Examples) -> list[Answer]:
        """Return what the model writes after each prompt, by greedy decoding."""
        prompts, stop = encode_prompts(examples, self.tokenizer, self.signature.max_length), list(self.signature.stop)
        ending, new_tokens = Ending(self.tokenizer, stop), self.signature.new_tokens or NEW_TOKENS

        def answers(indices: Any) -> list[Answer]:
            tokens = self.model.decode(prompts.batch(indices, left=True), new_tokens, ending).tokens
            written = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
            return [
                {"text": up_to_stop(text, stop), "tokens": len(of_one)}
                for text, of_one in zip(written, tokens, strict=True)
            ]

        return self.in_batches(prompts, answers)

    def in_batches(self, encoded: Ragged, answers: Any) -> list[Answer]:
        """Answer sequences of like length together; return the answers in the order of the sequences."""
        found: dict[int, Answer] = {}
        for indices in batches_by_length(encoded.lengths, min(BATCH, self.runtime.most_texts or BATCH)):
            found |= zip(indices.tolist(), answers(indices), strict=True)
        return [found[index] for index in range(len(encoded))]


def as_text(value: object, where: str) -> str:
    """Return a text, or a number as it is written.

    Raises:
        UserError: the value is neither, such as None and NaN.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, Real) or not math.isfinite(value):
        raise UserError(f"{where} is {value!r}: give a text")
    return str(value)


def check_artifact(artifact: Path) -> None:
    """Raise UserError where a folder holds no artifact, or not what was stored in it."""
    if not (artifact / ARTIFACT_FILE).is_file():
        raise UserError(
            f"{artifact} has no {ARTIFACT_FILE}: give an artifact's folder, say multirun/store/artifact/HASH"
        )
    if (artifact / MANIFEST).exists() and (fault := find_fault(artifact, renamed=True)) is not None:
        raise UserError(f"the artifact {artifact} was changed since it was stored: {fault}")


def runtime_of(artifact: Path) -> Runtime:
    """Return the runtime that reads the folder's weights."""
    name = next((name for file, name in ENGINES.items() if (artifact / file).exists()), "torch")
    return from_spec({"id": f"runtime/{name}", "fields": {"name": name}}, Runtime)
