#!/bin/sh
# A decoder that writes, on two threads: each runtime's formats beside float32 PyTorch, and llama.cpp called by itself.
#   benchmarks/writing.sh smollm2_bbc_news alone
# What was computed before is read from multirun/store. Writes benchmarks/writing/TABLE.jsonl, one Record a line.
set -eu
here=$(dirname "$0")
mkdir -p "$here/writing"

smollm2() {
  python -m effcomp.run -m model=smollm2 finetune=none task=bbc_news_lm task.test_size=20 device=cpu bench=quick \
    bench.fixed_length=128 bench.batch_sizes=[1] bench.turns=8 tracking=none "$@" >>"$here/writing/$table.jsonl"
}

for table in "$@"; do
  case $table in
  smollm2_bbc_news)
    : >"$here/writing/$table.jsonl"
    smollm2 runtime=llama_cpp quant=gguf quant.type=f16,q8_0,q4_0,q4_k_m quant.samples=0
    smollm2 runtime=llama_cpp quant=gguf quant.type=q4_k_m quant.samples=32
    smollm2 runtime=openvino quant=none,int8_dynamic,int4
    smollm2 runtime=onnxruntime quant=none,int8_dynamic
    ;;
  alone) python "$here/writing/alone.py" >"$here/writing/alone.json" ;;
  *) echo "no table $table" >&2 && exit 2 ;;
  esac
done
