"""A logged artifact as an MLflow model: the columns of a table in, labels, losses or written texts out.

MLflow finds `_load_pyfunc` by this module's name, which stands in the model's own description: nothing is pickled.
`mlflow.pyfunc.load_model(URI).predict(table)`, or `mlflow models serve`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.core.checksum import contents_sha256
from effcomp.core.component import from_spec
from effcomp.core.errors import UserError
from effcomp.core.packages import PACKAGE, distribution_of
from effcomp.core.private.mlflow import without_package_map
from effcomp.core.store import Store, find_fault, text_hash
from effcomp.runtimes.base import Runtime
from effcomp.runtimes.drafts import Drafts
from effcomp.runtimes.predictor import LABEL, Predictor, chance_names, runtime_of
from effcomp.tasks.signature import Signature, read_signature

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model, ModelSignature

LIBRARIES = (
    *("accelerate", "filelock", "numpy", "pandas", "psutil", "pydantic", "safetensors", "scipy", "torch"),
    "transformers",
)
"""Packages that every artifact needs to be loaded, by import name."""
EXAMPLE = "The service was quick and friendly."


class ServedModel:
    """An artifact folder, loaded by the runtime that it was written for, on the CPU."""

    def __init__(self, artifact: Path, runtime: Runtime) -> None:
        """Load the artifact.

        Raises:
            ValueError: the folder is not what was stored.
        """
        if (fault := find_fault(artifact)) is not None:
            raise ValueError(f"the artifact {artifact} was changed since it was stored: {fault}")
        self.predictor = Predictor(artifact, runtime)

    def predict(self, texts: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Return a row for each text (see `Predictor`).

        Args:
            texts: a table with the columns of the model's signature, or texts.

        Raises:
            MlflowException: a text is missing; the server answers 400 with this line.
        """
        import pandas as pd
        from mlflow.exceptions import MlflowException

        try:
            return pd.DataFrame(self.predictor(texts))
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def _load_pyfunc(path: str, model_config: dict[str, Any]) -> ServedModel:
    return ServedModel(Path(path), from_spec(model_config["runtime"], Runtime))


def own_sources(store: Store) -> Path:
    """Return effcomp's own sources as an entry of the store, whose files all logged models share."""
    files = sorted(file for file in PACKAGE.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    contents = text_hash("".join(f"{file.relative_to(PACKAGE)} {contents_sha256(file)}\n" for file in files))

    def copy(folder: Path) -> None:
        shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))

    return store.get("sources", {"contents": contents}, copy).path / PACKAGE.name


def save_served(artifact: Path, runtime: Runtime, packages: Sequence[str], model: "Model", folder: Path) -> Path:
    """Write an artifact as an MLflow model: its files, its signature with an example, what it needs to be loaded, and
    effcomp's own sources, because no package index has them.

    Args:
        artifact: an entry of a store.
        packages: libraries of the number format.
        model: MLflow's description, with the ids of the run and the model.
        folder: made by this.

    Returns:
        The folder of the sources in the store, which the model holds a copy of.
    """
    import pandas as pd
    from mlflow.pyfunc import save_model

    signature, sources = read_signature(artifact), own_sources(Store(artifact.parents[1]))
    needed = [distribution_of(package) for package in sorted({*LIBRARIES, *runtime.packages, *packages})]
    with without_package_map():
        save_model(
            folder,
            loader_module="effcomp.tracking.served",
            data_path=str(artifact),
            code_paths=[str(sources)],
            model_config={"runtime": serving(runtime, artifact).spec()},
            pip_requirements=[f"{one.name}=={one.version.partition('+')[0]}" for one in needed if one is not None],
            mlflow_model=model,
            signature=model_signature(signature, artifact) if signature is not None else None,
            input_example=pd.DataFrame([dict.fromkeys(signature.columns, EXAMPLE)]) if signature is not None else None,
        )
    return sources


def serving(runtime: Runtime, artifact: Path) -> Runtime:
    """Return the runtime that serves an artifact on the CPU: that which was measured, where it runs there; without a
    draft, which is no part of the artifact and changes no text."""
    if "cpu" not in runtime.devices:
        return runtime_of(artifact)
    return runtime.model_copy(update={"draft": None}) if isinstance(runtime, Drafts) else runtime


def model_signature(signature: Signature, artifact: Path) -> "ModelSignature":
    """Return the columns that the model takes and gives, as MLflow checks them."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from transformers import AutoConfig

    if signature.problem == "classification":
        names = AutoConfig.from_pretrained(artifact).id2label  # the file leaves default names out
        chances = chance_names([names[index] for index in sorted(names)])
        outputs = [ColSpec("string", LABEL), *(ColSpec("double", name) for name in chances)]
    elif signature.problem == "generation":
        outputs = [ColSpec("string", "text"), ColSpec("long", "tokens")]
    else:
        outputs = [ColSpec("double", "loss"), ColSpec("long", "tokens")]
    return ModelSignature(Schema([ColSpec("string", name) for name in signature.columns]), Schema(outputs))
