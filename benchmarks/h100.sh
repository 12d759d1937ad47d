#!/bin/sh
# Compression on an NVIDIA GPU; the tables of h100.md. Random weights: speed, memory and energy do not depend on them.
#   benchmarks/h100.sh TABLE ...      TABLE: distilbert, gpt2, bitnet, writing, finetuning, products
# Writes benchmarks/h100/TABLE.jsonl, one Record a line, or TABLE.json.
set -eu
here=$(dirname "$0")

sweep() {
  python3 -m effcomp.run -m device=cuda tracking=none bench=quick bench.turns=8 bench.turn_ms=80 bench.energy_seconds=1 \
    bench.fixed_length=128 bench.new_tokens=0 task=sst2 task.data_dir="$here/../tests/data/sst2" model.weights=random \
    "$@" >>"$here/h100/$table.jsonl"
}

for table in "$@"; do
  case $table in
  distilbert | gpt2)
    : >"$here/h100/$table.jsonl"
    sweep model="$table" quant=bf16 runtime=torch
    sweep model="$table" runtime=cuda_graphs quant=bf16,fp16,int8_bnb,int8_scratch,fp8,nf4,fp4,int4,int3,ternary,none
    ;;
  *) python3 "$here/h100/$table.py" ;;
  esac
done
