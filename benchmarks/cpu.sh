#!/bin/sh
# Compression on a processor, at 128 tokens; the tables of cpu.md.
#   benchmarks/cpu.sh DATA MODEL TABLE ...      DATA: the folder with sst2; MODEL: MiniLM fine-tuned on it, a folder
# The table `class` is of whatever processor runs it, in a file of its own, and needs no data: give - for both.
# What was computed before is read from multirun/store. Writes benchmarks/cpu/TABLE.jsonl, one Record a line.
set -eu
data=$1 model=$2
shift 2
here=$(dirname "$0")
mkdir -p "$here/cpu"

sweep() {
  python -m effcomp.run -m bench=quick device=cpu bench.fixed_length=128 "$@" >>"$here/cpu/$table.jsonl"
}

minilm() {
  sweep model=minilm model.path="$model" finetune=none task=sst2 task.data_dir="$data/sst2" "$@"
}

distilbert() {
  sweep model=distilbert model.weights=random bench.turns=8 "$@"
}

smollm2() {
  sweep model=smollm2 finetune=none task=bbc_news_lm task.test_size=50 bench.batch_sizes=[1,8] bench.turns=8 "$@"
}

rotten_tomatoes() {
  sweep model=minilm task=rotten_tomatoes "$@"
}

pruned="prune=structured prune.ratio=0.5 finetune@prune.recovery=distill prune.recovery.epochs=2"
pruned="$pruned prune.recovery.learning_rate=1e-4 prune.recovery.teacher_share=0.9"

for table in "$@"; do
  [ "$table" != class ] || table=class_$(python "$here/cpu.py" class)
  : >"$here/cpu/$table.jsonl"
  case $table in
  class_*)
    rotten_tomatoes quant=none,bf16,int8_dynamic
    rotten_tomatoes quant=int8_scratch quant.activations=int8
    rotten_tomatoes quant=none,bf16,int8_dynamic,int8_static,int4 runtime=openvino
    rotten_tomatoes quant=none,int8_dynamic,int8_static runtime=onnxruntime
    rotten_tomatoes quant=gguf quant.type=q8_0 runtime=llama_cpp
    # shellcheck disable=SC2086
    rotten_tomatoes $pruned quant=none,bf16,int8_static runtime=openvino
    ;;
  minilm_sst2)
    minilm quant=none,bf16,int8_scratch,int8_dynamic,int8_bnb,int4,nf4,fp4
    minilm quant=fp16 device.emulated=true bench.turns=6
    minilm quant=int8_scratch quant.activations=int8 runtime=torch,compile
    minilm quant=none,bf16,int8_dynamic runtime=compile
    minilm quant=none,int8_dynamic,int8_static,int4 runtime=onnxruntime
    minilm quant=none,bf16,int8_dynamic,int8_static,int4 runtime=openvino
    ;;
  minilm_sst2_since)
    minilm quant=nf4,fp4
    minilm quant=none,bf16,int8_dynamic runtime=compile
    minilm quant=int8_scratch quant.activations=int8 runtime=compile
    ;;
  minilm_sst2_pruned)
    minilm $pruned quant=none
    minilm $pruned quant=none,bf16,int8_dynamic,int8_static runtime=openvino
    minilm prune=semi_structured_2_4,l1_unstructured quant=none
    ;;
  distilbert_random)
    distilbert quant=none,bf16,int8_dynamic
    distilbert quant=int8_dynamic runtime=onnxruntime
    distilbert quant=none,bf16,int8_static runtime=openvino
    ;;
  smollm2_bbc_news)
    smollm2 quant=none,bf16,int8_dynamic
    smollm2 quant=int8_scratch quant.activations=int8
    smollm2 quant=none,int8_dynamic,int4 runtime=openvino
    ;;
  *) echo "no table $table" >&2 && exit 2 ;;
  esac
done
