"""Class paths that effcomp stored before components had ids.

Artifacts, MLflow models and records of schemas 1 to 4 name classes by these paths. This table alone reads them; a new
component does not go into it.
"""

from collections.abc import Callable
from typing import Any

IDS = {
    "effcomp.compress.prune.base.NoPrune": "prune/none",
    "effcomp.compress.prune.semi_structured.SemiStructured24": "prune/semi_structured_2_4",
    "effcomp.compress.prune.structured.Structured": "prune/structured",
    "effcomp.compress.prune.unstructured.L1Unstructured": "prune/l1_unstructured",
    "effcomp.compress.quant.bnb.FourBit": "quant/four_bit",
    "effcomp.compress.quant.bnb.Int8Bnb": "quant/int8_bnb",
    "effcomp.compress.quant.bnb.NF4": "quant/four_bit",
    "effcomp.compress.quant.floats.Float": "quant/float",
    "effcomp.compress.quant.fp8.Fp8": "quant/fp8",
    "effcomp.compress.quant.int3.Int3": "quant/int3",
    "effcomp.compress.quant.int4.Int4": "quant/int4",
    "effcomp.compress.quant.int8.Int8Dynamic": "quant/int8_dynamic",
    "effcomp.compress.quant.int8.Int8Scratch": "quant/int8_scratch",
    "effcomp.compress.quant.int8_dynamic.Int8Dynamic": "quant/int8_dynamic",
    "effcomp.compress.quant.int8_static.Int8Static": "quant/int8_static",
    "effcomp.compress.quant.ternary.Ternary": "quant/ternary",
    "effcomp.device.Device": "device",
    "effcomp.finetune.base.NoFinetune": "finetune/none",
    "effcomp.finetune.distill.DistillFinetune": "finetune/distill",
    "effcomp.finetune.full.FullFinetune": "finetune/full",
    "effcomp.finetune.lora.LoraFinetune": "finetune/lora",
    "effcomp.finetune.quantised.Int8Finetune": "finetune/int8",
    "effcomp.finetune.quantised.QloraFinetune": "finetune/qlora",
    "effcomp.finetune.ternary.TernaryFinetune": "finetune/ternary",
    "effcomp.measure.bench.Bench": "bench",
    "effcomp.metrics.choice.TextMetrics": "task/text_metrics",
    "effcomp.models.hub.HubModel": "model/hub",
    "effcomp.models.hub.PackedBitNet": "model/packed_bitnet",
    "effcomp.models.packaged.PackagedGguf": "model/packaged_gguf",
    "effcomp.models.packaged.PackagedModel": "model/packaged",
    "effcomp.runtimes.cuda_graphs.CudaGraphs": "runtime/cuda_graphs",
    "effcomp.runtimes.onnxruntime.OnnxRuntime": "runtime/onnxruntime",
    "effcomp.runtimes.openvino.OpenVinoRuntime": "runtime/openvino",
    "effcomp.runtimes.torch.Compiled": "runtime/compile",
    "effcomp.runtimes.torch.Torch": "runtime/torch",
    "effcomp.tasks.bbc_news.BbcNews": "task/bbc_news",
    "effcomp.tasks.bbc_news.BbcNewsText": "task/bbc_news_text",
    "effcomp.tasks.documents.DocumentsTask": "task/documents",
    "effcomp.tasks.generation.Continuation": "task/continuation",
    "effcomp.tasks.generation.Gsm8kGeneration": "task/gsm8k_generation",
    "effcomp.tasks.movie_reviews.MovieReviews": "task/movie_reviews",
    "effcomp.tasks.tables.CrossLingualTask": "task/cross_lingual",
    "effcomp.tasks.tables.TableTask": "task/table",
    "effcomp.tasks.transfer.TransferTask": "task/transfer",
    "effcomp.tracking.MlflowTracking": "tracking/mlflow",
    "effcomp.tracking.NoTracking": "tracking/none",
    "effcomp.tracking.base.NoTracking": "tracking/none",
    "effcomp.tracking.mlflow_runs.MlflowTracking": "tracking/mlflow",
}


def id_of(path: str) -> str:
    """Return the id of the component class that was stored under this path: `module:Class` outside the table."""
    return IDS.get(path) or ":".join(path.rsplit(".", 1))


def with_ids(config: Any, identify: Callable[[str], str] = id_of) -> Any:
    """Return a composed config with the `id` of each component in place of its `_target_`.

    Args:
        config: plain JSON values.
        identify: gives the id for a class path.
    """
    if not isinstance(config, dict):
        return config
    own = {"id": identify(config["_target_"])} if "_target_" in config else {}
    return own | {name: with_ids(value, identify) for name, value in config.items() if name != "_target_"}
