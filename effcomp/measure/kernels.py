"""Kernels that one call of the variant executes."""

import re
from collections import Counter

from effcomp.core import processors
from effcomp.measure.pair import Pair
from effcomp.quant.lowering import Lowering, lowering
from effcomp.record import Kernel, Kernels

MOST_KERNELS = 8
"""Number of kernels in the record, those of the longest time first."""


def executed_kernels(pair: Pair) -> Kernels:
    """Profile one call of the variant, and look for the number format's expected kernels in it."""
    answer = pair.variant.ask("kernels", batch=[0])
    side = pair.sides[1]
    ran, expected = answer["kernels"], lowering(side.quant, side.runtime.name, Lowering).expected_kernels
    names, total = [one["name"] for one in ran], sum(one["seconds"] for one in ran) or 1.0
    providers = Counter[str]()
    for one in ran:
        if one["provider"] is not None:
            providers[one["provider"]] += one["calls"]
    return Kernels(
        executed=[
            Kernel(name=one["name"], calls=one["calls"], share=round(one["seconds"] / total, 4))
            for one in ran[:MOST_KERNELS]
        ],
        expected_ran=any(re.search(part, name) for part in expected for name in names) if expected else None,
        int8_products=any(processors.is_int8_product(name, pair.device.kind) for name in names),
        instructions=answer["instructions"],
        providers=dict(providers),
    )
