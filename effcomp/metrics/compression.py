"""Redundancy of a text by lossless compression (Shaib et al. 2024, "Standardizing the Measurement of Text Diversity",
section 3).

The paper compresses all texts together; here each is compressed alone, so that the score has an interval. Compression
sees what distinct-n hardly sees: a long passage that is written again.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from effcomp.metrics.registry import Outputs, score
from effcomp.metrics.scores import Scores


def compression_ratio(texts: Sequence[str]) -> Scores:
    """Return the bytes of each text in UTF-8 over its bytes after DEFLATE, above 0; the larger, the more it repeats
    itself. 0 for an empty text. A short text has a ratio below 1, so only texts of like length can be compared.

    Raises:
        ValueError: no texts.
    """
    if not texts:
        raise ValueError("there is no output to score")
    encoded = [text.encode(errors="surrogatepass") for text in texts]
    ratios = np.array([len(one) / len(zlib.compress(one, level=9)) for one in encoded])
    return Scores("compression ratio within texts (DEFLATE)", ratios)


@score("compression_ratio", share=False)
def compression_ratio_of(outputs: Outputs) -> Scores:
    return compression_ratio(outputs.texts)
