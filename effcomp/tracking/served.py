"""A logged artifact as an MLflow model: texts in, labels or losses out.

MLflow finds `_load_pyfunc` by this module's name, which stands in the model's own description: nothing is pickled.
`mlflow.pyfunc.load_model(URI).predict(["a text", ...])`, or `mlflow models serve`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.artifact.description import read_description
from effcomp.core.batches import LABELS
from effcomp.core.component import from_spec
from effcomp.core.device import Device
from effcomp.core.store import find_fault
from effcomp.runtimes.base import Runtime

if TYPE_CHECKING:
    import pandas as pd

    from effcomp.core.batches import Batch


class Served:
    """An artifact folder, loaded by the runtime that it was written for, on the CPU."""

    def __init__(self, artifact: Path, runtime: Runtime) -> None:
        """
        Raises:
            ValueError: the folder is not what was stored.
        """
        from transformers import AutoConfig, AutoTokenizer

        if (fault := find_fault(artifact)) is not None:
            raise ValueError(f"the artifact {artifact} was changed since it was stored: {fault}")
        device = Device(name="cpu", kind="cpu", threads=None).resolved()
        self.head, self.config = read_description(artifact).head, AutoConfig.from_pretrained(artifact)
        self.tokenizer = AutoTokenizer.from_pretrained(artifact)
        self.longest = min(self.tokenizer.model_max_length, getattr(self.config, "max_position_embeddings", 2**20))
        runtime.start(artifact, device)
        self.model = runtime.load(artifact, device)

    def predict(self, texts: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """A row for each text: of a classifier its label and the probability of each; of a language model that
        predicts the next token the mean loss (nats a token) and the number of tokens that it was asked for.

        Args:
            texts: texts, or a table whose first column holds them (two columns: pairs of texts).

        Raises:
            ValueError: the model fills masks, which takes more than a text.
        """
        import pandas as pd

        table = texts if isinstance(texts, pd.DataFrame) else pd.DataFrame({"text": list(texts)})
        if self.head == "masked_lm":
            raise ValueError("this model predicts masked tokens: give it to a pipeline of transformers")
        columns = [column.astype(str) for _, column in table.items()][:2]
        row = self.classify if self.head == "sequence_classification" else self.weigh
        return pd.DataFrame([row(self.encode(words)) for words in zip(*columns, strict=True)])

    def encode(self, words: tuple[str, ...]) -> "Batch":
        return dict(self.tokenizer(*words, truncation=True, max_length=self.longest, return_tensors="np"))

    def classify(self, batch: "Batch") -> dict[str, Any]:
        from scipy.special import softmax

        chances = softmax(self.model(batch)[0])
        labels = [self.config.id2label[index] for index in range(len(chances))]
        return {"label": labels[int(chances.argmax())], **dict(zip(labels, chances.tolist(), strict=True))}

    def weigh(self, batch: "Batch") -> dict[str, Any]:
        total, tokens = self.model.token_losses({**batch, LABELS: batch["input_ids"]})[0].tolist()
        return {"loss": total / tokens if tokens else 0.0, "tokens": int(tokens)}


def _load_pyfunc(path: str, model_config: dict[str, Any]) -> Served:
    return Served(Path(path), from_spec(model_config["runtime"], Runtime))
