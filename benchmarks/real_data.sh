#!/bin/sh
# The models and tasks of this repository on real data; one sweep for each table of real_data.md.
#   benchmarks/real_data.sh DATA TABLE ...      DATA: the folder with sst2, ag_news, mnli, xnli, wikitext2, gsm8k
# What was computed before is read from multirun/store. Writes benchmarks/real_data/TABLE.jsonl.
set -eu
data=$1
shift
here=$(dirname "$0")
mkdir -p "$here/real_data"

sweep() {
  python -m effcomp.run -m bench=quick "$@" >"$here/real_data/$table.jsonl"
}

for table in "$@"; do
  case $table in
  sst2) sweep device=cpu task=sst2 task.data_dir="$data/sst2" finetune.epochs=3 quant=none,bf16,int8_dynamic,nf4 ;;
  sst2_h100) sweep device=cuda task=sst2 task.data_dir="$data/sst2" finetune.epochs=3 finetune.precision=fp32 \
    quant=none,bf16,nf4 ;;
  ag_news) sweep device=cpu task=ag_news task.data_dir="$data/ag_news" \
    "task.train_files=[train_20k.csv,train_more_18k.csv]" quant=none,bf16,int8_dynamic,nf4 ;;
  xnli) sweep device=cpu task=xnli task.data_dir="$data" "task.train_files=[mnli/train_27k.en.tsv]" \
    "task.test_files=['xnli/test.{language}.tsv']" "task.languages=[en,es,de,fr,zh]" quant=none,int8_dynamic ;;
  wikitext2_h100) sweep device=cuda model=smollm2 task=wikitext2 task.data_dir="$data/wikitext2" finetune=none \
    quant=none,int8_scratch,nf4 ;;
  gsm8k_h100) sweep device=cuda model=smollm2 task=gsm8k task.data_dir="$data/gsm8k" finetune=none quant=none ;;
  smollm2_sst2) sweep device=cpu model=smollm2 task=sst2 task.data_dir="$data/sst2" finetune=lora \
    finetune.train_samples=2000 finetune.epochs=1 quant=none,nf4 ;;
  *) echo "no table $table" >&2 && exit 2 ;;
  esac
done
