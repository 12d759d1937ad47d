"""Train or prune a model as a configuration says, and write the folder; nothing is measured.

python benchmarks/checkpoint.py FOLDER [--float16] OVERRIDE ...     (overrides of python -m effcomp.run)
"""

import argparse
import logging
import sys
from pathlib import Path

from effcomp.models.base import load_checkpoint
from effcomp.pipeline.compose import build, composed
from effcomp.pipeline.prepare import prepare
from effcomp.pipeline.training import checkpoint, pruned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--float16", action="store_true", help="half of the bytes, to carry the folder elsewhere")
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_intermixed_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    run = prepare(build(composed(["tracking=none", *asked.overrides])))
    model, tokenizer = load_checkpoint(pruned(run, checkpoint(run)).path, run.head)
    (model.half() if asked.float16 else model).save_pretrained(asked.folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(asked.folder)


if __name__ == "__main__":
    main()
