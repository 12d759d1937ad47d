"""The quantization_config of a checkpoint's config.json, as the libraries that quantize write it."""

from typing import Any

READ = (
    "bitsandbytes; gptq (format gptq or gptq_v2); awq (format gemm, 4 bits); "
    "compressed-tensors (format pack-quantized, 4 or 8 bits)"
)
"""Methods and formats that quant=checkpoint reads."""
IN_WORDS = {"gptq": "gptq", "awq": "gemm", "compressed-tensors": "dense"}
"""Methods whose codes lie in words of 32 bits (effcomp.quant.word_layouts), with the format where none is named."""


def weight_format(quantization: dict[str, Any]) -> str:
    """Return the format of the codes; older libraries call it checkpoint_format (GPTQ) or version (AWQ).

    The version of compressed-tensors is that of the library.
    """
    older = {"gptq": "checkpoint_format", "awq": "version"}.get(quantization["quant_method"], "format")
    named = (quantization.get(key) for key in (older, "format"))
    default = IN_WORDS.get(quantization["quant_method"], "")
    return next((name.lower() for name in named if isinstance(name, str)), default)


def is_read(quantization: dict[str, Any]) -> bool:
    """Tell whether quant=checkpoint reads codes of this method and format."""
    match quantization["quant_method"], weight_format(quantization):
        case "bitsandbytes", _:
            return True
        case "gptq", "gptq" | "gptq_v2":
            return quantization.get("bits") in (2, 3, 4, 8)
        case "awq", "gemm":
            return quantization.get("bits", quantization.get("w_bit")) == 4
        case "compressed-tensors", "pack-quantized":
            groups = quantization.get("config_groups")
            return isinstance(groups, dict) and all(map(integers_alone, groups.values()))
    return False


def integers_alone(group: Any) -> bool:
    """Tell whether a group of compressed-tensors' layers has integer weights of 4 or 8 bits and float activations."""
    weights = group.get("weights") if isinstance(group, dict) else None
    if not isinstance(weights, dict) or group.get("input_activations") or group.get("output_activations"):
        return False
    return weights.get("type", "int") == "int" and weights.get("num_bits") in (4, 8)
