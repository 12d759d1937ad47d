#!/bin/sh
# The models and tasks of this repository on real data; one sweep for each table of real_data.md.
#   benchmarks/real_data.sh DATA [TABLE ...]      DATA: the folder with sst2, ag_news, mnli, xnli, wikitext2, gsm8k
# A table that was computed before is read from multirun/store. Writes benchmarks/real_data/TABLE.jsonl.
# Data that are not all of the published ones are named in real_data.md.
set -eu
data=$1
shift
here=$(dirname "$0")
mkdir -p "$here/real_data"

sweep() {
  table=$1
  shift
  case " $tables " in *" $table "*) ;; *) return 0 ;; esac
  python -m effcomp.run -m bench=quick device=cpu "$@" >"$here/real_data/$table.jsonl"
}

tables=${*:-sst2 ag_news xnli wikitext2 gsm8k smollm2_sst2}

sweep sst2 task=sst2 task.data_dir="$data/sst2" finetune.epochs=3 finetune.precision=fp32 quant=none,bf16,int8_dynamic,nf4
sweep ag_news task=ag_news task.data_dir="$data/ag_news" "task.train_files=[train_20k.csv,train_more_18k.csv]" \
  quant=none,bf16,int8_dynamic,nf4
sweep xnli task=xnli task.data_dir="$data" "task.train_files=[mnli/train_27k.en.tsv]" \
  "task.test_files=['xnli/test.{language}.tsv']" "task.languages=[en,es,de,fr,zh]" quant=none,int8_dynamic,nf4
sweep wikitext2 model=smollm2 task=wikitext2 task.data_dir="$data/wikitext2" \
  finetune=none quant=none,int8_scratch,int8_dynamic,nf4
sweep gsm8k model=smollm2 task=gsm8k task.data_dir="$data/gsm8k" finetune=none quant=none,nf4
sweep smollm2_sst2 model=smollm2 task=sst2 task.data_dir="$data/sst2" finetune=lora finetune.train_samples=6000 \
  finetune.epochs=1 quant=none,int8_scratch,nf4
