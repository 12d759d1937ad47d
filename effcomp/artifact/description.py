"""artifact.json, and the architecture that an artifact folder names."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.models.heads import Head, model_class
from effcomp.models.linear import unify_linear
from effcomp.quant.tensors import ParameterGroup

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ARTIFACT_FILE = "artifact.json"
SCHEMA = 1


@dataclass(frozen=True)
class Calibration:
    """Cost of fitting a number format to training examples, and which examples these were."""

    seconds: float
    """From the float model to the written weights."""
    peak_rss_bytes: int
    """Largest resident set of the process meanwhile."""
    samples: int
    fingerprint: str
    """sha256 over the token ids of the samples, in order."""


@dataclass(frozen=True)
class Description:
    """Contents of artifact.json."""

    schema: int
    head: Head
    quant: dict[str, Any]
    prune: dict[str, Any]
    parameters: int
    """Parameters of the architecture, tied ones once."""
    nonzero_parameters: int
    parameters_by_kind: dict[ParameterGroup, int]
    layer_map: dict[str, dict[str, Any]] | None = None
    """Formats that each linear layer could have (record.cost.LayerMap); None where the format gives all the same."""
    calibration: Calibration | None = None
    """None for a format that is not fitted to examples."""


def read_description(folder: Path) -> Description:
    """Read artifact.json."""
    fields = json.loads((folder / ARTIFACT_FILE).read_text())
    calibration = fields.pop("calibration", None)
    fields.pop("bits_by_layer", None)  # of artifacts before layer_map
    return Description(**fields, calibration=calibration and Calibration(**calibration))


def skeleton(folder: Path) -> "PreTrainedModel":
    """Build an artifact's architecture: its layers as the number formats see them, parameters on the meta device."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    with init_empty_weights(include_buffers=False):
        model = model_class(read_description(folder).head, config)(config)
    unify_linear(model)
    return model
