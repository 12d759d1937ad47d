"""8-bit floats: three bits of mantissa for every weight, whatever the size of its row."""

import torch
from hypothesis import given

from effcomp.quant.fp8_linear import LARGEST, quantize_fp8
from effcomp.quant.lowering import TensorLowering, writer
from effcomp.quant.tensors import body_layers
from tests.conftest import compose_parts
from tests.quant.test_int8 import MATRICES

SMALLEST_NORMAL, MANTISSA = 2.0**-6, 3


@given(MATRICES)
def test_a_weight_comes_back_within_half_of_its_last_bit(weight: torch.Tensor) -> None:
    codes, scale = quantize_fp8(weight)
    assert codes.float().isfinite().all()
    assert codes.float().abs().max() <= LARGEST
    exact = weight.double() / scale.double()
    step = 2.0 ** (exact.abs().clamp(min=SMALLEST_NORMAL).log2().floor() - MANTISSA)
    assert ((codes.double() - exact).abs() <= 0.5001 * step).all()


def test_layers_that_the_products_cannot_take_stay_bfloat16() -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=20, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=40)
    model = BertForSequenceClassification(config)
    quant = compose_parts("quant=fp8").quant
    tensors = writer(quant, TensorLowering).encode(quant, model)
    attention = [name for name in body_layers(model) if "attention" in name]
    assert {f"{name}.codes" for name in attention} <= set(tensors)
    assert tensors["bert.encoder.layer.0.intermediate.dense.weight"].dtype == torch.bfloat16
    assert tensors["classifier.weight"].dtype == torch.bfloat16
